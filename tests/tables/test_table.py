"""`Table`: types of cells, heads, and the format of each kind of column."""

from __future__ import annotations

from datetime import datetime

import pytest

from tlkit.stats.estimate import Estimate
from tlkit.tables import Column, Table, format_cell

HALF = Estimate(0.5, 0.25, 0.75, n=8)


@pytest.mark.parametrize(
    ("kind", "cell"),
    [("count", 1.5), ("count", True), ("text", 1), ("estimate", 0.5), ("number", HALF), ("flag", 1), ("time", "now")],
)
def test_a_cell_of_the_wrong_type_is_refused(kind, cell):
    with pytest.raises(AssertionError, match="accuracy"):
        Table("t", "", (Column("accuracy", "accuracy", kind),), ((cell,),))


def test_rows_that_do_not_fit_the_columns_are_refused():
    column = Column("a", "a")
    for columns, rows, marks in (
        ((column,), (("x", "y"),), {}),
        ((column, column), (), {}),
        ((), (), {}),
        ((column,), (("x",),), {1: "total"}),
    ):
        with pytest.raises(AssertionError):
            Table("t", "", columns, rows, marks=marks)


def test_a_head_notes_the_number_of_further_rows_and_keeps_marks():
    table = Table(
        "t", "", (Column("n", "n", "count"),), ((1,), (2,), (3,)), notes=("n",), marks={0: "worst", 2: "total"}
    )
    head = table.head(2)
    assert (head.rows, head.marks) == (((1,), (2,)), {0: "worst"})
    assert "1 more" in head.notes[0] and head.notes[1:] == ("n",)
    assert table.head(3) is table.head(None) is table


@pytest.mark.parametrize(
    ("kind", "options", "cell", "text"),
    [
        ("count", {}, 1234567, "1,234,567"),
        ("number", {"digits": 2}, 1234.567, "1,234.57"),
        ("number", {}, -0.0001, "0.000"),
        ("number", {"signed": True}, 0.0521, "+0.052"),
        ("number", {"signed": True}, -0.0001, "0.000"),
        ("significant", {}, 0.000123456, "0.000123"),
        ("significant", {"digits": 4}, 12345.6, "12,346"),
        ("significant", {"digits": 2}, 99.6, "100"),
        ("significant", {}, -999.7, "-1,000"),
        ("percent", {}, 0.666, "67%"),
        ("estimate", {}, HALF, "0.500 [0.250, 0.750]"),
        ("estimate", {"digits": 1}, HALF, "0.5 [0.2, 0.8]"),
        ("estimate", {"signed": True}, Estimate(-0.5, -0.75, 0.25, n=8), "-0.500 [-0.750, +0.250]"),
        ("estimate", {}, Estimate(None, 0.25, 0.75, n=8), "[0.250, 0.750]"),
        ("estimate", {}, Estimate(None, None, None, n=0, note="no images"), "undefined (no images)"),
        ("estimate", {}, Estimate(0.5, None, None, n=1, note="one image"), "0.500 (one image)"),
        ("p_value", {}, 0.0009, "<0.001"),
        ("p_value", {}, 0.04, "0.040"),
        ("bytes", {}, 999, "999 B"),
        ("bytes", {}, 2_500_000, "2.5 MB"),
        ("flag", {}, True, "yes"),
        ("flag", {}, False, ""),
        ("time", {}, datetime(2026, 1, 2, 3, 4, 5), "2026-01-02 03:04"),
        ("verdict", {}, "FAIL", "✗ FAIL"),
        ("verdict", {}, "confirmed", "confirmed"),
        ("number", {}, None, "–"),
    ],
)
def test_the_kind_of_a_column_determines_the_format_of_its_cells(kind, options, cell, text):
    column = Column("x", "x", kind, **options)
    Table("t", "", (column,), ((cell,),))
    assert format_cell(cell, column) == text
