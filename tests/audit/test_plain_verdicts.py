"""The verdicts in words agree with the tables of the audit, and hide what the tables hide."""

from __future__ import annotations

import re

import pytest
from tables_of_predictions import predictions_of

from tlkit.audit.audit import audit_groups
from tlkit.audit.plain_verdicts import OTHERS, plain_verdicts
from tlkit.predictions import Predictions


def predictions(right: dict[str, tuple[int, int]], **more: list[str]) -> Predictions:
    """Return predictions with so many right of so many images in each group of the column `site`."""
    sites = [site for site, (_, n) in right.items() for _ in range(n)]
    wrong = [int(i >= hits) for hits, n in right.values() for i in range(n)]
    return predictions_of([0] * len(sites), wrong, site=sites, **more)


def test_a_group_below_and_one_above_the_rest_are_told_apart_with_their_figures():
    (found,) = plain_verdicts(audit_groups(predictions({"a": (300, 400), "b": (395, 400), "c": (352, 400)}), by="site"))
    assert (found.by, found.verdict) == ("site", "FAIL")
    below, above = found.text.index("a is recognised less often"), found.text.index("b is recognised more often")
    assert below < above
    rest = (395 + 352) / 800
    assert f"{300 / 400:.0%}" in found.text and f"{rest:.0%}" in found.text
    assert "beyond the 5 points you allow" in found.text


def test_the_interval_in_the_sentence_is_that_of_the_difference():
    audit = audit_groups(predictions({"a": (300, 400), "b": (392, 400)}), by="site", tolerance=0.025)
    row = audit.group_table("site").rows[0]
    (found,) = plain_verdicts(audit)
    near, far = re.search(r"\((\d+) to (\d+) points lower\)", found.text).groups()
    assert (int(near), int(far)) == (round(-100 * row.difference.high), round(-100 * row.difference.low))
    assert "2.5 points you allow" in found.text


def test_groups_without_a_gap_pass_and_too_few_images_say_how_many_more():
    (passed,) = plain_verdicts(audit_groups(predictions({"a": (3600, 4000), "b": (3600, 4000)}), by="site"))
    assert passed.verdict == "PASS" and "No group differs" in passed.text
    audit = audit_groups(predictions({"a": (27, 30), "b": (26, 30)}), by="site")
    (few,) = plain_verdicts(audit)
    assert few.verdict == "NOT ENOUGH DATA" and "NOT ENOUGH DATA" in few.text and "there are 30 each" in few.text
    needed = max(row.images_needed for row in audit.group_table("site").rows)
    assert f"{int(float(f'{needed:.2g}')):,}" in few.text


def test_intersections_and_other_rates_are_one_line():
    sexes = ["f", "m"] * 400
    given = predictions({"a": (300, 400), "b": (395, 400)}, sex=sexes)
    found = plain_verdicts(audit_groups(given, by=["site", "sex"], max_intersection_order=2))
    assert [one.by for one in found] == ["site", "sex", OTHERS]
    assert found[-1].verdict == "FAIL" and "×" in found[-1].text


def test_a_withheld_rate_is_not_in_the_sentence():
    audit = audit_groups(predictions({"a": (6, 24), "b": (240, 250)}), by="site", min_group_size=10)
    row = audit.group_table("site").rows[0]
    assert row.verdict == "FAIL" and row.rate.is_wide(audit.settings.max_half_width)
    (found,) = plain_verdicts(audit)
    assert "25%" not in found.text and "points lower" in found.text


@pytest.mark.parametrize("name", ["", "\x1b[31m", "x" * 200, "ü × %s {0}"])
def test_any_group_name_is_told(name):
    shown = name or "(empty)"
    (found,) = plain_verdicts(audit_groups(predictions({shown: (300, 400), "b": (395, 400)}), by="site"))
    assert shown in found.text


def test_too_few_people_are_counted_in_people_not_in_images():
    who = ["ann"] * 40 + ["bob"] * 43 + ["eva"] * 40 + ["kim"] * 43
    audit = audit_groups(predictions({"a": (60, 83), "b": (70, 83)}, who=who), by="site", cluster_by="who")
    (few,) = plain_verdicts(audit)
    assert few.verdict == "NOT ENOUGH DATA"
    assert "clusters of who" in few.text and "there are 2 each" in few.text and "images" not in few.text
    needed = [row.clusters_needed for row in audit.group_table("site").rows if row.clusters_needed is not None]
    assert not needed or f"{int(float(f'{max(needed):.2g}')):,}" in few.text
