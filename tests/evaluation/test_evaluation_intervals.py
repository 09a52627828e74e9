from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from messages import saying
from scipy import stats

from tlkit.evaluation.class_intervals import f1_bounds, macro_estimates
from tlkit.stats.bootstrap import percentile_estimate
from tlkit.stats.intervals import wilson
from tlkit.stats.means import mean_estimate


def macro_f1(table: np.ndarray) -> float:
    present = table.sum(axis=1) > 0
    both = table.sum(axis=0) + table.sum(axis=1)
    return float((2 * np.diagonal(table)[present] / both[present]).mean())


def test_the_interval_of_f1_is_wilsons_of_the_overlap() -> None:
    confusion = np.array([[8, 2], [3, 7]])
    low, high = f1_bounds(confusion, 0.95)
    overlap = wilson(8, 8 + 2 + 3)
    assert (low[0], high[0]) == pytest.approx(
        (2 * overlap.low / (1 + overlap.low), 2 * overlap.high / (1 + overlap.high))
    )


def test_the_interval_of_f1_holds_the_truth_as_often_as_it_says() -> None:
    truth = np.array([[0.45, 0.05], [0.03, 0.47]])
    rng = np.random.default_rng(0)
    drawn = rng.multinomial(40, truth.ravel(), size=2000).reshape(-1, 2, 2)
    f1 = 2 * 0.45 / (0.48 + 0.5)
    bounds = [f1_bounds(table, 0.95) for table in drawn]
    held = np.mean([low[0] <= f1 <= high[0] for low, high in bounds])
    assert held == pytest.approx(0.95, abs=0.02)


def test_a_perfect_classifier_gets_no_perfect_certainty() -> None:
    balanced, f1 = macro_estimates(np.diag([10, 10]), rng=np.random.default_rng(0), confidence=0.95)
    assert balanced.value == balanced.high == f1.value == f1.high == 1.0
    assert balanced.low == pytest.approx(1 - (1 - wilson(10, 10).low) / np.sqrt(2))
    assert f1.low is not None
    assert 0.7 < f1.low < 0.95


@pytest.mark.parametrize(("size", "each", "accuracy"), [(2, 10, 0.97), (3, 20, 0.9), (10, 5, 0.9)])
def test_the_intervals_of_averages_hold_the_truth_where_the_bootstrap_does_not(
    size: int, each: int, accuracy: float
) -> None:
    truth = np.full((size, size), (1 - accuracy) / (size - 1))
    np.fill_diagonal(truth, accuracy)
    truth /= size
    rng = np.random.default_rng(size)
    held = np.zeros(2)
    for _ in range(300):
        table = rng.multinomial(size * each, truth.ravel()).reshape(size, size)
        both = macro_estimates(table, rng=rng, confidence=0.95, replicates=200)
        held += [e.low <= accuracy <= e.high for e in both]
    assert (held / 300 >= 0.93).all()


def test_the_averages_hold_the_interval_of_a_plain_row_bootstrap() -> None:
    table = np.array([[40, 6, 4], [9, 30, 1], [2, 2, 36]])
    rows = np.repeat(np.arange(9), table.ravel())
    rng = np.random.default_rng(0)
    drawn = [
        macro_f1(np.bincount(rows[rng.integers(0, len(rows), len(rows))], minlength=9).reshape(3, 3))
        for _ in range(3000)
    ]
    plain = percentile_estimate(macro_f1(table), drawn, n=len(rows))
    _, f1 = macro_estimates(table, rng=np.random.default_rng(1), confidence=0.95)
    assert f1.value == pytest.approx(plain.value)
    assert f1.low <= plain.low + 0.005
    assert f1.high >= plain.high - 0.005
    assert f1.high - f1.low < 1.25 * (plain.high - plain.low)


@given(arrays(np.int64, (4, 4), elements=st.integers(0, 6)).filter(np.any), st.floats(0.5, 0.99))
@settings(max_examples=60, deadline=None)
def test_intervals_hold_their_value_and_stay_between_0_and_1(confusion: np.ndarray, confidence: float) -> None:
    for estimate in macro_estimates(confusion, rng=np.random.default_rng(0), confidence=confidence, replicates=50):
        assert 0.0 <= estimate.low <= estimate.value <= estimate.high <= 1.0


def test_a_mean_has_students_interval_cut_at_0() -> None:
    values = np.random.default_rng(0).exponential(size=50)
    estimate = mean_estimate(values, 0.9)
    expected = stats.t.interval(0.9, df=49, loc=values.mean(), scale=stats.sem(values))
    assert (estimate.low, estimate.high) == pytest.approx(expected)
    assert mean_estimate(np.array([0.0, 0.0, 3.0]), 0.95).low == 0.0


def test_a_mean_of_values_that_do_not_differ_has_no_interval() -> None:
    for values in ([0.7], [0.0, 0.0, 0.0]):
        estimate = mean_estimate(np.array(values), 0.95)
        assert (estimate.value, estimate.low, estimate.n) == (values[0], None, len(values))
        assert estimate.note == saying("enough", "interval", "images")
