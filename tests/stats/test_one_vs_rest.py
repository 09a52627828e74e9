from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from tlkit.stats.influence import bounded_estimate, mean_df, spread_of
from tlkit.stats.intervals import wilson
from tlkit.stats.one_vs_rest import areas
from tlkit.stats.ranking import auroc


def sample(seed: int, n: int, *, ties: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    positive = rng.random(n) < 0.4
    positive[:2] = True, False
    score = rng.standard_normal(n) + positive
    return np.round(score) if ties else score, positive, rng.random(n) + 0.2


@given(st.integers(0, 10_000), st.integers(2, 50), st.booleans())
@settings(max_examples=80, deadline=None)
def test_areas_are_scikit_learns_also_with_ties_and_weights(seed: int, n: int, ties: bool) -> None:
    score, positive, weight = sample(seed, n, ties=ties)
    for given_weight in (None, weight):
        found = areas(score, positive, given_weight)
        assert found is not None
        for area, theirs in zip(found, (roc_auc_score, average_precision_score), strict=True):
            assert area.value == pytest.approx(theirs(positive, score, sample_weight=given_weight), abs=1e-12)


@given(st.integers(0, 10_000), st.integers(8, 40), st.booleans())
@settings(max_examples=40, deadline=None)
def test_influences_are_the_derivatives_of_scikit_learns_areas_by_weight(seed: int, n: int, ties: bool) -> None:
    score, positive, weight = sample(seed, n, ties=ties)
    found, row, step = areas(score, positive, weight), seed % n, 1e-6
    assert found is not None
    held = positive.sum() if positive[row] else (~positive).sum()
    for area, theirs, factor in zip(
        found, (roc_auc_score, average_precision_score), (np.sqrt(held / max(held - 1, 1)), 1.0), strict=True
    ):
        up, down = (
            theirs(positive, score, sample_weight=weight + sign * step * (np.arange(n) == row)) for sign in (1, -1)
        )
        assert area.influence[row] == pytest.approx((up - down) / (2 * step) * weight.sum() * factor, abs=1e-5)


def test_the_variance_of_auroc_is_delongs() -> None:
    score, positive, _ = sample(3, 60, ties=True)
    delong = auroc(score, positive)
    found = areas(score, positive)
    assert found is not None
    spread = spread_of(found[0].influence, None, corrected=True)
    assert 1.959964 * np.sqrt(spread.variance) == pytest.approx(delong.high - delong.value, rel=1e-6)


def test_areas_need_positives_and_negatives() -> None:
    assert areas(np.arange(3.0), np.ones(3, dtype=bool)) is None
    assert areas(np.arange(3.0), np.zeros(3, dtype=bool)) is None


def test_where_nothing_varies_the_interval_is_wilsons_of_the_smaller_side() -> None:
    score, positive = np.arange(20.0), np.arange(20) >= 14
    found = areas(score, positive)
    assert found is not None
    one = bounded_estimate(found[0].value, spread_of(found[0].influence, None), n=20, least=found[0].least)
    assert (one.low, one.high) == (pytest.approx(wilson(6, 6).low), 1.0)


def test_scores_that_agree_have_the_degrees_of_freedom_of_one() -> None:
    assert mean_df([2.0, 2.0], [9.0, 9.0], of_mean=2.0) == pytest.approx(9.0)
    assert mean_df([2.0, 2.0], [9.0, 9.0], of_mean=1.0) == pytest.approx(18.0)
