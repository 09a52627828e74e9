from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics as sk

from tlkit.errors import PredictionsError
from tlkit.evaluation.evaluate_numbers import evaluate_numbers
from tlkit.evaluation.number_result import NumberEvaluation
from tlkit.predictions import NumberPredictions

EXACT = {"rel": 1e-12, "abs": 1e-12}


def made(seed: int, n: int = 150, *, grades: int = 0) -> NumberPredictions:
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, grades, n).astype(float) if grades else rng.normal(40, 12, n)
    error = rng.integers(-1, 2, n) if grades else rng.normal(1, 4, n)
    return NumberPredictions.build(
        path=[str(one) for one in range(n)],
        y_true=truth,
        y_pred=np.clip(truth + error, 0, grades - 1) if grades else truth + error,
        grades=[f"g{one}" for one in range(grades)],
        groups=pd.DataFrame({"unit": rng.integers(0, max(n // 4, 1), n), "w": rng.integers(0, 3, n) + rng.random(n)}),
    )


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), n=st.integers(5, 60), grades=st.sampled_from([0, 2, 5]), weighted=st.booleans())
def test_figures_are_scikit_learns(seed, n, grades, weighted):
    found = made(seed, n, grades=grades)
    weight = pd.to_numeric(found.groups["w"]).to_numpy(float) if weighted else None
    result = evaluate_numbers(found, weights="w" if weighted else None)
    pair = (found.y_true, found.y_pred)
    assert result.mean_absolute_error.value == pytest.approx(
        sk.mean_absolute_error(*pair, sample_weight=weight), **EXACT
    )
    rmse = sk.root_mean_squared_error(*pair, sample_weight=weight)
    assert result.root_mean_squared_error.value == pytest.approx(rmse, **EXACT)
    if np.ptp(found.y_true):
        assert result.r_squared.value == pytest.approx(sk.r2_score(*pair, sample_weight=weight), rel=1e-11, abs=1e-11)
    if grades and result.of_grades.quadratic_kappa.value is not None:
        codes = [one.astype(int) for one in pair]
        kappa = sk.cohen_kappa_score(*codes, weights="quadratic", sample_weight=weight, labels=np.arange(grades))
        assert result.of_grades.quadratic_kappa.value == pytest.approx(kappa, **EXACT)


def test_the_mean_error_has_students_interval():
    found = made(1)
    estimate = evaluate_numbers(found).mean_error
    low, high = stats.ttest_1samp(found.errors, 0).confidence_interval()
    assert (estimate.low, estimate.high) == pytest.approx((low, high), rel=0.02)


def test_copies_in_clusters_do_not_narrow_intervals():
    found = made(2, 120)
    rows = np.tile(np.arange(120), 5)
    copies = NumberPredictions.build(
        path=[str(one) for one in range(600)],
        y_true=found.y_true[rows],
        y_pred=found.y_pred[rows],
        groups=pd.DataFrame({"original": rows}),
    )
    one, many = evaluate_numbers(found), evaluate_numbers(copies, cluster_by="original")
    for name in ("mean_absolute_error", "root_mean_squared_error", "mean_error", "r_squared"):
        a, b = getattr(one, name), getattr(many, name)
        assert b.value == pytest.approx(a.value)
        assert b.high - b.low == pytest.approx(a.high - a.low, rel=0.05), name


def test_what_is_undefined_says_why():
    same = NumberPredictions.build(path="ab", y_true=[3.0, 3.0], y_pred=[2.0, 3.5])
    result = evaluate_numbers(same)
    assert result.r_squared.value is None and "equal" in result.r_squared.note
    perfect = evaluate_numbers(NumberPredictions.build(path="abc", y_true=[1, 2, 3], y_pred=[1, 2, 3]))
    assert perfect.mean_absolute_error.value == 0 and perfect.mean_absolute_error.note
    with pytest.raises(PredictionsError):
        evaluate_numbers(NumberPredictions.build(path="a", y_pred=[1.0]))


def test_images_without_a_number_are_left_out_and_counted():
    result = evaluate_numbers(NumberPredictions.build(path="abc", y_true=[1, None, 3], y_pred=[2.0, 9.0, 5.0]))
    assert (result.n, result.n_unlabelled, result.mean_absolute_error.value) == (2, 1, 1.5)


@pytest.mark.parametrize("grades", [0, 4])
def test_results_come_back_from_json(grades):
    result = evaluate_numbers(made(3, grades=grades), cluster_by="unit")
    assert NumberEvaluation.from_dict(json.loads(json.dumps(result.to_dict()))) == result
    assert ("Cohen's kappa, quadratic" in result.tables()[0].column("metric")) == bool(grades)


@pytest.mark.series
def test_intervals_hold_the_truth():
    """95 % intervals over 1,000 samples of 60 images with skewed errors."""
    rng = np.random.default_rng(0)
    names = ("mean_absolute_error", "root_mean_squared_error", "mean_error", "r_squared")

    def draw(n: int) -> NumberPredictions:
        truth = rng.normal(0, 10, n)
        return NumberPredictions.build(
            path=np.arange(n).astype(str), y_true=truth, y_pred=truth + rng.gamma(2, 2, n) - 4 + rng.normal(0, 2, n)
        )

    truth, held = evaluate_numbers(draw(1_000_000)), dict.fromkeys(names, 0)
    for _ in range(1000):
        result = evaluate_numbers(draw(60))
        for name in names:
            held[name] += getattr(result, name).low <= getattr(truth, name).value <= getattr(result, name).high
    assert min(held.values()) >= 0.91 * 1000, held


@pytest.mark.parametrize("column", ["y_true", "y_pred"])
def test_a_number_whose_powers_are_none_is_refused(column):
    values = {"y_true": np.arange(9.0), "y_pred": np.arange(9.0)}
    values[column][3] = -1e308
    with pytest.raises(PredictionsError, match=f"{column} lies beyond"):
        NumberPredictions.build(path=[str(one) for one in range(9)], **values)
    values[column][3] = -1e30
    result = evaluate_numbers(NumberPredictions.build(path=[str(one) for one in range(9)], **values))
    assert result.root_mean_squared_error.value == pytest.approx(1e30 / 3)
    assert np.isfinite([result.root_mean_squared_error.high, result.mean_absolute_error.high]).all()


@pytest.mark.parametrize("constant", ["truth", "prediction"])
def test_quadratic_kappa_of_one_grade_is_in_doubt_as_plain_kappa_is(constant: str) -> None:
    rng = np.random.default_rng(0)
    varied, one = rng.integers(0, 4, 80).astype(float), np.full(80, 2.0)
    true, called = (one, varied) if constant == "truth" else (varied, one)
    table = NumberPredictions.build(
        path=np.arange(80).astype(str), y_true=true, y_pred=called, grades=["a", "b", "c", "d"]
    )
    kappa = evaluate_numbers(table).of_grades.quadratic_kappa
    assert kappa.value == pytest.approx(sk.cohen_kappa_score(true, called, weights="quadratic"), abs=1e-9)
    assert kappa.low < -0.05
    assert kappa.high > 0.05
