"""Risk against coverage, its area, and thresholds with a guarantee."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from tlkit.stats.intervals import wilson
from tlkit.stats.selective_risk import (
    aurc,
    aurc_estimate,
    rank_by_confidence,
    risk_at_coverage,
    smallest_aurc,
    threshold_for_risk,
)

SURE = [0.95, 0.95, 0.85, 0.85, 0.65, 0.65, 0.55, 0.55]
RIGHT = [True, True, True, False, True, False, False, True]


def draw(n, rng, a=3.0):
    sure = rng.beta(a, 1, size=n) / 2 + 0.5
    return sure, rng.random(n) < sure


def test_the_area_averages_over_orders_of_equal_confidence():
    assert aurc(SURE, RIGHT) == pytest.approx(0.222768, abs=1e-6)
    rng, areas = np.random.default_rng(0), []
    for _ in range(4000):  # one order of equal images at a time
        order = np.lexsort((rng.random(8), -np.array(SURE)))
        wrong = ~np.array(RIGHT)[order]
        areas.append((wrong.cumsum() / np.arange(1, 9)).mean())
    assert aurc(SURE, RIGHT) == pytest.approx(np.mean(areas), abs=0.003)


@given(st.integers(0, 10_000), st.integers(1, 60), st.integers(1, 8))
@settings(max_examples=60, deadline=None)
def test_the_area_lies_between_the_best_ranking_and_one_and_ignores_order(seed, n, levels):
    rng = np.random.default_rng(seed)
    sure, right = rng.integers(0, levels, n) / 10, rng.random(n) < 0.7
    order = rng.permutation(n)
    found = aurc(sure, right)
    assert found == pytest.approx(aurc(sure[order], right[order]))
    assert smallest_aurc(int((~right).sum()), n) - 1e-12 <= found <= 1
    assert aurc(np.zeros(n), right) == pytest.approx((~right).mean())
    assert aurc(right.astype(float), right) == pytest.approx(smallest_aurc(int((~right).sum()), n))


def test_full_coverage_has_the_error_rate_and_wilsons_interval():
    rng = np.random.default_rng(0)
    sure, right = draw(200, rng)
    found, expected = risk_at_coverage(sure, right, 1.0), wilson(int((~right).sum()), 200)
    assert (found.value, found.low, found.high) == pytest.approx((expected.value, expected.low, expected.high))
    ranking = rank_by_confidence(sure, right)
    assert (ranking.n, ranking.errors[-1]) == (200, (~right).sum())


@pytest.mark.parametrize("sets", [300, pytest.param(2000, marks=pytest.mark.series)])
@pytest.mark.parametrize(("a", "n"), [(1.0, 60), (3.0, 150), (8.0, 400)])
def test_intervals_of_risk_at_coverage_and_of_the_area_hold_the_truth(a, n, sets):
    rng = np.random.default_rng(1)
    many, right = draw(1_000_000, rng, a)
    area, hits, held = aurc(many, right), np.zeros(3), []
    coverages = (0.5, 0.8, 0.95)
    truths = [(~right[many >= np.quantile(many, 1 - c)]).mean() for c in coverages]
    for _ in range(sets):
        sample = draw(n, rng, a)
        for place, (coverage, truth) in enumerate(zip(coverages, truths, strict=True)):
            found = risk_at_coverage(*sample, coverage)
            hits[place] += found.low <= truth <= found.high
        found = aurc_estimate(*sample)
        if found.low is not None:
            held.append(found.low <= area <= found.high)
    least, most = (0.93, 0.97) if sets > 1000 else (0.90, 0.985)
    print(np.round(truths, 3), hits / sets, round(np.mean(held), 3))  # pytest -rP
    assert (hits / sets >= least).all() and np.mean(held) >= least
    assert all(share <= (most if truth >= 0.1 else 0.985) for truth, share in zip(truths, hits / sets, strict=True))


@pytest.mark.parametrize("sets", [150, pytest.param(2000, marks=pytest.mark.series)])
@pytest.mark.parametrize(("n", "risk"), [(150, 0.1), (500, 0.05)])
def test_a_threshold_exceeds_its_risk_no_more_often_than_it_says(n, risk, sets):
    """The risk above a threshold t is known: confidence is uniform on [1/2, 1] and calibrated, so it is (1 − t) / 2."""
    rng, broken, found = np.random.default_rng(2), 0, 0
    for _ in range(sets):
        sure = rng.uniform(0.5, 1, n)
        chosen = threshold_for_risk(sure, rng.random(n) < sure, risk, delta=0.1)
        if chosen.threshold is not None:
            found += 1
            broken += (1 - max(chosen.threshold, 0.5)) / 2 > risk
    assert broken / sets <= 0.1 + 2 * np.sqrt(0.09 / sets)
    assert found / sets > 0.1


def test_a_few_confident_errors_do_not_end_the_search():
    rng = np.random.default_rng(4)
    sure = rng.uniform(0.5, 1, 3000)
    right = rng.random(3000) < 0.97  # as often wrong at the top as anywhere
    chosen = threshold_for_risk(sure, right, 0.05)
    assert chosen.threshold is not None and chosen.threshold < 0


def test_the_bound_of_a_threshold_is_clopper_and_pearsons():
    rng = np.random.default_rng(3)
    sure, right = draw(400, rng, 8.0)
    chosen = threshold_for_risk(sure, right, 0.05)
    assert chosen.threshold is not None
    kept = sure > chosen.threshold
    assert (kept.sum(), (kept & ~right).sum()) == (chosen.answered, chosen.errors)
    assert stats.beta.ppf(0.95, chosen.errors + 1, chosen.answered - chosen.errors) <= 0.05


def test_few_images_and_equal_confidences_have_no_threshold_and_perfect_ones_answer_everything():
    short = threshold_for_risk(np.linspace(0.5, 1, 58), np.ones(58, dtype=bool), 0.05)
    assert (short.threshold, short.needed) == (None, 59)
    perfect = threshold_for_risk(np.linspace(0.5, 1, 59), np.ones(59, dtype=bool), 0.05)
    assert perfect.threshold is not None and perfect.threshold < 0 and perfect.answered == 59
    flat = threshold_for_risk(np.full(200, 0.9), np.arange(200) % 2 == 0, 0.05)
    assert flat.threshold is None
    with pytest.raises(ValueError, match=r"above 0 and below 1"):
        threshold_for_risk([0.5], [True], 1.5)
