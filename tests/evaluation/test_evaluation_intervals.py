from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from messages import saying
from scipy import stats
from sklearn.metrics import f1_score

from tlkit.evaluation.class_intervals import f1_bounds, macro_estimates, macro_f1_estimate
from tlkit.stats.bootstrap import percentile_estimate
from tlkit.stats.intervals import wilson
from tlkit.stats.macro_f1 import macro_f1_jackknife
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


def test_the_interval_of_f1_has_its_nominal_coverage() -> None:
    truth = np.array([[0.45, 0.05], [0.03, 0.47]])
    rng = np.random.default_rng(0)
    drawn = rng.multinomial(40, truth.ravel(), size=2000).reshape(-1, 2, 2)
    f1 = 2 * 0.45 / (0.48 + 0.5)
    bounds = [f1_bounds(table, 0.95) for table in drawn]
    held = np.mean([low[0] <= f1 <= high[0] for low, high in bounds])
    assert held == pytest.approx(0.95, abs=0.02)


def test_a_perfect_classifier_has_an_interval_of_positive_width() -> None:
    balanced, f1 = macro_estimates(np.diag([10, 10]), rng=np.random.default_rng(0), confidence=0.95)
    assert balanced.value == balanced.high == f1.value == f1.high == 1.0
    assert balanced.low == pytest.approx(1 - (1 - wilson(10, 10).low) / np.sqrt(2))
    assert f1.low is not None
    assert 0.7 < f1.low < 0.95


@pytest.mark.parametrize(("size", "each", "accuracy"), [(2, 10, 0.97), (3, 20, 0.9), (10, 5, 0.9)])
def test_the_intervals_of_averages_cover_the_truth_where_the_bootstrap_does_not(
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


def test_the_interval_of_macro_f1_is_about_that_of_a_plain_bootstrap_of_rows() -> None:
    table = np.array([[40, 6, 4], [9, 30, 1], [2, 2, 36]])
    rows = np.repeat(np.arange(9), table.ravel())
    rng = np.random.default_rng(0)
    drawn = [
        macro_f1(np.bincount(rows[rng.integers(0, len(rows), len(rows))], minlength=9).reshape(3, 3))
        for _ in range(3000)
    ]
    plain = percentile_estimate(macro_f1(table), drawn, n=len(rows))
    f1 = macro_f1_estimate(table, 0.95)
    assert f1.value == pytest.approx(plain.value)
    assert (f1.low, f1.high) == pytest.approx((plain.low, plain.high), abs=0.015)
    assert macro_f1_jackknife(table).variance == pytest.approx(np.var(drawn), rel=0.1)


@pytest.mark.parametrize("seed", range(4))
def test_the_jackknife_of_macro_f1_is_that_of_leaving_out_each_image_in_turn(seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth = np.concatenate([[0, 0, 1, 1, 2, 2], rng.integers(0, 3, 30)])  # no class vanishes with an image
    guess = np.where(rng.random(36) < 0.6, truth, rng.integers(0, 4, 36))  # a class without images is predicted
    table = np.zeros((4, 4), dtype=np.int64)
    np.add.at(table, (truth, guess), 1)

    def score(rows: np.ndarray) -> float:
        return float(f1_score(truth[rows], guess[rows], labels=[0, 1, 2], average="macro", zero_division=0))

    everything, n = np.arange(36), 36
    left = np.array([score(np.delete(everything, one)) for one in everything])
    found = macro_f1_jackknife(table)
    assert found.value == pytest.approx(score(everything))
    assert found.bias == pytest.approx((n - 1) * (left.mean() - found.value))
    assert found.variance == pytest.approx((n - 1) / n * ((left - left.mean()) ** 2).sum())


@pytest.mark.parametrize(
    ("table", "low", "high"),
    [
        ([[0, 9], [7, 0]], 0.0, 0.5),  # all wrong
        ([[30, 0], [0, 30]], 0.5, 1.0),  # all right
        ([[60, 0], [0, 1]], 0.3, 1.0),  # one image tells little of a class
        ([[8, 2, 0], [1, 9, 0], [0, 0, 0]], 0.5, 1.0),  # a class without images
        ([[1, 0], [0, 0]], 0.0, 1.0),  # a single image
    ],
)
def test_macro_f1_of_degenerate_tables_has_an_honest_interval(table: list, low: float, high: float) -> None:
    counts = np.array(table)
    found = macro_f1_estimate(counts, 0.95)
    assert low <= found.low <= found.value <= found.high <= high
    assert found.high - found.low > 0.02
    if counts.sum() == 61:  # no narrower than what a single right image says of its class
        assert found.low <= (1 + 2 * wilson(1, 1).low / (1 + wilson(1, 1).low)) / 2


def test_macro_f1_holds_the_truth_in_93_to_97_percent_of_samples() -> None:
    """Two standard errors of 1,000 samples are allowed; the series are in benchmarks/macro_intervals.py."""
    rng = np.random.default_rng(3)
    for size, rate, n in ((2, 0.5, 50), (5, 0.3, 100), (10, 0.7, 100), (3, 0.9, 200)):
        truth = np.full((size, size), (1 - rate) / (size - 1)) / size
        np.fill_diagonal(truth, rate / size)
        drawn = rng.multinomial(n, truth.ravel(), size=1000).reshape(-1, size, size)
        bounds = [macro_f1_estimate(one, 0.95) for one in drawn]
        held = np.mean([one.low <= rate <= one.high for one in bounds])
        assert 0.93 - 0.014 <= held <= 0.97 + 0.014, (size, rate, n, held)


@given(arrays(np.int64, (4, 4), elements=st.integers(0, 6)).filter(np.any), st.floats(0.5, 0.99))
@settings(max_examples=60, deadline=None)
def test_intervals_contain_their_value_and_stay_between_0_and_1(confusion: np.ndarray, confidence: float) -> None:
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


def test_macro_f1_of_the_classes_present_is_held_where_a_class_is_often_absent() -> None:
    shares = np.array([0.95, 0.05])
    population = shares[:, None] * np.array([[0.9, 0.1], [0.1, 0.9]])
    f1 = 2 * np.diagonal(population) / (population.sum(axis=0) + population.sum(axis=1))
    held, absent = [], 0
    for sample in np.random.default_rng(1).multinomial(60, population.ravel(), size=800):
        table = sample.reshape(2, 2)
        present = table.sum(axis=1) > 0
        found = macro_f1_estimate(table, 0.95)
        held.append(found.low <= f1[present].mean() <= found.high)
        absent += not present.all()
        assert ("1 of 2 classes present" in found.note) is not present.all()
    assert absent > 20
    assert 0.94 <= np.mean(held) <= 0.99
