"""Tables, HTML and DataFrames of an audit."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pandas as pd
import pytest
from messages import saying

from tlkit.audit import Audit, audit_groups
from tlkit.audit.audit_tables import failed_table
from tlkit.errors import TlkitError
from tlkit.predictions import Predictions
from tlkit.render.report.audit_part import audit_tile
from tlkit.tables import format_cell


def rows_of(group, correct, images):
    return [(group, int(i >= correct)) for i in range(images)]


def audit_of(rows, *, unlabelled=0, column="tone", **options):
    names, wrong = zip(*rows, strict=True)
    truth = [0] * (len(rows) - unlabelled) + [-1] * unlabelled
    predictions = Predictions.build(
        classes=["no", "yes"],
        path=[str(i) for i in range(len(rows))],
        y_true=truth,
        y_pred=list(wrong),
        groups=pd.DataFrame({column: pd.array(list(names), dtype="string")}),
    )
    return audit_groups(predictions, by=column, **options)


@pytest.fixture(scope="module")
def audit():
    """One group far below, one small, one that nobody can decide, one missing, one only without labels."""
    rows = [
        *rows_of("light", 930, 1000),
        *rows_of("medium", 186, 200),
        *rows_of("dark", 49, 80),
        *rows_of("deep", 3, 7),
        *rows_of(None, 20, 25),
        *rows_of("unseen", 3, 3),
    ]
    return audit_of(rows, unlabelled=3)


def named(audit, name):
    (table,) = [table for table in audit.tables() if table.name == name]
    return table


def test_the_notes_hold_counts_failures_missing_values_and_definitions(audit):
    images, failed, missing, meaning, alone = named(audit, "audit").notes
    assert images == saying("1,312 images", "0.905 [0.888, 0.920]", "3 images without a label")
    assert failed == saying("1 below the rest, 1 above the rest", "complement, below the rest)", "above the rest)")
    assert failed == saying("0.05", "dark (accuracy 0.613 [0.503, 0.712], n = 80; -0.315 [-0.425, -0.214]")
    assert failed == saying("light (accuracy 0.930 [0.912, 0.944], n = 1000; +0.101 [+0.058, +0.151]")
    assert missing == saying("tone", "25 images", "p = ")
    assert meaning == saying("complement", "0.05", "95%", "Fisher", "4 tests")
    assert alone == saying("[low, high]", "0.15")
    gap, small = named(audit, "tone").notes
    assert gap == saying("lowest accuracy", "dark, 0.318 below light and medium", "0.037", "permutation p < 0.001")
    assert small == saying("fewer than 20 images")


def test_the_table_shows_the_size_of_a_group_without_a_rate_and_what_an_open_row_needs(audit):
    table, row_of = named(audit, "tone"), audit.group_table("tone").row
    texts = [[format_cell(cell, column) for cell, column in zip(row, table.columns, strict=True)] for row in table.rows]
    assert [column.label for column in table.columns] == [
        "group",
        "n",
        "accuracy [95%]",
        "minus the complement [95%]",
        "p (Holm)",
        "verdict",
        "direction",
        "smallest gap it could show",
        "more images for a gap of 0.05",
    ]
    assert [row[:6] for row in texts] == [
        ["dark", "80", "0.613 [0.503, 0.712]", "-0.315 [-0.425, -0.214]", "<0.001", "✗ FAIL"],
        ["deep", "7", "–", "–", "–", "? NOT ENOUGH DATA"],
        ["light", "1,000", "0.930 [0.912, 0.944]", "+0.101 [+0.058, +0.151]", "<0.001", "✗ FAIL"],
        ["medium", "200", "0.930 [0.886, 0.958]", "+0.027 [-0.020, +0.060]", "0.288", "? NOT ENOUGH DATA"],
        ["unseen", "0", "–", "–", "–", "–"],
        ["(missing)", "25", "[0.609, 0.911]", "[-0.299, +0.005]", "0.158", "? NOT ENOUGH DATA"],
    ]
    assert table.column("detectable_gap")[3] == row_of(("medium",)).detectable_gap
    assert table.column("images_needed") == (None, 660, None, 630, None, 660)
    assert table.marks == {0: "worst", 1: "quiet", 2: "better", 4: "quiet"}
    assert table.column("direction") == ("below the rest", None, "above the rest", None, None, None)


def test_verdicts_are_counted(audit):
    assert named(audit, "audit").title == "Audit by tone: ✗ FAIL"
    assert named(audit, "audit").rows == (("FAIL", 2), ("NOT ENOUGH DATA", 3))


def test_of_false_positives_fewer_is_better_and_json_and_frame_state_the_direction():
    rows = [*rows_of("a", 90, 100), *rows_of("b", 60, 100)]
    audit = audit_of(rows, metrics=["accuracy"])
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
    alike = audit_of([*rows_of("a", 90, 100), *rows_of("b", 90, 100)])
    assert alike.directions == "" and [row.direction for row in alike.group_tables[0].rows] == [None, None]
    assert "direction" not in [column.name for column in named(alike, alike.group_tables[0].name).columns]


def test_each_rate_has_a_table_of_its_own():
    audit = audit_of([*rows_of("a", 25, 30), *rows_of("b", 25, 30)], metrics=["accuracy", "recall"])
    titles = [table.title for table in audit.tables()]
    assert titles[1:3] == ["Accuracy by tone", "Recall of yes by tone"]
    assert named(audit, "tone, recall of yes").rows[0][1:3] == (0, None)


def test_passing_groups_and_equal_groups_are_said_to_be_so():
    same = audit_of([*rows_of("a", 900, 1000), *rows_of("b", 1800, 2000)])
    assert same.verdict == "PASS"
    assert named(same, "tone").column("verdict") == ("PASS", "PASS")
    assert named(same, "tone").notes == ("All groups that have a rate have the same accuracy.",)


def test_groups_that_tie_for_the_lowest_rate_are_all_named():
    two = audit_of([*rows_of("a", 60, 100), *rows_of("b", 30, 50), *rows_of("c", 90, 100)])
    assert named(two, "tone").notes[0].startswith("The lowest accuracy is that of a and b, 0.300 below c. Chance")
    five = audit_of([*(row for name in "abcdef" for row in rows_of(name, 60, 100)), *rows_of("g", 90, 100)])
    assert (
        named(five, "tone")
        .notes[0]
        .startswith("The lowest accuracy is that of a and 5 others (b, c, d and 2 more), 0.300 below g. Chance")
    )
    assert audit_tile(two).detail == saying("0.600", "0.502", "0.691", "100", "1", "lowest", "accuracy")
    assert audit_tile(five).detail.endswith("n = 100; 5 others alike")
    assert [row.name for row in five.group_table("tone").tied_with(five.group_table("tone").worst)] == list("abcdef")


def test_a_group_too_small_for_a_rate_and_the_images_without_a_group_tie_with_nobody():
    audit = audit_of([*rows_of("a", 60, 100), *rows_of("b", 90, 100), *rows_of("c", 3, 5), *rows_of(None, 30, 50)])
    table = audit.group_table("tone")
    assert [row.name for row in table.tied_with(table.worst)] == ["a"]


def test_a_gap_that_may_be_within_the_tolerance_is_said_to_be_one():
    audit = audit_of([*rows_of("a", 2400, 3000), *rows_of("b", 2562, 3000)])
    assert [row.verdict for row in audit.group_table("tone").rows] == ["NOT ENOUGH DATA"] * 2
    assert named(audit, "tone").column("note") == ("there is a gap, but it may be within the tolerance",) * 2


def test_the_worst_false_positive_rate_is_the_highest():
    rows = [*rows_of("a", 90, 100), *rows_of("b", 60, 100)]
    audit = audit_of(rows, metrics="false_positive_rate")
    assert named(audit, "tone, false positive rate of yes").notes[0] == (
        "The highest false positive rate of yes is that of b, 0.300 above a. Chance alone would give a largest gap of "
        "0.049 on average (permutation p < 0.001)."
    )
    assert "corrected for the one test of this audit (Holm, alpha 0.05)." in named(audit, "audit").notes[-1]


def test_html_escapes_what_comes_from_the_data():
    evil = "<script>alert('x')</script>"
    audit = audit_of([*rows_of(evil, 25, 30), *rows_of("b & c", 2, 3)], column="<i>tone</i>")
    page = audit._repr_html_()
    assert "<script" not in page
    assert "<i>" not in page
    assert "&lt;script&gt;alert(&#x27;x&#x27;)&lt;/script&gt;" in page
    assert "b &amp; c" in page
    assert "Audit by &lt;i&gt;tone&lt;/i&gt;: ? NOT ENOUGH DATA" in page


def test_html_shows_the_largest_gap_beside_chance(audit):
    assert "0.318 below light and medium. Chance alone would give a largest gap of 0.037" in audit._repr_html_()
    assert "✗ FAIL" in audit._repr_html_()


def test_the_data_frame_has_one_row_a_group_and_numbers_as_numbers(audit):
    frame = audit.table("tone")
    assert list(frame["group"]) == ["dark", "deep", "light", "medium", "unseen", "(missing)"]
    assert list(frame["n"]) == [80, 7, 1000, 200, 0, 25]
    assert frame.loc[0, ["rate", "rate_low", "rate_high"]].to_list() == pytest.approx([0.6125, 0.503, 0.712], abs=1e-3)
    assert pd.isna(frame.loc[1, "rate"])
    assert frame["images_needed"].dtype == "Int64"
    assert frame["rate"].dtype == frame["p_holm"].dtype == "float64"
    pd.testing.assert_frame_equal(audit.table(), frame)


def test_an_audit_of_a_newer_format_is_refused(audit):
    with pytest.raises(
        TlkitError, match=r"This audit was written by a newer tlkit \(format 9, this one reads up to 4\)"
    ):
        Audit.from_dict({**audit.to_dict(), "version": 9})


def test_no_torch_is_needed():
    heavy = {"torch", "timm", "matplotlib", "sklearn", "scipy.stats"}
    code = f"import sys, tlkit.audit; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
