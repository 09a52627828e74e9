from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from mapie.regression import ConformalizedQuantileRegressor, SplitConformalRegressor
from sklearn.linear_model import LinearRegression, QuantileRegressor

from tlkit.errors import PredictionsError
from tlkit.predictions import NumberPredictions
from tlkit.uncertainty.number_intervals import IntervalRule, calibrate_intervals, intervals_for


def table(y: np.ndarray, guess: np.ndarray, *, prefix: str = "", **more: object) -> NumberPredictions:
    return NumberPredictions.build(path=[f"{prefix}{i}" for i in range(len(y))], y_true=y, y_pred=guess, **more)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 2))
    return x, x @ [2.0, -1.0] + rng.normal(size=300) * (0.5 + np.abs(x[:, 0]))


@pytest.mark.parametrize("coverage", [0.8, 0.95])
def test_intervals_of_residuals_are_mapies(data, coverage):
    x, y = data
    model = LinearRegression().fit(x[:100], y[:100])
    oracle = SplitConformalRegressor(model, confidence_level=coverage, prefit=True).conformalize(x[100:200], y[100:200])
    ends = oracle.predict_interval(x[200:])[1][:, :, 0]
    val, test = (table(y[a:b], model.predict(x[a:b]), prefix=str(a)) for a, b in ((100, 200), (200, 300)))
    found = intervals_for(test, val, coverage=coverage).apply(test)
    assert np.column_stack([found.lower, found.upper]) == pytest.approx(ends, abs=1e-12)


def test_intervals_of_quantiles_are_mapies(data):
    x, y = data
    models = [QuantileRegressor(quantile=q, alpha=0, solver="highs").fit(x[:100], y[:100]) for q in (0.05, 0.95, 0.5)]
    oracle = ConformalizedQuantileRegressor(models, confidence_level=0.9, prefit=True)
    oracle.conformalize(x[100:200], y[100:200])
    ends = oracle.predict_interval(x[200:], symmetric_correction=True)[1][:, :, 0]

    def judged(a: int, b: int) -> NumberPredictions:
        low, high, middle = (model.predict(x[a:b]) for model in models)
        return table(y[a:b], middle, prefix=str(a), lower=np.minimum(low, high), upper=np.maximum(low, high))

    rule = intervals_for(judged(200, 300), judged(100, 200), coverage=0.9)
    found = rule.apply(judged(200, 300))
    assert rule.method == "cqr"
    assert np.column_stack([found.lower, found.upper]) == pytest.approx(ends, abs=1e-9)


def test_intervals_never_see_the_truth_of_test(data):
    x, y = data
    val, test = table(y[:100], x[:100, 0], prefix="v"), table(y[100:], x[100:, 0], prefix="t")
    other = table(-5 * y[100:], x[100:, 0], prefix="t")
    assert intervals_for(test, val) == intervals_for(other, val)
    first, second = (intervals_for(test, val).apply(one) for one in (test, other))
    assert np.array_equal(first.lower, second.lower) and np.array_equal(first.upper, second.upper)
    with pytest.raises(PredictionsError):
        intervals_for(val, val)


def test_too_few_images_give_intervals_that_hold_everything():
    rule = calibrate_intervals(table(np.arange(10.0), np.zeros(10)))
    assert math.isinf(rule.margin)
    assert IntervalRule.from_dict(json.loads(json.dumps(rule.to_dict()))) == rule
    found = rule.apply(table(np.arange(3.0), np.zeros(3), prefix="t"))
    assert found.covered.all()


def test_a_group_with_its_own_margin_is_covered():
    rng = np.random.default_rng(1)
    group = rng.choice(["calm", "noisy", "rare"], 4000, p=[0.7, 0.29, 0.01])
    y = rng.normal(size=4000) * np.where(group == "noisy", 5, 1)
    rows = table(y, np.zeros(4000), groups=pd.DataFrame({"group": group}))
    val, test = rows.take(np.arange(2000)), rows.take(np.arange(2000, 4000))
    plain, own = (intervals_for(test, val, coverage=0.9, by=by).apply(test) for by in (None, "group"))
    noisy = test.groups["group"] == "noisy"
    assert plain.covered[noisy].mean() < 0.8 < 0.87 < own.covered[noisy].mean() < 0.93
    assert own.covered[~noisy].mean() == pytest.approx(0.9, abs=0.03)
    rule = calibrate_intervals(val, by="group", coverage=0.95)
    assert IntervalRule.from_dict(json.loads(json.dumps(rule.to_dict()))) == rule


def test_intervals_of_grades_end_at_grades():
    rng = np.random.default_rng(2)
    y = rng.integers(0, 5, 400).astype(float)
    rows = table(y, np.clip(y + rng.integers(-1, 2, 400), 0, 4), grades=list("abcde"))
    found = calibrate_intervals(rows.take(np.arange(200))).apply(rows.take(np.arange(200, 400)))
    assert set(np.unique(found.lower)) | set(np.unique(found.upper)) <= set(range(5))
    assert (found.lower <= found.y_pred).all() and (found.y_pred <= found.upper).all()
    assert found.covered.mean() >= 0.95


def mean_coverage(draws: int, *, seed: int) -> tuple[float, dict[str, float]]:
    """Return the mean coverage at 95 % over draws of 100 images to calibrate and 100 to cover, overall and by group."""
    rng = np.random.default_rng(seed)
    held, by_group = [], {"a": [], "b": []}
    for _ in range(draws):
        y, group = rng.standard_t(4, 200), rng.choice(["a", "b"], 200)
        rows = table(y, np.zeros(200), groups=pd.DataFrame({"group": group}))
        found = calibrate_intervals(rows.take(np.arange(100))).apply(rows.take(np.arange(100, 200)))
        held.append(found.covered.mean())
        for name, one in by_group.items():
            one.append(found.covered[found.groups["group"] == name].mean())
    return float(np.mean(held)), {name: float(np.mean(one)) for name, one in by_group.items()}


def test_mean_coverage_is_the_one_wanted():
    overall, _ = mean_coverage(150, seed=0)
    assert 0.94 <= overall <= 0.96


@pytest.mark.series
def test_mean_coverage_over_2000_draws_overall_and_by_group():
    overall, by_group = mean_coverage(2000, seed=1)
    assert all(0.94 <= one <= 0.96 for one in (overall, *by_group.values())), (overall, by_group)


def test_quantiles_that_are_too_narrow_hold_the_truth_as_often_as_wanted_and_in_each_group_with_its_own_margin():
    """A small version of benchmarks/other_tasks.py: 150 draws; the standard error of a mean coverage is below 0.5 %."""
    rng, found = np.random.default_rng(5), []
    for _ in range(150):
        noisy = rng.random(600) < 0.3
        spread = np.where(noisy, 3.0, 1.0)
        error, half = rng.normal(0, 1, 600) * spread, 0.7 * 1.96 * spread
        groups = pd.DataFrame({"group": np.where(noisy, "noisy", "quiet")})
        ends = {"lower": -half, "upper": half}
        val, test = (
            table(
                error[part],
                np.zeros(600)[part],
                prefix=str(part.start),
                groups=groups[part].reset_index(drop=True),
                **{name: end[part] for name, end in ends.items()},
            )
            for part in (slice(0, 200), slice(200, 600))
        )
        plain = [replace(one, lower=None, upper=None) for one in (val, test)]
        rules = (intervals_for(test, val), intervals_for(test, val, by="group"), intervals_for(plain[1], plain[0]))
        covered = [rule.apply(one).covered for rule, one in zip(rules, (test, test, plain[1]), strict=True)]
        found.append([[one.mean(), one[noisy[200:]].mean(), one[~noisy[200:]].mean()] for one in covered])
    cqr, by_group, one_margin = np.mean(found, axis=0)
    assert 0.945 <= cqr[0] <= 0.96
    assert one_margin[1] + 0.03 < cqr[1] < cqr[2]  # closer than one margin, though the quantiles are wrong by a factor
    assert np.all((by_group >= 0.945) & (by_group <= 0.975))
