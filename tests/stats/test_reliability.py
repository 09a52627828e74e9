"""Reliability bins and calibration errors, against scikit-learn and by simulation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom
from sklearn.calibration import calibration_curve

from tlkit.stats import reliability
from tlkit.stats.calibration import calibration_error
from tlkit.stats.cluster_sampling import Units
from tlkit.stats.clustered_reliability import clustered_calibration_errors
from tlkit.stats.intervals import wilson
from tlkit.stats.logit_scaling import LogitScaling, choose_scaling, fit_scaling
from tlkit.stats.reliability import calibration_errors, reliability_bins


def draw(n, rng, excess=0.0):
    sure = rng.beta(3, 1, size=n) / 2 + 0.5
    return sure, rng.random(n) < sure - excess * (2 * sure - 1)


def test_the_bins_are_those_of_scikit_learn():
    sure, right = draw(400, np.random.default_rng(0))
    accuracy, confidence = calibration_curve(right, sure, n_bins=10, strategy="quantile")
    bins = reliability_bins(sure, right, bins=10)
    assert [one.n for one in bins] == [40] * 10
    assert [one.accuracy.value for one in bins] == pytest.approx(accuracy)
    assert [one.confidence for one in bins] == pytest.approx(confidence)
    for one in bins:
        assert one.accuracy == wilson(round(one.accuracy.value * one.n), one.n)


def test_ties_share_a_bin_and_few_images_have_no_error():
    bins = reliability_bins(np.repeat([0.6, 0.9], 100), np.arange(200) % 2 == 0, bins=10)
    assert [(one.lowest, one.highest, one.n) for one in bins] == [(0.6, 0.6, 100), (0.9, 0.9, 100)]
    few = calibration_errors(np.full(39, 0.9), np.ones(39))
    assert few.plain is None and few.debiased.value is None and "39" in few.debiased.note
    assert reliability_bins([], []) == ()


@pytest.mark.parametrize("sets", [60, pytest.param(1000, marks=pytest.mark.series)])
def test_a_calibrated_model_is_not_flagged_and_chance_explains_its_error(sets):
    rng = np.random.default_rng(1)
    found = [calibration_errors(*draw(200, rng), draws=200, seed=place) for place in range(sets)]
    assert np.mean([one.p <= 0.05 for one in found]) <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / sets)
    assert np.mean([one.chance for one in found]) == pytest.approx(np.mean([one.plain for one in found]), abs=0.006)
    assert np.mean([one.debiased.low == 0 for one in found]) >= 0.9


@pytest.mark.parametrize("sets", [60, pytest.param(1000, marks=pytest.mark.series)])
def test_the_debiased_error_is_that_of_a_known_miscalibration_and_its_interval_holds_it(sets):
    rng = np.random.default_rng(2)
    sure, _ = draw(1_000_000, rng)
    gap = 0.15 * (2 * sure - 1)
    found = [calibration_errors(*draw(400, rng, 0.15), draws=200, seed=place) for place in range(sets)]
    truth, spread = gap.mean(), np.std([one.debiased.value for one in found]) / np.sqrt(sets)
    assert np.mean([one.debiased.value for one in found]) == pytest.approx(truth, abs=3 * spread + 0.003)
    assert np.mean([one.debiased.low <= truth <= one.debiased.high for one in found]) >= (0.91 if sets > 500 else 0.87)
    squares = np.sqrt(np.mean([one.rms**2 for one in found]))
    assert squares == pytest.approx(np.sqrt((gap**2).mean()), abs=0.015)
    sample = draw(400, rng, 0.15)
    assert calibration_errors(*sample).plain == pytest.approx(calibration_error(*sample))


def proba_of(n, rng, *, temperature=1.0, classes=4, shift=None):
    scores = rng.normal(size=(n, classes))
    truth = rng.integers(0, classes, n)
    scores[np.arange(n), truth] += 2.0
    if shift is not None:
        scores = scores + shift
    table = np.exp(scores * 2.0 * temperature)
    return table / table.sum(axis=1, keepdims=True), truth


def test_vector_scaling_takes_away_a_shift_of_the_classes_that_a_temperature_cannot():
    rng = np.random.default_rng(3)
    shift = np.array([1.0, 0.0, 0.0, -1.0])
    val, y = proba_of(1500, rng, shift=shift)
    new, truth = proba_of(4000, rng, shift=shift)
    assert choose_scaling(val, y).method == "vector"
    losses = {
        method: -np.log(fit_scaling(val, y, method=method).apply(new)[np.arange(4000), truth]).mean()
        for method in ("temperature", "vector")
    }
    assert losses["vector"] < losses["temperature"] - 0.05
    plain, labels = proba_of(1500, rng, temperature=1.7)
    assert choose_scaling(plain, labels).method == "temperature"
    assert choose_scaling(val[:60], y[:60]).method == "temperature"  # a class has fewer than 20 images


@pytest.mark.parametrize("method", ["temperature", "vector"])
def test_undoing_a_scaling_gives_the_probabilities_before(method):
    val, y = proba_of(300, np.random.default_rng(4))
    scaling = fit_scaling(val, y, method=method)
    assert scaling.undo(scaling.apply(val)) == pytest.approx(val, abs=1e-7)
    assert LogitScaling.from_dict(scaling.to_dict()) == scaling
    if method == "temperature":
        assert (scaling.apply(val).argmax(axis=1) == val.argmax(axis=1)).all()
    for wrong in ({"scale": [0.0]}, {"scale": []}, {"scale": [float("nan")]}, {"method": "magic"}, {"scale": "1"}):
        with pytest.raises(ValueError, match=r"scale|method|calibration"):
            LogitScaling.from_dict(scaling.to_dict() | wrong)


@pytest.mark.parametrize("kind", ["confident", "rare", "mixed"])
def test_drawing_sums_of_bins_agrees_with_drawing_rows(kind, monkeypatch):
    rng = np.random.default_rng(1)
    sure = {"confident": rng.uniform(0.5, 1, 4000), "rare": rng.beta(0.02, 20, 4000), "mixed": rng.beta(0.3, 3, 4000)}
    correct = rng.random(4000) < sure[kind]
    sums = reliability.calibration_errors(sure[kind], correct, draws=3000)
    monkeypatch.setattr(reliability, "MOST_ROWS", 10**9)
    rows = reliability.calibration_errors(sure[kind], correct, draws=3000)
    assert sums.chance == pytest.approx(rows.chance, rel=0.03)
    assert sums.chance_high == pytest.approx(rows.chance_high, rel=0.05)
    assert sums.p == pytest.approx(rows.p, abs=0.04)
    assert sums.debiased.high == pytest.approx(rows.debiased.high, rel=0.1, abs=1e-4)


@pytest.mark.parametrize("n", [1, 2, 20, 57])
def test_the_mean_distance_of_a_binomial_share_is_scipys(n: int) -> None:
    for p, c in [(0.3, 0.35), (0.99, 0.999), (0.98, 1.0), (0.02, 0.0), (0.5, 0.5), (0.1, 0.9)]:
        expected = binom(n, p).expect(lambda k, c=c: np.abs(k / n - c))
        found = reliability._mean_distance(np.array([float(n)]), np.array([p]), np.array([c]))
        assert found[0] == pytest.approx(expected)


@pytest.mark.parametrize("clusters", [1, 3])
@pytest.mark.parametrize(("rate", "confidence"), [(0.97, 0.999), (0.99, 0.999), (0.8, 0.9)])
def test_the_interval_holds_the_error_of_a_model_with_hardly_an_error(
    rate: float, confidence: float, clusters: int
) -> None:
    rng, held, n = np.random.default_rng(3), [], 60
    for _ in range(120):
        sure = confidence + rng.uniform(-0.9, 0.9, n) * (1 - confidence)
        right = rng.random(n) < rate
        if clusters == 1:
            found = calibration_errors(sure, right, draws=50).debiased
        else:
            units = Units(np.ones(n), np.arange(n) // clusters)
            found = clustered_calibration_errors(sure, right, units, draws=50).debiased
        assert found.high > found.low
        held.append(found.low <= confidence - rate <= found.high)
    assert np.mean(held) >= 0.9  # a bootstrap of the rows: .45 to .6 with accuracies near 1
