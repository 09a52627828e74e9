"""Statistics of weighted and clustered images against statsmodels, scipy, explicit jackknives, and by coverage."""

from __future__ import annotations

import numpy as np
import pytest
import statsmodels.api as sm
from messages import saying
from scipy.special import expit
from scipy.stats import norm
from statsmodels.stats.contingency_tables import StratifiedTable

from tlkit.stats.association import adjusted_gap, clustered_gap, clustered_v, cramers_v
from tlkit.stats.calibration import calibration_design_effect, calibration_error, null_calibration_error
from tlkit.stats.cluster_sampling import Units, combined_df, jackknife, student_estimate
from tlkit.stats.dependent_samples import cluster_moments
from tlkit.stats.hypothesis_tests import cochran_armitage, omnibus
from tlkit.stats.intervals import newcombe
from tlkit.stats.means import clustered_mean, clustered_mean_of_rates, mean_estimate, mean_of_rates
from tlkit.stats.ordered_trend import clustered_ordered_rates, ordered_rates
from tlkit.stats.ranking import auroc, clustered_area
from tlkit.stats.selective_risk import aurc
from tlkit.stats.strata import clustered_kitagawa_split, clustered_mantel_haenszel, kitagawa_split, mantel_haenszel


def split_units(unit, weight=None):
    return Units(np.ones(len(unit)) if weight is None else np.asarray(weight, dtype=float), np.asarray(unit))


def alone(n, weight=None):
    return split_units(np.arange(n), weight)


def half(estimate):
    return (estimate.high - estimate.low) / 2


@pytest.fixture(scope="module")
def sample():
    """Forty clusters of fifteen images in two groups; three classes and a score that vary with the cluster."""
    generator = np.random.default_rng(0)
    unit = np.repeat(np.arange(40), 15)
    side, kind = (unit % 2).astype(np.int64), generator.integers(0, 3, 600)
    effect = generator.normal(size=(40, 3))
    right = generator.random(600) < expit(1.5 - 0.6 * kind + 0.4 * side + effect[unit, kind])
    return {
        "unit": unit,
        "side": side,
        "kind": kind,
        "right": right,
        "score": generator.normal(size=600) + effect[unit, 0],
    }


# --- one sum over clusters


def test_the_variance_of_a_mean_is_that_of_statsmodels_with_clusters(sample):
    weight = np.random.default_rng(1).choice([0.5, 1, 3], 600)
    ours = clustered_mean(sample["score"], split_units(sample["unit"], weight), lowest=-np.inf)
    theirs = sm.WLS(sample["score"], np.ones(600), weights=weight).fit(
        cov_type="cluster", cov_kwds={"groups": sample["unit"]}, use_t=True
    )
    assert ours.value == pytest.approx(theirs.params[0])
    # statsmodels multiplies by (N − 1)/(N − 1) · M/(M − 1) and takes M − 1 degrees of freedom; CR2 knows unlike shares
    assert half(ours) == pytest.approx(np.ptp(theirs.conf_int()) / 2, rel=0.05)
    even = clustered_mean(sample["score"], split_units(sample["unit"]), lowest=-np.inf)
    theirs = sm.OLS(sample["score"], np.ones(600)).fit(
        cov_type="cluster", cov_kwds={"groups": sample["unit"], "df_correction": True}, use_t=True
    )
    moments = cluster_moments(np.bincount(sample["unit"], weights=sample["score"])[:, None], np.full((40, 1), 15.0))
    assert moments.covariance[0, 0] == pytest.approx(theirs.cov_params()[0, 0])
    assert half(even) == pytest.approx(np.ptp(theirs.conf_int()) / 2, rel=0.03)  # a little fewer by kurtosis


def test_too_few_clusters_give_an_estimate_with_a_note():
    values = np.array([0.1, 0.4, 0.2, 0.3])
    one = clustered_mean(values, split_units([7, 7, 7, 7]))
    assert (one.value, one.note) == (None, saying("4", "one cluster"))
    assert clustered_mean(values, alone(4, [0, 0, 0, 0])).note == saying("4", "no image", "weight")
    assert clustered_mean([0.3] * 4, split_units([0, 0, 1, 1])).note == saying("not enough data", "nothing varies")
    wild = clustered_mean([0.0, 0.0, 1.0, 1.0], split_units([0, 0, 1, 1]))  # a factor of e to the 12.7 to each side
    assert (wild.value, wild.low, wild.note) == (0.5, None, saying("not enough data", "too few"))


def test_the_degrees_of_freedom_of_a_sum_are_bell_and_mccaffreys():
    generator = np.random.default_rng(3)
    unit, kind = generator.integers(0, 7, 60), generator.integers(0, 3, 60)
    variance = np.array([0.2, 0.05, 0.4])
    counts = split_units(unit).summed(kind, 3)
    # By matrices: regression on indicators of the kind, working independence with a variance for each kind.
    x = np.eye(3)[kind]
    n, sums = x.sum(axis=0), np.ones(3)
    hat = x @ np.diag(1 / n) @ x.T
    spread = np.sqrt(variance * n)[kind]  # so that the mean of a kind has that variance
    columns = []
    for cluster in range(7):
        inside = unit == cluster
        values, vectors = np.linalg.eigh(np.eye(inside.sum()) - hat[np.ix_(inside, inside)])
        root = vectors @ np.diag(1 / np.sqrt(values)) @ vectors.T
        columns.append((np.eye(60) - hat)[:, inside] @ root @ x[inside] @ np.diag(1 / n) @ sums * spread)
    g = np.stack(columns) @ np.stack(columns).T
    assert combined_df(counts, variance) == pytest.approx(np.trace(g) ** 2 / np.trace(g @ g))
    one = cluster_moments(np.zeros((7, 1)) + 1.0, counts[:, :1])
    assert combined_df(counts[:, :1], [0.3]) == pytest.approx(one.df[0])
    assert combined_df([[3, 0], [4, 2]], [1, 1]) == 0  # a kind of one cluster


def test_jackknife_changes_are_those_of_a_ratio_without_each_cluster():
    table = np.random.default_rng(4).random((9, 2))
    value, moved = jackknife(table, lambda sums: sums[:, :1] / sums[:, 1:])
    without = [np.delete(table, i, axis=0).sum(axis=0) for i in range(9)]
    assert value[0] == pytest.approx(table[:, 0].sum() / table[:, 1].sum())
    assert (moved**2).sum() == pytest.approx(sum((a / b - value[0]) ** 2 for a, b in without) * 8 / 9)


# --- recalls and areas


def test_the_mean_recall_is_undefined_where_a_class_has_one_cluster():
    ours = clustered_mean_of_rates([[3, 0, 0], [4, 2, 0]], [[5, 0, 0], [5, 3, 0]], images=[10, 3, 0])
    assert (ours.value, ours.note) == (None, saying("13", "1 of 2 classes", "one cluster"))


def test_the_area_in_clusters_is_obuchowskis(sample):
    positive = sample["kind"] == 0
    high, low = sample["score"][positive], sample["score"][~positive]
    units = split_units(sample["unit"])
    ours = clustered_area(high, low, high_units=units.take(positive), low_units=units.take(~positive))
    assert ours.value == pytest.approx(auroc(sample["score"], positive).value)
    # Obuchowski (1997), section 2, pair by pair
    above = (np.subtract.outer(high, low) > 0) + 0.5 * (np.subtract.outer(high, low) == 0)
    area, m, n = above.mean(), len(high), len(low)
    own, other = sample["unit"][positive], sample["unit"][~positive]
    x = np.array([(above.mean(axis=1)[own == i] - area).sum() for i in range(40)])
    y = np.array([(above.mean(axis=0)[other == i] - area).sum() for i in range(40)])
    variance = 40 / 39 * ((x @ x) / m**2 + (y @ y) / n**2 + 2 * (x @ y) / (m * n))
    reach = np.log(ours.high / (1 - ours.high)) - np.log(area / (1 - area))
    deviation = reach * area * (1 - area) / np.sqrt(variance)
    assert 1.99 < deviation < 2.1  # Student's t of 30 to 39 degrees of freedom, shares a little unlike


def test_weights_equal_repeated_images_in_auroc_and_aurc():
    generator = np.random.default_rng(6)
    score, positive, weight = generator.integers(0, 9, 80) / 9, generator.random(80) < 0.4, generator.integers(1, 4, 80)
    each = alone(80, weight)
    ours = clustered_area(
        score[positive], score[~positive], high_units=each.take(positive), low_units=each.take(~positive)
    )
    assert ours.value == pytest.approx(auroc(np.repeat(score, weight), np.repeat(positive, weight)).value)
    assert aurc(score, positive, np.full(80, 2.5)) == pytest.approx(aurc(score, positive))
    assert aurc([0.9, 0.9, 0.5], [1, 0, 0], [3, 1, 4]) == pytest.approx((0.25 * 2 + 0.25 * 2 + 5 / 8 * 4) / 8)
    everything = each.take(positive)
    assert (
        clustered_area(score[positive], np.array([]), high_units=everything, low_units=alone(0)).note == "no negatives"
    )


# --- calibration


def test_the_calibration_design_effect_of_repeated_images_is_their_number():
    generator = np.random.default_rng(7)
    sure = generator.uniform(0.5, 1, 300)
    right = generator.random(300) < sure
    copies = np.repeat(np.arange(300), 4)
    effect = calibration_design_effect(sure[copies], right[copies], split_units(copies))
    assert effect == pytest.approx(4, rel=0.04)  # clusters − 1 for images − 1 in each bin
    expected = null_calibration_error(sure[copies], effect=effect)
    assert expected == pytest.approx(null_calibration_error(sure), rel=0.03)
    assert calibration_design_effect(sure, right, alone(300)) == pytest.approx(1, abs=0.01)
    assert calibration_design_effect(sure, right, split_units([1] * 300)) is None


def test_weights_equal_repeated_images_in_the_calibration_error():
    generator = np.random.default_rng(8)
    sure, weight = generator.choice([0.55, 0.7, 0.9], 400), generator.integers(1, 4, 400)
    right = generator.random(400) < sure
    ours = calibration_error(sure, right, weights=weight)
    assert ours == pytest.approx(calibration_error(np.repeat(sure, weight), np.repeat(right, weight)))
    null = [calibration_error(sure, generator.random(400) < sure, weights=weight) for _ in range(2000)]
    assert null_calibration_error(sure, weights=weight) == pytest.approx(np.mean(null), rel=0.04)
    assert null_calibration_error(sure, weights=np.full(400, 2.0)) == pytest.approx(null_calibration_error(sure))


# --- two groups within strata


def test_the_clustered_kitagawa_split_is_the_jackknife_of_the_plain_one(sample):
    right, side, kind, unit = (sample[name] for name in ("right", "side", "kind", "unit"))

    def counted(kept):
        n = np.bincount(side[kept] * 3 + kind[kept], minlength=6).reshape(2, 3)
        return np.bincount(side[kept] * 3 + kind[kept], weights=right[kept], minlength=6).reshape(2, 3).astype(int), n

    def plain(kept):
        found = kitagawa_split(*counted(kept), rng=np.random.default_rng(0), replicates=2)
        return np.array([found.gap.value, found.mix.value, found.rate.value, found.standardised.value])

    everything = plain(np.ones(600, dtype=bool))
    spread = sum((plain(unit != i) - everything) ** 2 for i in range(40)) * 39 / 40
    ours = clustered_kitagawa_split(right, split_units(unit), side=side, kind=kind, kinds=3)
    for estimate, value, variance in zip(
        (ours.gap, ours.mix, ours.rate, ours.standardised), everything, spread, strict=True
    ):
        assert estimate.value == pytest.approx(value)
        assert 2.02 < half(estimate) / np.sqrt(variance) < 2.15  # Student's t, 38 degrees of freedom or fewer


def test_a_group_without_errors_in_few_clusters_has_a_wide_interval():
    side, unit = np.repeat([0, 1], [60, 300]), np.repeat(np.arange(24), 15)
    right = np.where(side == 0, True, np.random.default_rng(9).random(360) < 0.9)
    kind = np.arange(360) % 2
    ours = clustered_kitagawa_split(right, split_units(unit), side=side, kind=kind, kinds=2)
    assert ours.rate.low < ours.rate.value - 0.4  # four clusters without an error: Wilson's interval begins at .51
    assert ours.rate.high < ours.rate.value + 0.15
    one = clustered_kitagawa_split(right, split_units(unit), side=side, kind=np.zeros(360, dtype=int), kinds=1)
    assert (one.mix.low, one.mix.high) == (0, 0)


def test_the_clustered_mantel_haenszel_is_the_jackknife_of_the_plain_one(sample):
    right, side, kind, unit = (sample[name] for name in ("right", "side", "kind", "unit"))

    def log_odds(kept):
        tables = [
            [[(kept & (kind == s) & (side == g) & (right == r)).sum() for r in (True, False)] for g in (0, 1)]
            for s in range(3)
        ]
        return StratifiedTable([np.array(table, dtype=float) for table in tables]).logodds_pooled

    everything = log_odds(np.ones(600, dtype=bool))
    spread = sum((log_odds(unit != i) - everything) ** 2 for i in range(40)) * 39 / 40
    ours = clustered_mantel_haenszel(right, split_units(unit), side=side, stratum=kind)
    assert np.log(ours.pooled.value) == pytest.approx(everything)
    assert ours.statistic == pytest.approx(everything**2 / spread)
    assert 2.02 < np.log(ours.pooled.high / ours.pooled.value) / np.sqrt(spread) < 2.15
    assert ours.equal_p is None
    plain = mantel_haenszel(
        *[
            np.array([[(part & (kind == s) & (side == g)).sum() for s in range(3)] for g in (0, 1)])
            for part in (right, np.ones(600, dtype=bool))
        ]
    )
    assert ours.crude == pytest.approx(plain.crude)
    assert ours.p > 2 * plain.p  # independent images would be too sure


def test_odds_that_depend_on_one_cluster_are_undefined():
    right = np.array([True] * 10 + [False] * 2 + [True] * 10 + [False] * 3)
    side, unit = np.repeat([0, 1], [12, 13]), np.array([1] * 10 + [2] * 2 + [3] * 4 + [4] * 9)
    ours = clustered_mantel_haenszel(right, split_units(unit), side=side, stratum=np.zeros(25, dtype=int))
    assert ours.pooled.note == saying("not enough data", "one cluster")
    assert (ours.p, ours.statistic) == (None, None)
    one = clustered_mantel_haenszel(right, split_units([1] * 25), side=side, stratum=np.zeros(25, dtype=int))
    assert one.pooled.note == saying("one cluster")


def test_the_clustered_adjusted_gap_is_the_jackknife_of_statsmodels_fits(sample):
    right, side, kind, unit = (sample[name] for name in ("right", "side", "kind", "unit"))
    design = np.column_stack([np.ones(600), side == 0, kind == 1, kind == 2]).astype(float)

    def fitted(kept):
        return sm.Logit(right[kept].astype(float), design[kept]).fit(disp=0)

    def gap(result):
        one, two = design.copy(), design.copy()
        one[:, 1], two[:, 1] = 1, 0
        return (result.predict(one) - result.predict(two)).mean()

    everything = fitted(np.ones(600, dtype=bool))
    spread = sum((gap(fitted(unit != i)) - gap(everything)) ** 2 for i in range(40)) * 39 / 40
    asked = {"member": side == 0, "others": np.array([[0.0, 0], [1, 0], [0, 1]]), "pattern": kind}
    ours = clustered_gap(right, split_units(unit), **asked)
    assert ours.value == pytest.approx(gap(everything))
    assert half(ours) / np.sqrt(spread) == pytest.approx(2.04, rel=0.02)
    # The sandwich of statsmodels leaves no cluster out, which is a little narrower.
    robust = sm.Logit(right.astype(float), design).fit(disp=0, cov_type="cluster", cov_kwds={"groups": unit})
    margin = robust.get_margeff(dummy=True).summary_frame()["Std. Err."].iloc[0]
    assert half(ours) / 2.04 == pytest.approx(margin, rel=0.06)
    separate = clustered_gap(right, alone(600), **asked)
    plain = adjusted_gap(
        np.bincount(kind * 2 + (side == 0), weights=right),
        np.bincount(kind * 2 + (side == 0)),
        member=[0, 1] * 3,
        others=np.repeat(asked["others"], 2, axis=0),
    )
    assert separate.value == pytest.approx(plain.value)
    assert half(separate) == pytest.approx(half(plain), rel=0.02)


def test_the_adjusted_gap_exists_where_a_value_has_one_cluster():
    generator = np.random.default_rng(10)
    unit = np.repeat(np.arange(20), 20)
    value = np.where(unit == 3, 2, unit % 2)
    member = generator.random(400) < 0.5
    right = generator.random(400) < 0.8
    others = np.array([[0.0, 0], [1, 0], [0, 1]])
    ours = clustered_gap(right, split_units(unit), member=member, others=others, pattern=value)
    without = value != 2
    theirs = clustered_gap(
        right[without],
        split_units(unit[without]),
        member=member[without],
        others=others[:2, :1],
        pattern=value[without],
    )
    assert ours.low is not None
    assert half(ours) == pytest.approx(half(theirs), rel=0.1)
    few = clustered_gap(
        right[:40], split_units(unit[:40] // 1), member=member[:40], others=others[:2, :1], pattern=value[:40]
    )
    assert few.note == saying("too many values", "clusters")


# --- many groups, many values


def test_clusters_of_one_have_the_trend_and_the_difference_of_independent_images():
    k, n = [190, 160, 140, 160, 185], [200, 180, 190, 200, 210]
    place = np.repeat(np.arange(5), n)
    right = np.concatenate([np.arange(size) < count for count, size in zip(k, n, strict=True)])
    ours, plain = clustered_ordered_rates(right, place, 5, alone(len(place))), ordered_rates(k, n)
    assert (ours.shape, ours.turn) == (plain.shape, plain.turn) == ("U", 2)
    # By each group's own variance, where Cochran and Armitage have the common one
    size, rate, score = np.array(n), np.array(k) / n, np.arange(5) - np.array(n) @ np.arange(5) / sum(n)
    spread = rate * (1 - rate) / (size - 1)
    assert ours.trend.z == pytest.approx((size * score) @ rate / np.sqrt((size * score) ** 2 @ spread))
    common = sum(k) / sum(n) * (1 - sum(k) / sum(n)) / size
    effect = ((1 - size / size.sum()) * spread / common).sum() / 4  # Rao & Scott (1981), section 4: mean design effect
    assert ours.any.statistic == pytest.approx(omnibus(k, n).statistic / effect)
    level = clustered_ordered_rates(np.arange(1000) % 5 > 0, np.repeat(np.arange(4), 250), 4, alone(1000))
    assert level.trend.z == pytest.approx(cochran_armitage([200] * 4, [250] * 4).z, abs=1e-9)
    assert ours.any.method == "Rao-Scott"


def test_repeated_images_in_clusters_do_not_change_the_tests():
    generator = np.random.default_rng(11)
    place = generator.integers(0, 4, 300)
    right = generator.random(300) < 0.9 - 0.07 * place
    one = clustered_ordered_rates(right, place, 4, alone(300))
    copies = np.repeat(np.arange(300), 3)
    three = clustered_ordered_rates(right[copies], place[copies], 4, split_units(copies))
    assert (three.trend.p, three.any.p, three.bend_p) == pytest.approx((one.trend.p, one.any.p, one.bend_p))
    wrong = ordered_rates(*(np.bincount(place[copies], weights=w, minlength=4) for w in (right[copies], None)))
    assert wrong.any.p < one.any.p / 2
    assert clustered_ordered_rates(right, place, 4, split_units(place)) is None  # a cluster each


def test_repeated_images_in_clusters_do_not_change_cramers_v():
    generator = np.random.default_rng(12)
    one, two = generator.integers(0, 3, 400), generator.integers(0, 4, 400)
    two = np.where(generator.random(400) < 0.15, one, two)
    plain = cramers_v(np.bincount(one * 4 + two, minlength=12).reshape(3, 4))
    ours = clustered_v(one, two, alone(400))
    assert (ours.v, ours.raw) == pytest.approx((plain.v, plain.raw), rel=0.02)
    assert ours.p == pytest.approx(plain.p, rel=0.5)
    copies = np.repeat(np.arange(400), 5)
    many = clustered_v(one[copies], two[copies], split_units(copies))
    assert many.v == pytest.approx(ours.v, rel=0.01)  # a design effect below 1 counts as 1
    assert many.p == pytest.approx(ours.p, rel=0.3)
    assert clustered_v(one, two, split_units([0] * 400)) is None
    assert clustered_v(one, np.zeros(400, dtype=int), alone(400)) is None


# --- coverage


def drawn(generator, clusters, deff, *, unlike):
    """Return cluster, class, confidence and being right of images in clusters with a design effect of about `deff`."""
    size = generator.lognormal(0, 0.9, clusters) if unlike else np.ones(clusters)
    unit = np.repeat(np.arange(clusters), np.maximum(2, np.round(15 * size / size.mean()).astype(int)))
    effect = np.sqrt(9 * (deff - 1) / 14) * generator.normal(size=clusters)
    kind = generator.integers(0, 2, len(unit))
    right = generator.random(len(unit)) < expit(1.7 - 0.5 * kind + effect[unit])
    score = 1.5 * kind + (0.4 * effect[unit] + generator.normal(size=len(unit)))
    return unit, kind, score, right


@pytest.mark.parametrize(("clusters", "deff", "unlike"), [(5, 3, False), (10, 3, True), (20, 1, True), (40, 3, True)])
def test_clustered_intervals_have_their_coverage_where_plain_ones_do_not(clusters, deff, unlike):
    generator = np.random.default_rng(13)
    _, kind, _, right = drawn(generator, 20_000, deff, unlike=False)
    recall = np.array([right[kind == c].mean() for c in (0, 1)])
    wide = np.sqrt(1 + 0.16 * 9 * (deff - 1) / 14)
    area = norm.cdf(1.5 / wide / np.sqrt(2))  # of images of different clusters, which nearly all pairs are
    held, naive, runs = np.zeros(4), np.zeros(2), 150
    for _ in range(runs):
        unit, kind, score, right = drawn(generator, clusters, deff, unlike=unlike)
        units, truly = split_units(unit), kind == 1
        brier = clustered_mean((right - 0.8) ** 2, units)
        mean = clustered_mean(right.astype(float), units, lowest=-1)
        macro = clustered_mean_of_rates(units.summed(kind, 2, right), units.summed(kind, 2), images=np.bincount(kind))
        ranked = clustered_area(score[truly], score[~truly], high_units=units.take(truly), low_units=units.take(~truly))
        truths = (recall.mean() * 0.04 + (1 - recall.mean()) * 0.64, recall.mean(), recall.mean(), area)
        held += [
            one.low is None or one.low <= truth <= one.high
            for one, truth in zip((brier, mean, macro, ranked), truths, strict=True)
        ]
        plain = mean_estimate(right.astype(float)), mean_of_rates(np.bincount(kind, weights=right), np.bincount(kind))
        naive += [one.low is None or one.low <= truths[1] <= one.high for one in plain]
    assert (held / runs >= 0.88).all(), held / runs  # .93 less two standard errors
    if deff == 3:
        assert (naive / runs < 0.75).all()


@pytest.mark.parametrize(("clusters", "across"), [((5, 5), False), ((3, 30), False), ((20, 20), False), ((10,), True)])
def test_clustered_comparisons_of_groups_have_their_coverage(clusters, across):
    generator, held, naive, alarms, runs = np.random.default_rng(14), np.zeros(3), 0, np.zeros(2), 120
    others = np.array([[0.0], [1.0]])
    for _ in range(runs):
        unit, kind, _, right = drawn(generator, sum(clusters), 3, unlike=True)
        side = generator.integers(0, 2, len(unit)) if across else (unit >= clusters[0]).astype(np.int64)
        units = split_units(unit)
        split = clustered_kitagawa_split(right, units, side=side, kind=kind, kinds=2)
        odds = clustered_mantel_haenszel(right, units, side=side, stratum=kind)
        gap = clustered_gap(right, units, member=side == 0, others=others, pattern=kind)
        held += [
            one.low is None or one.low <= truth <= one.high
            for one, truth in ((split.rate, 0), (odds.pooled, 1), (gap, 0))
        ]
        counts = [int(each) for g in (0, 1) for each in (right[side == g].sum(), (side == g).sum())]
        plain = newcombe(*counts)
        naive += plain.low <= 0 <= plain.high
        found, linked = clustered_ordered_rates(right, side, 2, units), clustered_v(side, kind, units)
        alarms += [found is not None and found.any.p < 0.05, linked is not None and linked.p < 0.05]
    assert (held / runs >= 0.9).all(), held / runs
    assert (alarms / runs <= 0.1).all(), alarms / runs
    if not across:
        assert naive / runs < 0.75


def test_one_image_without_clusters_is_not_said_to_be_too_few_clusters_alone():
    one = student_estimate(3.0, float("nan"), 0.0, n=1)
    assert one.low is None
    assert "image" in one.note
