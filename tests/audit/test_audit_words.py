"""What a person reads: sentences, text tables, HTML and DataFrames of an audit."""

from __future__ import annotations

import re
import subprocess
import sys

import pandas as pd
import pytest
from messages import saying, says

from tlkit.audit import Audit, audit_groups
from tlkit.audit.words import p_text, signed
from tlkit.errors import TlkitError
from tlkit.predictions import Predictions
from tlkit.render.report.audit_part import audit_tile
from tlkit.stats.estimate import Estimate


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


def test_the_sentences_say_what_is_known_and_what_is_not(audit):
    assert audit.sentences() == [
        saying("1,312", "0.905", "0.888", "0.920", "3", "assessed", "accuracy"),
        saying(
            "tone",
            "0.613",
            "0.503",
            "0.712",
            "80",
            "0.318",
            "0.930",
            "0.912",
            "0.944",
            "1000",
            "0.886",
            "0.958",
            "200",
            "0.037",
            "0.001",
        ),
        saying("FAIL", "dark", "0.613", "0.503", "0.712", "80", "0.05", "-0.315", "-0.425", "-0.214", "0.001"),
        saying("FAIL", "light", "0.930", "0.912", "0.944", "1000", "0.05", "+0.101", "+0.058", "+0.151", "0.001"),
        saying("NOT ENOUGH DATA", "deep", "7", "660", "200", "0.08", "630", "25", "0.23", "0.05"),
        saying("0", "labelled", "unseen"),
        saying("25", "0.609", "0.911", "missing", "accuracy"),
        saying("FAIL", "PASS", "0.05", "95%", "4", "0.15"),
    ]


def test_the_text_table_shows_the_size_in_place_of_a_rate_that_is_not_one(audit):
    assert audit.summary_rows() == [
        ("by", "group", "n", "accuracy [95%]", "against the rest [95%]", "p (Holm)", "verdict"),
        ("tone", "dark", "80", "0.613 [0.503, 0.712]", "-0.315 [-0.425, -0.214]", "<0.001", "FAIL"),
        ("tone", "deep", "7", "n = 7", "–", "–", "NOT ENOUGH DATA"),
        ("tone", "light", "1000", "0.930 [0.912, 0.944]", "+0.101 [+0.058, +0.151]", "<0.001", "FAIL"),
        ("tone", "medium", "200", "0.930 [0.886, 0.958]", "+0.027 [-0.020, +0.060]", "0.288", "NOT ENOUGH DATA"),
        ("tone", "unseen", "0", "n = 0", "–", "–", "–"),
        ("tone", "(missing)", "25", "[0.609, 0.911]", "[-0.299, +0.005]", "0.158", "NOT ENOUGH DATA"),
    ]


def test_the_text_table_names_the_rate_where_there_are_several():
    rows = audit_of([*rows_of("a", 25, 30), *rows_of("b", 25, 30)], metrics=["accuracy", "recall"]).summary_rows()
    assert rows[0] == ("by", "group", "rate", "n", "value [95%]", "against the rest [95%]", "p (Holm)", "verdict")
    assert [row[2] for row in rows[1:]] == ["accuracy"] * 2 + ["recall of yes"] * 2
    assert rows[3][4] == "n = 0"


def test_passing_groups_and_equal_groups_are_said_to_be_so():
    same = audit_of([*rows_of("a", 900, 1000), *rows_of("b", 1800, 2000)])
    assert same.verdict == "PASS"
    assert same.sentences()[1:3] == [
        saying("0.900", "0.880", "0.917", "1000", "groups", "accuracy"),
        saying("PASS", "0.05"),
    ]


def test_groups_that_tie_for_the_lowest_rate_are_all_named():
    two = audit_of([*rows_of("a", 60, 100), *rows_of("b", 30, 50), *rows_of("c", 90, 100)])
    assert two.sentences()[1].startswith(
        "tone: the lowest accuracy is that of a, 0.600 [0.502, 0.691] (n = 100), and b, 0.600 [0.462, 0.724] (n = 50), "
        "0.300 below c, 0.900 [0.826, 0.945] (n = 100). Chance"
    )
    five = audit_of([*(row for name in "abcdef" for row in rows_of(name, 60, 100)), *rows_of("g", 90, 100)])
    assert five.sentences()[1].startswith(
        "tone: the lowest accuracy is that of a, 0.600 [0.502, 0.691] (n = 100), and 5 others (b, c, d and 2 more), "
        "0.300 below g, 0.900 [0.826, 0.945] (n = 100). Chance"
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
    assert audit.sentences()[2] == saying("tone", "NOT ENOUGH DATA", "3000", "0.03")


def test_the_worst_false_positive_rate_is_the_highest():
    rows = [*rows_of("a", 90, 100), *rows_of("b", 60, 100)]
    audit = audit_of(rows, metrics="false_positive_rate")
    assert audit.sentences()[1] == (
        saying("tone", "0.400", "0.309", "0.498", "100", "0.300", "0.100", "0.055", "0.174", "0.049", "0.001")
    )
    assert audit.sentences()[-1].endswith("p-values are corrected for the one test of this audit (Holm, alpha 0.05).")


def test_html_escapes_what_comes_from_the_data():
    evil = "<script>alert('x')</script>"
    audit = audit_of([*rows_of(evil, 25, 30), *rows_of("b & c", 2, 3)], column="<i>tone</i>")
    page = audit._repr_html_()
    assert "<script" not in page
    assert "<i>" not in page
    assert "&lt;script&gt;alert(&#x27;x&#x27;)&lt;/script&gt;" in page
    assert "b &amp; c" in page
    assert "n = 3" in page
    assert says(page, "NOT ENOUGH DATA", "Audit", "tone")
    tags = re.findall(r"</?([a-z]+)>", page)
    assert set(tags) == {
        "div",
        "p",
        "b",
        "br",
        "table",
        "caption",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
        "details",
        "summary",
    }
    assert all(page.count(f"<{tag}>") == page.count(f"</{tag}>") for tag in set(tags) - {"br"})


def test_html_shows_the_largest_gap_beside_chance(audit):
    assert says(audit._repr_html_(), "0.318", "0.037", "0.001", "expected", "permutation")
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
    with pytest.raises(TlkitError, match=saying("9", "3", "written", "format").pattern):
        Audit.from_dict({**audit.to_dict(), "version": 9})


def test_small_numbers_as_text():
    assert [p_text(p) for p in (None, 0.0, 0.0009, 0.001, 0.5, 1.0)] == [
        "–",
        "<0.001",
        "<0.001",
        "0.001",
        "0.500",
        "1.000",
    ]
    assert signed(Estimate(0.1, -0.05, 0.2, n=9)) == "+0.100 [-0.050, +0.200]"
    assert signed(Estimate(None, None, None, n=0, note="no images on one side")) == saying(
        "undefined", "images", "side"
    )


def test_no_torch_is_needed():
    heavy = {"torch", "timm", "matplotlib", "sklearn", "scipy.stats"}
    code = f"import sys, tlkit.audit; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
