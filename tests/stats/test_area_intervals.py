from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq

from tlkit.stats.area_intervals import (
    PRIOR_DF,
    AreaMean,
    AreaSpread,
    area_counts,
    area_estimate,
    moderated,
    scaled_by_others,
)
from tlkit.stats.cluster_sampling import Units
from tlkit.stats.influence import Spread, spread_of
from tlkit.stats.intervals import wilson
from tlkit.stats.one_vs_rest import AREA_KINDS, Area, areas


def both(seed: int, n: int, share: float = 0.3, signal: float = 1.0) -> tuple[Area, Area, np.ndarray]:
    rng = np.random.default_rng(seed)
    positive = rng.random(n) < share
    positive[:2] = True, False
    found = areas(rng.standard_normal(n) + signal * positive, positive)
    assert found is not None
    return *found, positive


def newcombe(theta: float, positives: float, negatives: float) -> float:
    """Return the variance of Newcombe (2006), method 5."""
    half = (positives + negatives) / 2
    more = (half - 1) * ((1 - theta) / (2 - theta) + theta / (1 + theta))
    return theta * (1 - theta) * (1 + more) / (positives * negatives)


@given(st.integers(0, 10_000), st.integers(20, 80))
@settings(max_examples=40, deadline=None)
def test_the_variance_is_between_the_estimated_one_and_that_of_the_formula(seed: int, n: int) -> None:
    auroc, ap, positive = both(seed, n)
    p, q = float(positive.sum()), float((~positive).sum())
    for area, formula in ((auroc, newcombe), (ap, lambda s, p, q: s * (1 - s) / p)):
        found = moderated(area, None, positives=p, negatives=q)
        raw = spread_of(area.influence, None, most_df=area.variance_df, corrected=area.kind == "auroc")
        prior = formula(found.inner, p, q)
        assert min(raw.variance, prior) <= found.spread.variance * (1 + 1e-9)
        assert found.spread.variance <= max(raw.variance, prior) * (1 + 1e-9)
        if found.stretch > 0 and min(p, q) > 1:
            d, d0 = raw.df, PRIOR_DF[area.kind]
            assert found.spread.df == pytest.approx(d + d0)
            assert found.spread.variance == pytest.approx((d * raw.variance + d0 * prior) / (d + d0))
            stretched = spread_of(area.influence * found.stretch, None, corrected=area.kind == "auroc")
            assert stretched.variance == pytest.approx(found.spread.variance)


def test_without_any_variance_of_its_own_an_auroc_has_newcombes_interval() -> None:
    area = Area("auroc", 0.8, np.zeros(40), 9.0, 10.0, 30.0)
    part = moderated(area, None, positives=10.0, negatives=30.0)
    assert part.stretch == 0
    part = AreaSpread(0.8, 0.8, Spread(newcombe(0.8, 10, 30), 1e9), 1.0)
    found = area_estimate("auroc", 0.8, [part], part.spread, n=40, size=40)
    for end, bracket in ((found.low, (1e-6, 0.8)), (found.high, (0.8, 1 - 1e-6))):
        exact = brentq(lambda theta: (0.8 - theta) ** 2 - 1.959964**2 * newcombe(theta, 10, 30), *bracket)
        assert end == pytest.approx(exact, abs=2e-4)


def test_complete_separation_has_an_interval_that_begins_below_one() -> None:
    score, positive = np.arange(40.0), np.arange(40) >= 34
    found = areas(score, positive)
    assert found is not None
    lows = []
    for area in found:
        part = moderated(area, None, positives=6, negatives=34)
        one = area_estimate(area.kind, area.value, [part], part.spread, n=40, size=40)
        assert (area.value, one.high) == (1.0, 1.0)
        lows.append(one.low)
    assert lows[1] == pytest.approx(wilson(6, 6).low)  # a share of the positives
    exact = brentq(lambda theta: (1 - theta) ** 2 - 1.959964**2 * newcombe(theta, 6, 34), 1e-6, 1 - 1e-6)
    assert lows[0] == pytest.approx(exact, abs=2e-4)


def test_an_interval_is_narrower_with_more_images() -> None:
    widths = []
    for n in (40, 400, 4000):
        auroc, _, positive = both(1, n)
        part = moderated(auroc, None, positives=positive.sum(), negatives=(~positive).sum())
        one = area_estimate("auroc", auroc.value, [part], part.spread, n=n, size=n)
        widths.append(one.high - one.low)
        assert 0 <= one.low <= auroc.value <= one.high <= 1
    assert widths[0] > 2 * widths[1] > 4 * widths[2]


def test_the_mean_of_one_class_or_of_two_equal_ones_has_its_interval() -> None:
    for area in both(2, 80)[:2]:
        part = moderated(area, None, positives=area.positives, negatives=area.negatives)
        alone = area_estimate(area.kind, area.value, [part], part.spread, n=80, size=80)
        for times in (1, 2):
            mean = AreaMean(area.kind, 80)
            for _ in range(times):
                mean.add(area, part)
            found = area_estimate(mean.kind, mean.value, mean.parts, mean.spread(None), n=80, size=80)
            assert (found.low, found.high) == pytest.approx((alone.low, alone.high), abs=1e-9)


def test_the_mean_of_a_rare_class_and_one_without_doubt_moves_half_as_far_as_the_rare_one() -> None:
    rare = AreaSpread(0.2, 0.2, Spread(0.01, 20.0), 1.0)
    sure = AreaSpread(0.9, 0.9, Spread(1e-9, 20.0), 1.0)
    one = area_estimate("average_precision", 0.2, [rare], rare.spread, n=100, size=100)
    mean = area_estimate("average_precision", 0.55, [rare, sure], Spread(0.01 / 4, 20.0), n=100, size=100)
    assert (mean.low, mean.high) == pytest.approx((0.45 + one.low / 2, 0.45 + one.high / 2), abs=1e-4)


def ranked_at_random(rng: np.random.Generator, n: int, classes: int, kind: str, units: Units | None = None) -> AreaMean:
    """Return the mean area of scores that tell nothing."""
    y, mean = rng.integers(classes, size=n), AreaMean(kind, n)
    weight = None if units is None or np.ptp(units.weight) == 0 else units.weight
    for code in range(classes):
        found = areas(rng.standard_normal(n), y == code, weight)
        if found is not None:
            area = found[AREA_KINDS.index(kind)]
            positives, negatives = area_counts(area, units, y == code, y != code)
            mean.add(area, moderated(area, units, positives=positives, negatives=negatives))
    return mean


@given(st.integers(0, 10_000), st.integers(3, 12), st.integers(30, 200))
@settings(max_examples=40, deadline=None)
def test_the_formula_of_a_class_is_scaled_by_the_other_classes(seed: int, classes: int, n: int) -> None:
    mean = ranked_at_random(np.random.default_rng(seed), n, classes, "average_precision")
    d0 = PRIOR_DF["average_precision"]
    for own, part in enumerate(mean.parts):
        alone = mean.alone[own]
        assert (part.place, part.inner, part.spread.df) == (alone.place, alone.inner, alone.spread.df)
        others = [one for k, one in enumerate(mean.alone) if k != own and one.stretch > 0]
        total = sum(one.raw.df for one in others)
        if len(mean.alone) < 3 or alone.stretch == 0 or total == 0:
            assert part == alone
            continue
        ratio = np.average(
            [one.raw.variance / one.formula for one in others], weights=[one.raw.df * one.formula for one in others]
        )
        formula = alone.formula * (total * ratio + d0) / (total + d0)
        expected = (alone.raw.df * alone.raw.variance + d0 * formula) / (alone.raw.df + d0)
        assert part.spread.variance == pytest.approx(expected)


@given(st.integers(0, 10_000), st.integers(2, 8), st.booleans(), st.booleans())
@settings(max_examples=40, deadline=None)
def test_the_mean_of_many_classes_has_an_interval_with_weights_and_clusters(
    seed: int, classes: int, weighted: bool, clustered: bool
) -> None:
    rng = np.random.default_rng(seed)
    weight = rng.uniform(0.2, 3.0, 60) if weighted else np.ones(60)
    units = Units(weight, rng.permutation(60) // 4 if clustered else np.arange(60))
    mean = ranked_at_random(rng, 60, classes, "average_precision", units)
    if not mean.values:
        return
    found = area_estimate(mean.kind, mean.value, mean.parts, mean.spread(units), n=60, size=60)
    assert 0 <= found.low <= mean.value <= found.high <= 1
    assert found.high > found.low


@pytest.mark.parametrize(("kind", "classes"), [("auroc", 6), ("average_precision", 2)])
def test_aurocs_and_two_classes_keep_the_formula(kind: str, classes: int) -> None:
    mean = ranked_at_random(np.random.default_rng(4), 80, classes, kind)
    assert len(mean.values) == classes
    assert list(mean.parts) == list(mean.alone)
    assert mean.mean_influence == pytest.approx(mean.influence / classes)


def test_a_class_on_which_the_formula_expects_nothing_leaves_the_others_alone() -> None:
    usual = AreaSpread(0.5, 0.5, Spread(0.02, 12.0), 1.0, Spread(0.02, 10.0), 0.02)
    odd = AreaSpread(1 - 1e-9, 1 - 1e-9, Spread(0.0001, 12.0), 1.0, Spread(0.0001, 10.0), 1e-11)
    for part in scaled_by_others([usual, usual, usual, odd], 2.0)[:3]:
        assert part.spread.variance == pytest.approx(0.02, rel=0.01)


def test_the_variance_of_a_mean_average_precision_at_chance_is_that_of_repeated_samples() -> None:
    rng, places, variances, alone = np.random.default_rng(8), [], [], []
    for _ in range(300):
        mean = ranked_at_random(rng, 200, 10, "average_precision")
        places.append(np.mean([part.place for part in mean.parts]))
        variances.append(mean.spread(None).variance)
        alone.append(spread_of(mean.influence / 10, None).variance)
    ratio, before = np.mean(variances) / np.var(places), np.mean(alone) / np.var(places)
    assert 0.85 <= ratio <= 1.3, (ratio, before)
    assert before > ratio * 1.1


def test_images_of_few_clusters_count_as_these() -> None:
    auroc, ap, positive = both(3, 60)
    units = Units(np.ones(60), np.arange(60) // 6)
    counts = area_counts(auroc, units, positive, ~positive)
    assert counts == (len(set(units.unit[positive])), len(set(units.unit[~positive])))
    for area in (auroc, ap):
        alone = moderated(area, None, positives=area.positives, negatives=area.negatives)
        clustered = moderated(area, units, positives=counts[0], negatives=counts[1])
        assert clustered.spread.df < alone.spread.df
        assert clustered.place == alone.place


def simulated(shares: tuple[float, ...], signal: float, n: int, sets: int) -> dict[str, float]:
    """Return how often the intervals of the rarest class hold its areas."""
    rng = np.random.default_rng(5)

    def draw(size: int) -> tuple[tuple[Area, Area] | None, np.ndarray]:
        y = rng.choice(len(shares), size=size, p=shares)
        score = rng.standard_normal(size) + signal * np.sqrt(2) * (y == 0)
        return areas(score, y == 0), y == 0

    large, _ = draw(200_000)
    assert large is not None
    held = {kind: [] for kind in AREA_KINDS}
    for _ in range(sets):
        found, positive = draw(n)
        for place, area in enumerate(found or ()):
            part = moderated(area, None, positives=positive.sum(), negatives=(~positive).sum())
            one = area_estimate(area.kind, area.value, [part], part.spread, n=n, size=n)
            held[area.kind].append(one.low <= large[place].value <= one.high)
    return {kind: float(np.mean(one)) for kind, one in held.items()}


def test_intervals_hold_the_area_of_a_class_of_five_images_in_a_small_simulation() -> None:
    found = simulated((0.1, 0.9), 0.5, 50, 600)
    assert 0.92 <= found["auroc"] <= 0.975  # DeLong's interval on Wilson's scale: .889
    assert found["average_precision"] >= 0.93


def test_the_mean_over_classes_holds_where_one_class_has_a_single_image() -> None:
    rng = np.random.default_rng(3)

    def draw(counts: tuple[int, ...]) -> AreaMean:
        y = np.repeat(np.arange(3), counts)
        logits = rng.standard_normal((len(y), 3))
        logits[np.arange(len(y)), y] += 1.0
        proba = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        mean = AreaMean("average_precision", len(y))
        for code, positives in enumerate(counts):
            found = areas(proba[:, code], y == code)
            assert found is not None
            part = moderated(found[1], None, positives=positives, negatives=len(y) - positives)
            mean.add(found[1], part)
        return mean

    true, held = draw((10_000, 30_000, 60_000)).value, []
    for _ in range(300):
        mean = draw((1, 15, 34))
        one = area_estimate("average_precision", mean.value, mean.parts, mean.spread(None), n=50, size=50)
        held.append(one.low <= true <= one.high)
    assert np.mean(held) >= 0.9  # where the jackknife's bias is taken from the single image: 0.4
