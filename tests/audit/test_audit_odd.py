"""Odd tables: what an audit says where there is hardly anything to say."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from messages import saying, says
from tables_of_predictions import predictions_of

from tlkit.audit import Audit, audit_groups
from tlkit.audit.number_audit import audit_numbers
from tlkit.audit.options import AuditOptions
from tlkit.predictions import NumberPredictions
from tlkit.stored_values import parse_json


def audit_of(right, *, by="g", options=None, **columns):
    truth = [0, 1] * (len(right) // 2)
    guess = [one if good else 1 - one for one, good in zip(truth, right, strict=True)]
    predictions = predictions_of(truth, guess, **columns)
    audit = audit_groups(predictions, by=by, **(options or {}))
    assert Audit.from_dict(json.loads(json.dumps(audit.to_dict(), allow_nan=False))) == audit
    json.dumps(audit.to_redacted(), allow_nan=False)
    audit._repr_html_()
    return audit


def test_without_any_error_no_group_is_said_to_lie_above_itself():
    audit = audit_of([True] * 400, g=["a"] * 200 + ["b"] * 200, options={"criteria": "equalized_odds"})
    (table,) = [table for table in audit.tables() if table.name == "criteria"]
    row = dict(zip((column.name for column in table.columns), table.rows[0], strict=True))
    assert (row["verdict"], row["gap"], row["highest"], row["lowest"]) == ("PASS", 0.0, None, None)
    assert (row["lowest_base"], row["highest_base"]) == (0.5, 0.5)


def test_one_image_with_nearly_all_the_weight_decides_nothing():
    right = np.random.default_rng(0).random(600) < 0.85
    audit = audit_of(right, g=["a"] * 300 + ["b"] * 300, w=[1e9] + [1] * 599, options={"weights": "w"})
    row = audit.group_table("g").row(("a",))
    assert row.n_eff == pytest.approx(1, abs=1e-3)
    assert row.verdict == "NOT ENOUGH DATA"
    assert np.isfinite([row.error_ratio.low, row.error_ratio.high]).all()


@pytest.mark.parametrize(
    ("columns", "options", "why"),
    [
        ({"c": ["x"] * 600}, {"cluster_by": "c"}, "fewer than two clusters (column c)"),
        ({"c": ["a"] * 300 + ["b"] * 300}, {"cluster_by": "c"}, "fewer than two clusters (column c)"),
        ({"w": [1] * 300 + [0] * 300}, {"weights": "w"}, "weight 0 (column w)"),
    ],
)
def test_groups_that_cannot_be_compared_are_said_to_be_so_with_the_reason(columns, options, why):
    right = np.random.default_rng(0).random(600) < 0.85
    audit = audit_of(right, g=["a"] * 300 + ["b"] * 300, options=options, **columns)
    table = audit.tables()[1]
    notes = " ".join(table.notes)
    assert says(notes, "Fewer than two groups", why)
    assert says(table.rows[1][-1], "one cluster" if "c" in columns else "no image has a weight")


def test_a_group_that_everybody_is_in_has_nobody_to_be_compared_with():
    audit = audit_of([True] * 500 + [False] * 100, g=["x;y"] * 600, by="g:separator=;")
    assert audit.tables()[1].column("note") == (saying("too few", "compare"),) * 2


@pytest.mark.parametrize("tolerance", [1e-320, 1e-150, 1e-17, 1e-9])
def test_an_audit_with_a_tolerance_of_almost_nothing_is_stored_and_read_back(tolerance):
    y = np.arange(80) % 2
    site = np.where(np.arange(80) % 3, "a", "b")
    classes = audit_groups(
        predictions_of(y, np.where(np.arange(80) % 7, y, 1 - y), site=site), by="site", tolerance=tolerance
    )
    assert Audit.from_dict(parse_json(json.dumps(classes.to_dict()))).to_dict() == classes.to_dict()
    numbers = NumberPredictions.build(
        path=[f"{n}.jpg" for n in range(80)],
        y_true=y * 1e29,
        y_pred=y * 1e29 + np.arange(80) * 1e27,
        groups=pd.DataFrame({"site": site}),
    )
    audit = audit_numbers(numbers, AuditOptions().with_overrides(by="site", tolerance=tolerance))
    assert parse_json(json.dumps(audit.to_dict()))
