"""AUROC and FPR95 in both conventions, by scikit-learn; intervals by simulation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.metrics import roc_auc_score, roc_curve

from tlkit.stats.ood_detection import detection, fpr_at_tpr


def sklearn_fpr(positive, negative):
    fpr, tpr, _ = roc_curve(
        np.repeat([1, 0], [len(positive), len(negative)]), np.concatenate([positive, negative]), drop_intermediate=False
    )
    return fpr[np.flatnonzero(tpr >= 0.95 - 1e-9)[0]]


@pytest.mark.parametrize("ties", [False, True])
def test_values_are_scikit_learns_in_both_conventions(ties):
    rng = np.random.default_rng(0)
    known, unknown = rng.normal(0, 1, 83), rng.normal(1.5, 1, 61)
    if ties:
        known, unknown = known.round(), unknown.round()
    found = detection(known, unknown)
    labels = np.repeat([0, 1], [83, 61])
    assert found.auroc.value == pytest.approx(roc_auc_score(labels, np.concatenate([known, unknown])))
    assert found.fpr95_unknown_positive.value == pytest.approx(sklearn_fpr(unknown, known))
    assert found.fpr95_known_positive.value == pytest.approx(sklearn_fpr(-known, -unknown))
    for one in (found.auroc, found.fpr95_known_positive, found.fpr95_unknown_positive):
        assert one.low <= one.value <= one.high


def test_no_images_on_a_side_is_undefined_with_the_reason():
    assert fpr_at_tpr([], [1.0]).note == "no positives" and fpr_at_tpr([1.0], []).note == "no negatives"
    assert detection(np.zeros(0), np.ones(3)).auroc.value is None


def test_perfect_separation_keeps_an_interval():
    found = fpr_at_tpr(np.arange(100, 150.0), np.arange(50.0))
    assert found.value == 0 and found.low == 0 and 0.03 < found.high < 0.15


def test_copies_that_are_clusters_add_no_certainty():
    rng = np.random.default_rng(1)
    known, unknown = rng.normal(0, 1, 60), rng.normal(1.5, 1, 200)
    alone = detection(known, unknown)
    copied = detection(np.repeat(known, 5), unknown, known_unit=np.repeat(np.arange(60), 5))
    trusted = detection(np.repeat(known, 5), unknown)
    for name in ("auroc", "fpr95_unknown_positive"):
        one, same, narrow = (getattr(which, name) for which in (alone, copied, trusted))
        assert same.value == pytest.approx(one.value)
        assert same.high - same.low == pytest.approx(one.high - one.low, rel=0.25)
        assert narrow.high - narrow.low < 0.75 * (same.high - same.low)


def covered(m, n, shift, draws, seed=0):
    truth = 1 - norm.cdf(norm.ppf(0.05) + shift)
    rng = np.random.default_rng(seed)
    hits = 0
    for draw in range(draws):
        found = fpr_at_tpr(rng.normal(shift, 1, m), rng.normal(0, 1, n), replicates=400, seed=draw)
        hits += found.low <= truth <= found.high
    return hits / draws


def test_intervals_cover():
    assert covered(100, 100, 2.0, 300) > 0.91


@pytest.mark.series
@pytest.mark.parametrize(("m", "n", "shift"), [(50, 50, 2), (200, 60, 1), (60, 200, 3), (500, 500, 2), (100, 100, 2.5)])
def test_intervals_cover_in_a_long_series(m, n, shift):
    assert 0.93 <= covered(m, n, shift, 2000, seed=1) <= 0.985
