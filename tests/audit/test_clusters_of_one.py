"""Independent images are clusters of one image: the path by clusters and the fast path by counts agree.

Every point estimate is the same. So are Wilson's and Newcombe's intervals of images that all weigh one. Intervals by
clusters of one rest on an estimated variance, Student's t and N − 1: they are wider, by less than five hundredths here.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tables_of_predictions import predictions_of

from tlkit.audit import audit_groups, compare_predictions, explain_gaps

IMAGES = 4000
ESTIMATES = ("macro_recall", "macro_recall_common", "confidence_gap", "brier", "log_loss")
BY_CLASS = ("recall", "auroc", "auroc_positives", "auroc_negatives")


@pytest.fixture(scope="module")
def table():
    """Return 4,000 images of two classes at three sites, each image its own subject, each of weight one."""
    generator = np.random.default_rng(3)
    y = generator.integers(0, 2, IMAGES)
    site = generator.choice(["a", "b", "c"], IMAGES)
    age = generator.choice(["10-19", "20-29", "30-39"], IMAGES)
    sure = generator.beta(4, 2, IMAGES) - np.where(site == "a", 0.1, 0.0)
    own = np.clip(sure, 0.01, 0.99)
    proba = np.where(np.arange(2) == y[:, None], own[:, None], 1 - own[:, None])
    return predictions_of(y, proba=proba, site=site, age=age, subject=np.arange(IMAGES).astype(str), w=["1"] * IMAGES)


def same(one, two, *, within=None):
    """Check two estimates: equal values; intervals equal, or those of `two` wider by the given share at most."""
    assert two.value == pytest.approx(one.value, abs=1e-9)
    if one.low is None:
        return
    if within is None:
        assert (two.low, two.high) == pytest.approx((one.low, one.high), abs=1e-9)
    else:
        width = (two.high - two.low) / (one.high - one.low)
        assert 1 - within < width < 1 + within


DESIGNS = [
    pytest.param({"weights": "w"}, None, id="weights of one"),
    pytest.param({"cluster_by": "subject"}, 0.05, id="clusters of one"),
]


@pytest.mark.parametrize(("design", "within"), DESIGNS)
def test_rates_and_differences_agree(table, design, within):
    asked = {"by": ["site", "age"], "metrics": ["accuracy", "recall"], "draws": 100, "max_intersection_order": 1}
    plain, other = (audit_groups(table, **asked, **more) for more in ({}, design))
    same(plain.overall, other.overall, within=within)
    for one, two in zip(plain.group_tables, other.group_tables, strict=True):
        for row, designed in zip(one.rows, two.rows, strict=True):
            same(row.rate, designed.rate, within=within)
            same(row.difference, designed.difference, within=within)
            assert designed.verdict == row.verdict


@pytest.mark.parametrize(("design", "within"), DESIGNS)
def test_profiles_agree(table, design, within):
    plain, other = (audit_groups(table, by="site", draws=100, **more) for more in ({}, design))
    for row, designed in zip(plain.profiles[0].rows, other.profiles[0].rows, strict=True):
        for name in ESTIMATES:
            same(getattr(row, name), getattr(designed, name), within=0.05)
        for name in BY_CLASS:
            for one, two in zip(getattr(row, name).values(), getattr(designed, name).values(), strict=True):
                same(one, two, within=within if name == "recall" else 0.05)
        assert designed.aurc == pytest.approx(row.aurc)
        assert designed.calibration == pytest.approx(row.calibration)
        assert designed.calibration_expected == pytest.approx(row.calibration_expected, rel=0.05)


@pytest.mark.parametrize(("design", "within"), DESIGNS)
def test_explanations_agree(table, design, within):
    plain, other = (explain_gaps(table, by=["site", "age"], **more) for more in ({}, design))
    for one, two in zip(plain.columns, other.columns, strict=True):
        for group, designed in zip(one.groups, two.groups, strict=True):
            same(group.accuracy, designed.accuracy, within=within)
            same(group.difference, designed.difference, within=within)
            assert designed.split.mix.value == pytest.approx(group.split.mix.value, abs=1e-9)
            assert (designed.train, designed.judged_share) == (group.train, group.judged_share)
        for gap, designed in zip(one.adjusted, two.adjusted, strict=True):
            assert designed.odds.pooled.value == pytest.approx(gap.odds.pooled.value)
            assert designed.gap.value == pytest.approx(gap.gap.value, abs=1e-6)
        for cells, designed in zip(one.heat.cells, two.heat.cells, strict=True):
            for cell, clustered in zip(cells, designed, strict=True):
                same(cell.recall, clustered.recall, within=within)
                same(cell.difference, clustered.difference, within=within)
    for link, designed in zip(plain.associations, other.associations, strict=True):
        assert designed.association.v == pytest.approx(link.association.v, abs=0.02)


def test_comparisons_agree(table):
    generator = np.random.default_rng(5)
    worse = np.where(generator.random(IMAGES) < 0.05, 1 - table.y_pred, table.y_pred)
    other = replace(table, y_pred=worse)
    plain, clustered = (
        compare_predictions(table, other, by="site", **more) for more in ({}, {"cluster_by": "subject"})
    )
    for row, designed in zip(plain.rows, clustered.rows, strict=True):
        assert (designed.pairs, designed.change) == (row.pairs, row.change)
        same(row.first, designed.first, within=0.01)
        same(row.difference, designed.difference, within=0.02)
