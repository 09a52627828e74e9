"""What leaves the run holds no number that the tables hide."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from messages import saying, says
from tables_of_predictions import predictions_of

from tlkit.audit import Audit, Comparison, audit_groups, compare_predictions, explain_gaps
from tlkit.audit.explanation import Explanation
from tlkit.audit.gates.gate_verdicts import judge_gates
from tlkit.audit.rates import METRICS
from tlkit.audit.redaction import redacted_comparison, redacted_explanation
from tlkit.errors import TlkitError
from tlkit.recipe.gates_file import load_gates

COUNTS = {"few": (11, 24), "tiny": (5, 7), "many": (360, 400), "more": (283, 300)}


@pytest.fixture(scope="module")
def predictions():
    generator = np.random.default_rng(0)
    names = [name for name, (_, n) in COUNTS.items() for _ in range(n)]
    right = np.array([i < k for k, n in COUNTS.values() for i in range(n)])
    y = generator.integers(0, 2, len(names))
    sure = generator.uniform(0.5, 1, len(names))
    chosen = np.where(right, y, 1 - y)
    proba = np.where(np.eye(2)[chosen] == 1, sure[:, None], 1 - sure[:, None])
    return predictions_of(y, proba=proba, g=names, h=generator.choice(["x", "y"], len(names)))


def model_before(predictions):
    """Return another model's predictions of the same images."""
    return replace(predictions, y_pred=(predictions.y_pred + (np.arange(len(predictions)) % 5 == 0)) % 2, proba=None)


@pytest.fixture(scope="module")
def audit(predictions):
    return audit_groups(predictions, by=["g", "h"], criteria=["accuracy_parity", "equalized_odds"])


def numbers(values):
    """All numbers of plain JSON values, with their keys."""
    if isinstance(values, dict):
        return [
            (key, one)
            for name, entry in values.items()
            for key, one in (*numbers(entry), (name, entry))
            if isinstance(one, float)
        ]
    return [pair for entry in values for pair in numbers(entry)] if isinstance(values, list) else []


def test_no_number_that_the_tables_hide_is_published(audit):
    published = audit.to_redacted()
    told = {round(abs(one), 9) for _, one in numbers(published)}
    hidden = set()
    for table in audit.group_tables:
        for row in table.rows:
            if row.wide:
                hidden |= {row.rate.value, row.rate.value - 1, row.shrunk and row.shrunk.value}
                hidden |= {one and one.value for one in (row.difference, row.ratio, row.error_ratio, row.best_ratio)}
        if table.gap is not None and table.row(table.gap.lowest).wide:
            hidden |= {table.gap.value, table.gap.ratio}
    hidden = {round(abs(one), 9) for one in hidden - {None}} - {0.0, 1.0}
    assert len(hidden) >= 8
    kept = {  # rates of other rows, which may have the same value, and are shown
        round(abs(one), 9)
        for table in audit.group_tables
        for row in table.rows
        if not row.wide and row.rate.value is not None
        for one in (row.rate.value, row.shrunk.value)
    }
    assert not (hidden - kept) & told


def test_small_groups_have_their_size_and_nothing_else(audit):
    for table in audit.to_redacted()["group_tables"]:
        for row in table["rows"]:
            if row["group"] == ["tiny"]:
                assert row["images"] == 7
                assert row["rate"]["n"] <= 7
                left = {key for key, one in row.items() if one is not None and one is not False}
                assert left <= {"group", "images", "rate", "verdict", "images_needed", "complement_needed"}
                assert (row["rate"]["value"], row["rate"]["low"]) == (None, None)
    assert all("right" not in column for column in audit.to_redacted()["columns"])


def test_what_is_shown_is_published_as_it_is(audit):
    published = audit.to_redacted()
    for table, plain in zip(audit.to_dict()["group_tables"], published["group_tables"], strict=True):
        for row, shown in zip(table["rows"], plain["rows"], strict=True):
            assert (shown["rate"]["low"], shown["p_holm"], shown["verdict"]) == (
                row["rate"]["low"],
                row["p_holm"],
                row["verdict"],
            )
            if row["group"] in (["many"], ["more"]) and table["metric"] == "accuracy":
                assert shown["rate"] == row["rate"]
    few = published["group_tables"][0]["rows"][0]["rate"]
    assert (few["value"], few["n"], few["note"]) == (None, 24, saying("too few images"))
    assert published["complete"] is False
    assert json.loads(json.dumps(published, allow_nan=False)) == published


def test_what_was_published_says_so_and_is_not_taken_for_the_whole(audit, predictions):
    assert Audit.from_dict(audit.to_dict()) == audit
    with pytest.raises(TlkitError) as caught:
        Audit.from_dict(audit.to_redacted())
    assert says(caught.value, "published without", "audit.json", "Audit.to_dict")
    explanation = explain_gaps(predictions, by="g")
    assert Explanation.from_dict(explanation.to_dict()) == explanation
    with pytest.raises(TlkitError, match="This explanation was published"):
        Explanation.from_dict(redacted_explanation(explanation, most=0.15))


def test_an_explanation_is_published_without_the_same_numbers(predictions, audit):
    explanation = explain_gaps(predictions, by="g")
    few = next(group for group in explanation.columns[0].groups if group.group == "few")
    assert few.accuracy.is_wide(0.15)
    told = {round(abs(one), 9) for _, one in numbers(redacted_explanation(explanation, most=0.15))}
    for one in (few.accuracy, few.difference, few.split.gap):
        assert round(abs(one.value), 9) not in told
        assert round(abs(one.low), 9) in told


def test_gates_give_away_no_more_than_the_tables(tmp_path, predictions, audit):
    (tmp_path / "gates.yaml").write_text(
        "gates_version: 1\ntolerances: [{by: g, tolerance: 0.05}]\nlimits: [{by: g, at_least: 0.8}]\n"
        "no_worse_than: {baseline: before.csv, by: [g], margin: 0.1}\n"
    )
    before = model_before(predictions)
    report = judge_gates(predictions, load_gates(tmp_path / "gates.yaml", metrics=METRICS), baseline=before)
    rows = {(row.kind, row.group): row for row in report.rows}
    few, tiny = rows["at least", "few"], rows["at least", "tiny"]
    assert few.value.format() == "[0.279, 0.649]"
    assert few.verdict == "FAIL"  # what is hidden takes part in the verdict
    for row in (tiny, rows["no worse", "tiny"], rows["tolerance", "tiny"]):
        assert (row.n, row.value.value, row.value.low) == (7, None, None)
    assert rows["no worse", "tiny"].value.low is None
    written = report.to_junit() + report.to_markdown() + json.dumps(report.to_dict()) + report._repr_html_()
    row = audit.group_table("g").row(("few",))
    for hidden in (row.rate.value, row.difference.value, 5 / 7):
        assert f"{abs(hidden):.3f}" not in written


def test_a_comparison_shows_the_size_of_small_groups_and_nothing_else(predictions):
    before = model_before(predictions)
    comparison = compare_predictions(before, predictions, by="g")
    published = redacted_comparison(comparison)
    few, tiny = (next(row for row in published["rows"] if row["name"] == name) for name in ("few", "tiny"))
    assert few["pairs"]["neither"] >= 0
    assert (tiny["pairs"], tiny["p"], tiny["first"]["value"], tiny["second"]["low"]) == (None, None, None, None)
    assert tiny["difference"]["note"] == saying("7", "20")
    assert ("g", "tiny", 7, *[None] * 6, "not distinguishable") in comparison.tables()[0].rows
    assert f"{5 / 7:.3f}" not in comparison._repr_html_()
    assert Comparison.from_dict(comparison.to_dict()) == comparison
    with pytest.raises(TlkitError, match="This comparison was published"):
        Comparison.from_dict(published)
