"""The learning curve: nested subsets, the power law, the predicted gain and its limits."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from messages import saying, says
from scipy.optimize import curve_fit

from tlkit.analysis.learning_curve import CurvePoint, LearningCurve, fit_curve, learning_curve
from tlkit.analysis.learning_curve_tables import gain_sentence
from tlkit.analysis.power_law import fit_power_law, power_law
from tlkit.errors import DataError
from tlkit.features.heads import fit_head
from tlkit.stats.estimate import Estimate

SIZES = np.array([6, 10, 18, 32, 56, 100, 178, 316])


def curve_of(law, *, n=400, images=SIZES, seed=0):
    """Return a curve whose images are right with the chances that a law gives."""
    chances = power_law(np.array(law), images)
    draws = np.random.default_rng(seed).random((3, n))  # an image that is easy is easy at every size
    right = (draws[:, None, :] < chances[None, :, None]).mean(axis=0)
    fitted, resampled = fit_curve(images, right)
    points = tuple(
        CurvePoint(int(m), float(m), Estimate(float(row.mean()), 0.0, 1.0, n=n), {"C": 1.0})
        for m, row in zip(images, right, strict=True)
    )
    return LearningCurve("logistic", n, 2, points, fitted, resampled, 5, 3, 0.95)


@settings(max_examples=25, deadline=None)
@given(a=st.floats(0.6, 0.99), b=st.floats(0.3, 1.5), c=st.floats(0.2, 1.2))
def test_exact_law_is_found_again(a, b, c):
    exact = power_law(np.array([a, b, c]), SIZES)
    found = fit_power_law(SIZES, exact)
    np.testing.assert_allclose(power_law(found, [1000, 2000]), power_law(np.array([a, b, c]), [1000, 2000]), atol=4e-3)


def test_fit_is_scipys_weighted_least_squares():
    rng = np.random.default_rng(0)
    noisy = power_law(np.array([0.9, 0.8, 0.6]), SIZES) + rng.normal(size=8) * 0.01
    weights = np.arange(1, 9.0)
    theirs, _ = curve_fit(
        lambda n, a, b, c: a - b * n**-c,
        SIZES,
        noisy,
        p0=[0.9, 0.5, 0.5],
        sigma=1 / np.sqrt(weights),
        bounds=([0, 0, 0.05], [1, np.inf, 2]),
    )
    ours = fit_power_law(SIZES, noisy)
    sums = [float(weights @ (power_law(p, SIZES) - noisy) ** 2) for p in (ours, theirs)]
    assert sums[0] <= sums[1] * 1.005 + 1e-9
    np.testing.assert_allclose(power_law(ours, [1000.0]), power_law(theirs, [1000.0]), atol=3e-3)


def test_the_limits_of_the_parameters_hold():
    rising_past_one = fit_power_law(SIZES, np.minimum(1.0, 0.5 + 0.1 * np.arange(8)))
    falling = fit_power_law(SIZES, 0.9 - 0.02 * np.arange(8))
    assert rising_past_one[0] <= 1 and falling[1] == 0
    assert (power_law(rising_past_one, [10**6]) <= 1).all()


def test_gain_interval_covers_the_truth():
    law = (0.93, 0.9, 0.6)
    truth = float(np.diff(power_law(np.array(law), [400, 800]))[0])
    gains = [curve_of(law, seed=seed).gain(400) for seed in range(40)]
    held = [gain.low <= truth <= gain.high for gain in gains if gain.low is not None]
    assert len(held) > 30 and np.mean(held) > 0.95


@pytest.mark.series
def test_gain_interval_covers_the_truth_of_features_that_follow_no_law():
    """The curve of a linear head flattens sooner than any power law; see benchmarks/curve_coverage.py."""
    centers = np.random.default_rng(0).normal(size=(3, 60)) * 0.25

    def draw(n, seed):
        rng, y = np.random.default_rng(seed), np.arange(n) % 3
        return (centers[y] + rng.normal(size=(n, 60))).astype(np.float32), y

    x_new, y_new = draw(3000, 1)
    means = []
    for n in (240, 480):
        heads = [fit_head(*draw(n, 50 + seed), kind="lda", classes=("a", "b", "c")) for seed in range(8)]
        means.append(np.mean([(head.predict_proba(x_new).argmax(axis=1) == y_new).mean() for head in heads]))
    curves = [learning_curve(*draw(240, 100 + seed), classes=("a", "b", "c"), kind="lda") for seed in range(5)]
    gains = [curve.gain(240) for curve in curves]
    assert sum(gain.low <= means[1] - means[0] <= gain.high for gain in gains) >= 4


@pytest.mark.parametrize("wrong", [0, 12])
def test_a_flat_curve_has_an_interval_that_grows_with_the_extrapolation(wrong):
    right = np.ones((8, 245))
    right[:, :wrong] = 0.0  # the same images are right at every size: a resample of them is as flat
    law, resampled = fit_curve(SIZES, right)
    points = tuple(CurvePoint(int(m), float(m), Estimate(1.0 - wrong / 245, 0.0, 1.0, n=245), {}) for m in SIZES)
    curve = LearningCurve("logistic", 245, 2, points, law, resampled, 5, 3, 0.95)
    gains = [curve.gain(more) for more in (25, 245, 735)]
    assert all(gain.value == pytest.approx(0.0, abs=1e-12) for gain in gains)
    widths = [gain.high - gain.low for gain in gains]
    assert 0 < widths[0] < widths[1] < widths[2]
    assert widths[1] <= 1.0 - 0.025 ** (1 / 245)  # a rate above it would have shown in one of 245 (Clopper-Pearson)
    assert says(gain_sentence(curve, 245), "+245 images", "0.0") or wrong == 0


@pytest.mark.series
def test_gain_interval_near_accuracy_1_covers_the_truth():
    law = np.array((1.0, 0.01, 0.3))
    truth = float(np.diff(power_law(law, [400, 1600]))[0])
    gains = [curve_of(tuple(law), seed=seed).gain(1200) for seed in range(40)]
    assert np.mean([gain.low <= truth <= gain.high for gain in gains]) > 0.95


def test_a_small_gain_is_shown_with_enough_digits():
    curve = curve_of((0.93, 0.9, 0.6))
    gain = curve.gain(1)
    assert 0 < 100 * gain.low < 100 * gain.high < 0.05, "one image more brings next to nothing"
    said = gain_sentence(curve, 1)
    low, high = said.partition("[")[2].partition("]")[0].split(", ")
    assert float(low) < float(high)
    assert len(high) <= len("+0.0000")


def test_gain_is_undefined_with_a_reason():
    curve = curve_of((0.93, 0.9, 0.6))
    assert curve.gain(2000).note == saying("not enough data", "2000", "3 times", "400")
    assert gain_sentence(curve, 2000) == f"+2,000 images: {curve.gain(2000).note}."
    few = curve_of((0.93, 0.9, 0.6), images=SIZES[:4])
    assert few.gain(10).note == saying("not", "4", "5")
    assert says(curve_of((0.95, 1.0, 0.15), n=10).gain(30).note, "enough", "data", "interval")
    with pytest.raises(DataError, match=saying("1", "0", "needs", "instead").pattern):
        curve.gain(0)
    sure = gain_sentence(curve)
    assert sure.startswith("+400 images ≈ +") and "points of accuracy [" in sure


def test_curve_of_features_rises_and_is_the_same_in_any_order(make_features):
    x, y, names = make_features(n=240, width=30, apart=0.35)
    keys = [f"{row}.jpg" for row in range(240)]
    one = learning_curve(x, y, classes=names, kind="ridge", keys=keys, repeats=2)
    accuracy = [point.accuracy.value for point in one.points]
    assert accuracy[-1] > accuracy[0] + 0.1
    assert [point.per_class for point in one.points][-1] == 64
    assert all(point.accuracy.low < point.accuracy.value < point.accuracy.high for point in one.points)
    order = np.random.default_rng(0).permutation(240)
    two = learning_curve(x[order], y[order], classes=names, kind="ridge", keys=[keys[i] for i in order], repeats=2)
    assert [point.accuracy.value for point in two.points] == pytest.approx(accuracy)
    back = LearningCurve.from_dict(json.loads(json.dumps(one.to_dict())))
    assert back.tables() == one.tables() and back.gain(100) == one.gain(100)
    (table,) = one.tables(more=100)
    assert table.column("per_class") == tuple(point.per_class for point in one.points)
    assert table.column("accuracy") == tuple(point.accuracy for point in one.points)
    basis, gain = table.notes
    assert all(part in basis for part in ("ridge", "240 images", "5 folds", "95 %"))
    assert gain == gain_sentence(one, 100)
    assert basis in one._repr_html_()


def test_last_point_is_plain_cross_validation(make_features):
    x, y, names = make_features(n=90)
    curve = learning_curve(x, y, classes=names, kind="lda", sizes=[24], repeats=1)
    (point,) = curve.points
    assert point.images == 72
    from tlkit.features.folds import assign_folds, hash_rows
    from tlkit.features.heads.fit_head import out_of_fold_scores

    fold = assign_folds(hash_rows(x), y).assignments[0]
    scores = out_of_fold_scores("lda", x, y, [point.settings], fold, classes=3, weights=np.ones(90), seed=0)
    assert point.accuracy.value == pytest.approx((scores[0].argmax(axis=1) == y).mean())


@pytest.mark.parametrize("each", [1, 2])
def test_classes_of_one_or_two_images_are_too_small_for_a_curve(make_features, each):
    x, y, names = make_features(n=3 * each)
    with pytest.raises(DataError) as caught:
        learning_curve(x, y, classes=names)
    assert str(caught.value) == saying("2", "5", "3", each, "training")


def test_unusable_sizes_are_refused(make_features):
    x, y, names = make_features(n=30)
    with pytest.raises(DataError, match=saying("2", "1", "4", "images", "instead").pattern):
        learning_curve(x, y, classes=names, sizes=[1, 4])
    with pytest.raises(DataError, match=saying("50", "8", "outside", "largest").pattern):
        learning_curve(x, y, classes=names, sizes=[50])
