"""Means of numbers that jump with an outcome: the interval holds the truth also where the outcome hardly occurs."""

from __future__ import annotations

import numpy as np
import pytest

from tlkit.evaluation import evaluate
from tlkit.predictions import Predictions
from tlkit.stats.calibration import opposite_classes
from tlkit.stats.cluster_sampling import Units
from tlkit.stats.intervals import wilson
from tlkit.stats.means import clustered_mean, mean_by_outcome, mean_estimate
from tlkit.uncertainty import assess_calibration


def draw(n: int, accuracy: float, confidence: float, rng: np.random.Generator) -> Predictions:
    """Return predictions of two classes that are right with one probability, about as sure as another."""
    y, right = rng.integers(0, 2, n), rng.random(n) < accuracy
    sure = np.clip(confidence + rng.uniform(-1, 1, n) * (1 - confidence) * 0.9, 0.5, 1)
    proba = np.empty((n, 2))
    guess = np.where(right, y, 1 - y)
    proba[np.arange(n), guess], proba[np.arange(n), 1 - guess] = sure, 1 - sure
    return Predictions.build(classes=["a", "b"], path=np.arange(n).astype(str), y_true=y, proba=proba)


@pytest.mark.parametrize(("accuracy", "confidence"), [(0.99, 0.99), (0.999, 0.999), (0.97, 0.99), (0.8, 0.9)])
def test_losses_of_a_model_with_hardly_an_error_have_intervals_that_hold_the_truth(
    accuracy: float, confidence: float
) -> None:
    rng = np.random.default_rng(0)
    large = evaluate(draw(200_000, accuracy, confidence, rng), replicates=2)
    true = {name: large.score(name).value for name in ("log_loss", "brier")}
    held = []
    for _ in range(150):
        table = draw(60, accuracy, confidence, rng)
        found = evaluate(table, replicates=2)
        row = assess_calibration(table, classwise=False).overall
        assert row.log_loss == found.score("log_loss")
        estimates = [(true[name], found.score(name)) for name in true] + [(confidence - accuracy, row.excess)]
        held.append([one.low <= value <= one.high for value, one in estimates])
    assert np.mean(held, axis=0).min() >= 0.88, np.mean(held, axis=0)  # Student's t: .05 to .5 near 1


def test_a_mean_that_is_the_outcome_has_wilsons_interval() -> None:
    wrong = np.arange(40) < 3
    found = mean_by_outcome(wrong.astype(float), wrong, (~wrong).astype(float))
    rate = wilson(3, 40)
    assert (found.value, found.low, found.high) == pytest.approx((rate.value, rate.low, rate.high))


def test_with_many_of_both_outcomes_the_interval_is_students() -> None:
    rng = np.random.default_rng(1)
    outcome = rng.random(5000) < 0.4
    values = rng.normal(size=5000) + 2 * outcome
    found = mean_by_outcome(values, outcome, values + 2 - 4 * outcome, lowest=-np.inf)
    plain = mean_estimate(values, lowest=-np.inf)
    assert found.value == pytest.approx(plain.value)
    assert (found.low, found.high) == pytest.approx((plain.low, plain.high), abs=0.02 * (plain.high - plain.low))


def test_units_of_one_image_have_about_the_interval_of_images_and_clusters_at_least_that_of_their_mean() -> None:
    rng = np.random.default_rng(2)
    outcome = rng.random(400) < 0.3
    values = rng.normal(size=400) * 0.3 + outcome
    given = values, outcome, values + 1 - 2 * outcome
    alone, whole = (
        mean_by_outcome(*given, lowest=-9),
        mean_by_outcome(*given, Units(np.ones(400), np.arange(400)), lowest=-9),
    )
    assert (whole.low, whole.high) == pytest.approx((alone.low, alone.high), abs=0.05 * (alone.high - alone.low))
    clusters = Units(np.ones(400), np.arange(400) // 10)
    found, plain = mean_by_outcome(*given, clusters, lowest=-9), clustered_mean(values, clusters, lowest=-9)
    assert found.low <= plain.low
    assert found.high >= plain.high


def test_clusters_without_an_error_leave_room_for_one() -> None:
    sure = np.full(60, 0.999) - np.arange(60) * 1e-6
    right = np.ones(60, dtype=bool)
    clusters = Units(np.ones(60), np.arange(60) // 3)
    found = mean_by_outcome(sure - right, ~right, sure - ~right, clusters, lowest=-1.0, highest=1.0)
    assert found.high == pytest.approx(sure.mean() - wilson(20, 20).low, abs=1e-3)
    assert found.low > -0.01


def test_a_single_cluster_has_no_interval() -> None:
    found = mean_by_outcome([0.1, 0.2], np.array([True, False]), [0.3, 0.4], Units(np.ones(2), np.zeros(2, dtype=int)))
    assert found.value == pytest.approx(0.15)
    assert found.low is None
    assert found.note


def test_the_opposite_class_is_the_most_probable_other_or_the_predicted_one() -> None:
    proba = np.array([[0.7, 0.2, 0.1], [0.5, 0.4, 0.1]])
    assert opposite_classes(proba, [0, 2], [0, 0]).tolist() == [1, 0]
