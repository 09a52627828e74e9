"""Tables as text: aligned, and readable on a narrow terminal."""

from __future__ import annotations

import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from messages import saying

from tlkit.cli.columns import table_lines
from tlkit.cli.output import print_table

ROWS = [("backbone", "million parameters", "accuracy"), ("resnet18", "11.2", "0.714 [0.655, 0.767]"), ("vit", "5.5")]


def lines(rows, width=None, *, header=True):
    return list(table_lines(rows, header=header, width=width))


def test_columns_are_aligned():
    assert lines(ROWS) == [
        saying("backbone", "parameters", "accuracy"),
        "--------  ------------------  --------------------",
        "resnet18  11.2                0.714 [0.655, 0.767]",
        "vit       5.5",
    ]
    assert lines(ROWS, 50) == lines(ROWS)
    assert lines([("report", "a.html"), ("model", "m")], 80, header=False) == ["report  a.html", "model   m"]


def test_letters_that_take_two_places_or_none_are_aligned_as_terminals_draw_them():
    accent = "e\u0301te\u0301"  # as macOS writes names: letters with accents of their own
    assert lines([("class", "n"), ("蚂蚁 꿀벌", "1"), (accent, "2")]) == [
        "class      n",
        "---------  -",
        "蚂蚁 꿀벌  1",
        f"{accent}        2",
    ]
    assert lines([("class", "n"), ("蚂蚁 꿀벌", "1")], 8) == ["class  n", "-----  -", "蚂蚁   1", "꿀벌"]


def test_words_of_the_widest_cells_go_to_further_lines():
    assert lines(ROWS, 42) == [
        "backbone  million          accuracy",
        "          parameters",
        "--------  ---------------  ---------------",
        "resnet18  11.2             0.714 [0.655,",
        "                           0.767]",
        "vit       5.5",
    ]


def test_rows_become_blocks_where_no_word_can_be_moved():
    assert lines(ROWS, 20) == [
        "backbone            resnet18",
        "million parameters  11.2",
        "accuracy            0.714 [0.655, 0.767]",
        "",
        "backbone            vit",
        "million parameters  5.5",
    ]


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.lists(st.text("ab c", max_size=12), min_size=3, max_size=3), min_size=1, max_size=5),
    st.integers(5, 60),
)
def test_no_word_is_lost_and_columns_fit(rows, width):
    narrow = lines([("N", "M", "O"), *rows], width)
    letters = sorted("".join(narrow).replace(" ", ""))
    expected = "".join(cell for row in rows for cell in row).replace(" ", "")
    assert sorted(letter for letter in letters if letter in "abc") == sorted(expected)
    if any(line.startswith("-") for line in narrow):
        assert all(len(line) <= width for line in narrow)


@pytest.mark.parametrize(("terminal", "fits"), [(True, True), (False, False)])
def test_only_a_terminal_narrows_a_table(monkeypatch, capsys, terminal, fits):
    monkeypatch.setenv("COLUMNS", "42")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal, raising=False)
    print_table(ROWS)
    assert (max(map(len, capsys.readouterr().out.splitlines())) <= 42) == fits
