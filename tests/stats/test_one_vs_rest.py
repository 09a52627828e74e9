from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from tlkit.stats.influence import Spread, bounded_estimate, spread_of
from tlkit.stats.intervals import wilson
from tlkit.stats.one_vs_rest import FEW_POSITIVES, areas
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


def precision_of_the_others(score: np.ndarray, positive: np.ndarray) -> float:
    """Return the mean over the positives of the precision at their score, of all images but the positive itself."""
    above = [np.delete(positive, one)[np.delete(score, one) >= score[one]] for one in np.flatnonzero(positive)]
    return float(np.mean([one.mean() if len(one) else 1.0 for one in above]))


@given(st.integers(0, 10_000), st.integers(6, 60), st.booleans())
@settings(max_examples=30, deadline=None)
def test_influences_on_average_precision_are_those_of_leaving_out_each_image_in_turn(
    seed: int, n: int, ties: bool
) -> None:
    score, positive, _ = sample(seed, n, ties=ties)
    positive[:3] = True, True, False
    found = areas(score, positive)
    assert found is not None
    area = found[1]

    def left(statistic: Callable[[np.ndarray, np.ndarray], float]) -> np.ndarray:
        return np.array([statistic(np.delete(score, one), np.delete(positive, one)) for one in range(n)])

    plain = left(lambda rest, kept: average_precision_score(kept, rest))
    assert area.bias == pytest.approx((n - 1) * (plain.mean() - area.value), abs=1e-9)
    mean = plain if positive.sum() < FEW_POSITIVES else (plain + left(precision_of_the_others)) / 2
    np.testing.assert_allclose(area.influence, (n - 1) * (mean.mean() - mean), atol=1e-9)


def test_a_bounded_estimate_of_a_share_is_wilsons() -> None:
    variance = 0.8 * 0.2 / 45
    found = bounded_estimate(0.8, Spread(variance, np.inf), n=100, least=100)
    assert (found.low, found.high) == pytest.approx((wilson(36, 45).low, wilson(36, 45).high))
    signed = bounded_estimate(0.6, Spread(4 * variance, np.inf), n=100, least=100, lowest=-1.0)
    assert (signed.low, signed.high) == pytest.approx((2 * found.low - 1, 2 * found.high - 1))


def test_the_variance_of_auroc_is_delongs() -> None:
    score, positive, _ = sample(3, 60, ties=True)
    delong = auroc(score, positive)
    found = areas(score, positive)
    assert found is not None
    spread = spread_of(found[0].influence, None, corrected=True)
    assert 1.959964 * np.sqrt(spread.variance) == pytest.approx(delong.high - delong.value, rel=1e-6)


@pytest.mark.parametrize("weight", [None, np.linspace(0.5, 2, 40)], ids=["", "weighted"])
def test_an_only_positive_says_nothing_of_the_bias_of_its_average_precision(weight: np.ndarray | None) -> None:
    score, positive = np.arange(40.0), np.arange(40) == 38
    found = areas(score, positive, weight)
    assert found is not None
    assert found[1].value == pytest.approx(average_precision_score(positive, score, sample_weight=weight))
    assert found[1].bias == 0


def test_areas_need_positives_and_negatives() -> None:
    assert areas(np.arange(3.0), np.ones(3, dtype=bool)) is None
    assert areas(np.arange(3.0), np.zeros(3, dtype=bool)) is None


def test_an_area_counts_weighted_images_by_their_effective_number() -> None:
    score, positive, weight = sample(3, 60, ties=True)
    found, plain = areas(score, positive, weight), areas(score, positive)
    assert found is not None and plain is not None
    assert (plain[0].positives, plain[0].negatives) == (positive.sum(), (~positive).sum())
    assert found[1].positives == pytest.approx(weight[positive].sum() ** 2 / (weight[positive] ** 2).sum())
    assert found[0].negatives == pytest.approx(weight[~positive].sum() ** 2 / (weight[~positive] ** 2).sum())
