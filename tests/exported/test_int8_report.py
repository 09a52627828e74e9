"""int8 passes only where the paired interval lies above the tolerance, overall and in every audited group."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from statsmodels.stats.contingency_tables import mcnemar

from tlkit.audit.groups.group_columns import GroupColumn
from tlkit.audit.options import AuditOptions
from tlkit.errors import PredictionsError
from tlkit.exported.int8_report import Int8Report, judge_int8
from tlkit.predictions import Predictions
from tlkit.stats.paired import Pairs, paired_difference


def predictions(right, groups=None):
    count = len(right)
    return Predictions.build(
        classes=["ant", "bee"],
        path=[f"{number}.jpg" for number in range(count)],
        y_true=[0] * count,
        y_pred=[0 if one else 1 for one in right],
        groups=None if groups is None else pd.DataFrame(groups),
    )


def pair(*, both, lost, gained, neither, groups=None):
    counts = (both, lost, gained, neither)
    first = np.repeat([True, True, False, False], counts)
    second = np.repeat([True, False, True, False], counts)
    return predictions(first, groups), predictions(second, groups)


# Of 200 photos float32 has 180 right; per channel 180, per tensor 170.
PER_CHANNEL = {"both": 177, "lost": 3, "gained": 3, "neither": 17}
PER_TENSOR = {"both": 166, "lost": 14, "gained": 4, "neither": 16}


@pytest.mark.parametrize(
    ("counts", "verdict", "code"),
    [
        (PER_CHANNEL, "PASS", 0),
        (PER_TENSOR, "NOT ENOUGH DATA", 3),
        ({"both": 27, "lost": 0, "gained": 0, "neither": 3}, "NOT ENOUGH DATA", 3),
        ({"both": 140, "lost": 40, "gained": 2, "neither": 18}, "FAIL", 1),
    ],
)
def test_the_gate_passes_per_channel_and_does_not_pass_per_tensor(counts, verdict, code):
    report = judge_int8(*pair(**counts), split="val")
    row = report.gate.rows[0]
    assert (report.verdict, report.exit_code) == (verdict, code)
    expected = paired_difference(Pairs(counts["both"], counts["lost"], counts["gained"], counts["neither"]))
    assert row.value.low == pytest.approx(expected.low)
    assert report.changed == counts["lost"] + counts["gained"]
    assert report.first.value == pytest.approx((counts["both"] + counts["lost"]) / row.n)
    if counts["lost"]:
        table = [[counts["both"], counts["lost"]], [counts["gained"], counts["neither"]]]
        assert row.p_holm == pytest.approx(mcnemar(table, exact=True).pvalue)


def test_one_group_that_got_worse_fails_although_all_images_pass():
    groups = {"tone": ["dark"] * 100 + ["light"] * 1900}
    first = [True] * 2000
    second = [False] * 30 + [True] * 1970
    options = AuditOptions(columns=(GroupColumn("tone"),))
    report = judge_int8(predictions(first, groups), predictions(second, groups), split="test", options=options)
    verdicts = {row.group: row.verdict for row in report.gate.rows}
    assert verdicts["all images"] == "PASS"
    assert verdicts["light"] == "PASS"
    assert verdicts["dark"] == "FAIL"
    assert report.exit_code == 1


def test_a_small_group_has_no_number_and_no_pass():
    groups = {"tone": ["dark"] * 5 + ["light"] * 1995}
    options = AuditOptions(columns=(GroupColumn("tone"),))
    same = [True] * 2000
    report = judge_int8(predictions(same, groups), predictions(same, groups), split="test", options=options)
    dark = next(row for row in report.gate.rows if row.group == "dark")
    assert dark.verdict == report.verdict == "NOT ENOUGH DATA"
    assert dark.value.value is dark.value.low is None
    assert all(row["value"]["low"] is None for row in report.to_dict()["gate"]["rows"] if row["group"] == "dark")


def test_a_report_survives_json():
    report = judge_int8(*pair(**PER_CHANNEL), split="val")
    assert Int8Report.from_dict(json.loads(json.dumps(report.to_dict()))) == report
    assert [table.name for table in report.tables()] == ["int8", "gates"]


def test_a_missing_column_is_named():
    with pytest.raises(PredictionsError, match="tone"):
        judge_int8(*pair(**PER_CHANNEL), split="val", options=AuditOptions(columns=(GroupColumn("tone"),)))
