"""The audit of masks: mean IoU by group, a planted gap, no false alarms, and what does not apply."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from tlkit.audit import audit_masks
from tlkit.audit.options import AuditOptions
from tlkit.errors import PredictionsError
from tlkit.predictions import MaskPredictions


def predictions(rng, quality, groups):
    """Return masks of which a share of the pixels is right, image by image."""
    true = rng.integers(0, 3, (len(quality), 12, 12))
    called = np.where(rng.random(true.shape) < quality[:, None, None], true, rng.integers(0, 3, true.shape))
    return MaskPredictions.build(
        classes=["background", "cat", "dog"],
        path=[f"{row}.png" for row in range(len(quality))],
        masks=zip(true, called, strict=True),
        groups=groups,
    )


def lights(rng, n):
    return pd.DataFrame({"light": rng.choice(["day", "night"], n)})


def test_groups_have_the_mean_iou_of_their_images_and_welch_like_tests():
    rng = np.random.default_rng(0)
    groups = lights(rng, 80)
    found = predictions(rng, rng.uniform(0.5, 0.9, 80), groups)
    audit = audit_masks(found, AuditOptions().with_overrides(by=["light"]))
    means = np.nanmean(found.image_iou, axis=1)
    night = (groups["light"] == "night").to_numpy()
    table = audit.group_table("light", metric="mean_iou")
    row = next(row for row in table.rows if row.name == "night")
    assert row.rate.value == pytest.approx(means[night].mean())
    assert row.difference.value == pytest.approx(means[night].mean() - means[~night].mean())
    cat = audit.group_table("light", metric="iou", class_name="cat")
    assert next(row for row in cat.rows if row.name == "night").rate.value == pytest.approx(
        found.image_iou[night, 1].mean()
    )
    ours, theirs = row.difference, stats.ttest_ind(means[night], means[~night], equal_var=False)
    low, high = theirs.confidence_interval(0.95)
    assert (ours.low, ours.high) == (pytest.approx(low, abs=0.01), pytest.approx(high, abs=0.01))
    assert audit.tests == 4  # the mean and three classes; two groups are one test each


def test_a_planted_gap_fails_and_equal_groups_pass_or_stay_open():
    rng = np.random.default_rng(1)
    groups = lights(rng, 200)
    worse = np.where(groups["light"] == "night", 0.5, 0.9)
    assert audit_masks(predictions(rng, worse, groups), AuditOptions().with_overrides(by=["light"])).verdict == "FAIL"
    same = audit_masks(predictions(rng, np.full(200, 0.9), groups), AuditOptions().with_overrides(by=["light"]))
    assert same.verdict == "PASS"
    few = predictions(rng, rng.uniform(0.1, 1, 50), groups.head(50))
    assert audit_masks(few, AuditOptions().with_overrides(by=["light"])).verdict == "NOT ENOUGH DATA"


def test_null_sets_seldom_fail():
    rng, failed = np.random.default_rng(2), 0
    for _ in range(100):
        n = 60
        found = predictions(rng, rng.uniform(0.4, 1, n), pd.DataFrame({"light": rng.choice(["a", "b", "c"], n)}))
        audit = audit_masks(found, AuditOptions().with_overrides(by=["light"], tolerance=0.0, min_group_size=5))
        failed += audit.verdict == "FAIL"
    assert failed <= 9  # 5 % + 2 standard errors


def test_images_of_one_scene_are_one_unit():
    rng = np.random.default_rng(3)
    scene = np.repeat(np.arange(30), 6)
    groups = pd.DataFrame(
        {"light": np.where(np.arange(30) % 2, "day", "night")[scene], "scene": [f"s{one}" for one in scene]}
    )
    found = predictions(rng, rng.uniform(0.4, 1, 30)[scene], groups)
    alone, together = (
        audit_masks(found, AuditOptions().with_overrides(by=["light"], cluster_by=cluster))
        .group_table("light", metric="mean_iou")
        .rows[0]
        .difference
        for cluster in (None, "scene")
    )
    assert together.high - together.low > 1.8 * (alone.high - alone.low)


def test_what_is_about_classes_of_images_is_refused():
    rng = np.random.default_rng(4)
    found = predictions(rng, np.full(40, 0.9), lights(rng, 40))
    options = AuditOptions().with_overrides(by=["light"], criteria=["equalized_odds"])
    with pytest.raises(PredictionsError, match="Criteria are about classes of images"):
        audit_masks(found, options)
    with pytest.raises(PredictionsError, match="cow"):
        audit_masks(found, AuditOptions().with_overrides(by=["light"], positive="cow"))
    one = audit_masks(found, AuditOptions().with_overrides(by=["light"], positive="cat"))
    assert {(table.metric, table.class_name) for table in one.group_tables} == {("iou", "cat")}
