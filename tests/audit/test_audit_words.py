"""Tables, HTML and DataFrames of an audit."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import pytest
from messages import saying, says
from tables_of_predictions import counted

from tlkit.audit import audit_groups
from tlkit.audit.audit_tables import failed_table


def audit_of(column="tone", metrics=("accuracy",), **groups):
    return audit_groups(counted(column, **groups), by=column, metrics=metrics)


def named(audit, name):
    (table,) = [table for table in audit.tables() if table.name == name]
    return table


def test_of_false_positives_fewer_is_better_and_json_and_frame_state_the_direction():
    audit = audit_of(a=(90, 100), b=(60, 100))
    assert [row.direction for row in audit.group_tables[0].rows] == ["above the rest", "below the rest"]
    assert audit.directions == "1 below the rest, 1 above the rest"
    assert [row["direction"] for row in audit.to_redacted()["group_tables"][0]["rows"]] == [
        "above the rest",
        "below the rest",
    ]
    assert audit.table()["direction"].tolist() == ["above the rest", "below the rest"]
    failed = failed_table(audit)
    assert failed.column("direction") == ("above the rest", "below the rest")
    assert failed.marks == {0: "better", 1: "worst"}
    fewer = replace(audit.group_tables[0], metric="false_positive_rate", class_name="x")
    assert [fewer.is_better(row) for row in fewer.rows] == [False, True]
    alike = audit_of(a=(90, 100), b=(90, 100))
    assert alike.directions == "" and [row.direction for row in alike.group_tables[0].rows] == [None, None]
    assert "direction" not in [column.name for column in named(alike, alike.group_tables[0].name).columns]


def test_passing_groups_and_equal_groups_are_said_to_be_so():
    same = audit_of(a=(900, 1000), b=(1800, 2000))
    assert same.verdict == "PASS"
    assert named(same, "tone").column("verdict") == ("PASS", "PASS")
    assert named(same, "tone").notes == (saying("groups", "same accuracy"),)


def test_groups_that_tie_for_the_lowest_rate_are_all_named():
    two = audit_of(a=(60, 100), b=(30, 50), c=(90, 100))
    assert says(named(two, "tone").notes[0], "lowest", "a and b", "0.300 below c")
    five = audit_of(**dict.fromkeys("abcdef", (60, 100)), g=(90, 100))
    assert says(named(five, "tone").notes[0], "lowest", "a and 5 others", "b, c, d and 2 more", "0.300 below g")
    assert [row.name for row in five.group_table("tone").tied_with(five.group_table("tone").worst)] == list("abcdef")


def test_a_group_too_small_for_a_rate_and_the_images_without_a_group_tie_with_nobody():
    table = audit_of(a=(60, 100), b=(90, 100), c=(3, 5), missing=(30, 50)).group_table("tone")
    assert [row.name for row in table.tied_with(table.worst)] == ["a"]


def test_a_gap_that_may_be_within_the_tolerance_is_said_to_be_one():
    audit = audit_of(a=(2400, 3000), b=(2562, 3000))
    assert [row.verdict for row in audit.group_table("tone").rows] == ["NOT ENOUGH DATA"] * 2
    assert named(audit, "tone").column("note") == (saying("gap", "within the tolerance"),) * 2


def test_the_worst_false_positive_rate_is_the_highest():
    audit = audit_groups(counted(a=(90, 100), b=(60, 100)), by="g", metrics="false_positive_rate")
    note = named(audit, "g, false positive rate of yes").notes[0]
    assert note == saying("highest false positive rate of yes", "b, 0.300 above a", "0.049", "p < 0.001")
    assert says(named(audit, "audit").notes[-1], "one test", "Holm", "0.05")


def test_html_escapes_what_comes_from_the_data():
    evil = "<script>alert('x')</script>"
    page = audit_of("<i>tone</i>", **{evil: (25, 30), "b & c": (2, 3)})._repr_html_()
    assert "<script" not in page
    assert "<i>" not in page
    assert "&lt;script&gt;alert(&#x27;x&#x27;)&lt;/script&gt;" in page
    assert "b &amp; c" in page
    assert "&lt;i&gt;tone&lt;/i&gt;" in page


def test_the_data_frame_has_one_row_a_group_and_numbers_as_numbers():
    audit = audit_of(light=(930, 1000), medium=(186, 200), dark=(49, 80), deep=(3, 7), missing=(20, 25))
    frame = audit.table("tone")
    assert list(frame["group"]) == ["dark", "deep", "light", "medium", "(missing)"]
    assert list(frame["n"]) == [80, 7, 1000, 200, 25]
    assert frame.loc[0, ["rate", "rate_low", "rate_high"]].to_list() == pytest.approx([0.6125, 0.503, 0.712], abs=1e-3)
    assert pd.isna(frame.loc[1, "rate"])
    assert frame["images_needed"].dtype == "Int64"
    assert frame["rate"].dtype == frame["p_holm"].dtype == "float64"
    pd.testing.assert_frame_equal(audit.table(), frame)
