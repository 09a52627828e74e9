"""The known answers of an audit, T1 to T35, each against its closed form or another library.

T1–T8 intervals, tests, corrections · T9–T17 audits of a few images · T18 T19 class mix and Simpson's paradox ·
T20–T25 calibration and ranking · T26–T32 the largest gap, spread, shrinkage, pairs, trend, power · T33 and what of T28
is about 10,000 images, in test_known_bench.py · T34 verdicts, in test_audit_verdicts.py · T35 invariances, in
test_audit_laws.py but for two; what of T23 an audit hides, in test_audit_ranking.py. Where a number has more to say,
the modules in tests/stats say it. Where another library's number is itself listed, because it is wrong or means
something else, the test holds that library to it.
"""

from __future__ import annotations

import numpy as np
import pytest
from fairlearn.metrics import (
    MetricFrame,
    equal_opportunity_difference,
    equalized_odds_ratio,
    selection_rate,
    true_positive_rate,
)
from messages import saying
from scipy import stats
from sklearn.metrics import accuracy_score, log_loss, recall_score, roc_auc_score
from statsmodels.stats.contingency_tables import mcnemar as statsmodels_mcnemar
from statsmodels.stats.multitest import multipletests
from tables_of_predictions import predictions_of

from tlkit.audit import audit_groups
from tlkit.audit.criteria import keeps_four_fifths
from tlkit.audit.rates import GroupCounts
from tlkit.stats.calibration import calibration_error, confidence_losses, log_losses, null_calibration_error
from tlkit.stats.corrections import benjamini_hochberg, benjamini_yekutieli, hochberg, holm
from tlkit.stats.dependent_samples import design_effect, score_test
from tlkit.stats.estimate import Estimate
from tlkit.stats.hypothesis_tests import cochran_armitage, fisher_exact, max_gap, mcnemar, omnibus
from tlkit.stats.intervals import clopper_pearson, newcombe, ratio_log, wilson
from tlkit.stats.means import mean_of_rates
from tlkit.stats.power import detectable_gap, normal_range, null_gap
from tlkit.stats.ranking import auroc, false_positive_rate_at
from tlkit.stats.selective_risk import aurc
from tlkit.stats.shrinkage import kish_n, shrink, spread_beyond_noise
from tlkit.stats.strata import kitagawa_split, mantel_haenszel

FIVE = ([2276, 900, 360, 258, 46], [2484, 974, 412, 336, 64])
ALL_RATES = ("accuracy", "recall", "precision", "false_positive_rate", "selection_rate")


def audit_of(y_true, y_pred, *, classes=("no", "yes"), proba=None, groups=None, **options):
    """Audit a few images; every image is enough."""
    predictions = predictions_of(y_true, y_pred, classes=classes, proba=proba, **groups)
    return audit_groups(predictions, **{"min_group_size": 1, "by": list(groups), "max_half_width": 1, **options})


def ends(estimate):
    return (estimate.low, estimate.high)


def test_t01_wilson():
    for k, n, low, high in (
        (81, 263, 0.255289, 0.366210),
        (15, 148, 0.062386, 0.160487),
        (0, 20, 0.0, 0.161125),
        (1, 29, 0.006113, 0.171755),
        (0, 10, 0.0, 0.277533),
        (10, 10, 0.722467, 1.0),
        (1, 1, 0.206549, 1.0),
        (0, 1, 0.0, 0.793451),
    ):
        assert ends(wilson(k, n)) == pytest.approx((low, high), abs=1e-6)
    assert wilson(0, 0).value is None


def test_t02_clopper_pearson():
    assert ends(clopper_pearson(0, 10)) == pytest.approx((0, 0.308497), abs=1e-6)
    assert ends(clopper_pearson(1, 1)) == pytest.approx((0.025, 1.0), abs=1e-6)
    assert ends(clopper_pearson(46, 64)) == pytest.approx((0.592400, 0.824034), abs=1e-6)
    assert ends(wilson(46, 64)) == pytest.approx((0.598661, 0.814066), abs=1e-6)
    assert clopper_pearson(0, 50, 0.9).high == pytest.approx(0.058155, abs=1e-6)


def test_t02_the_guaranteed_option_takes_clopper_pearson_for_the_rows_and_wider_differences():
    one, other = ("1" * 46 + "0" * 18, "1" * 90 + "0" * 10)
    given = {"y_true": "1" * 164, "y_pred": one + other, "groups": {"g": "A" * 64 + "B" * 100}}
    wide, narrow = audit_of(**given, guaranteed=True), audit_of(**given)
    row, usual = (found.group_table("g").row(("A",)) for found in (wide, narrow))
    assert ends(row.rate) == pytest.approx((0.592400, 0.824034), abs=1e-6)
    assert ends(usual.rate) == pytest.approx((0.598661, 0.814066), abs=1e-6)
    assert row.difference.low < usual.difference.low < usual.difference.high < row.difference.high


def test_t03_newcombe():
    for k1, n1, k2, n2, value, low, high in (
        (56, 70, 48, 80, 0.2, 0.052431, 0.333873),
        (9, 10, 3, 10, 0.6, 0.170523, 0.809018),
        (10, 10, 0, 20, 1.0, 0.679086, 1.0),
        (0, 10, 0, 20, 0.0, -0.161125, 0.277533),
        (5, 5, 2, 2, 0.0, -0.434482, 0.657620),
        (2276, 2484, 46, 64, 0.197514, 0.101501, 0.318041),
    ):
        found = newcombe(k1, n1, k2, n2)
        assert (found.value, *ends(found)) == pytest.approx((value, low, high), abs=1e-6)


def test_t04_the_ratio_and_where_it_is_undefined():
    found = ratio_log(56, 70, 48, 80)
    assert (found.value, *ends(found)) == pytest.approx((4 / 3, 1.076626, 1.651249), abs=1e-6)
    assert ratio_log(10, 10, 0, 20).value is None


def test_t05_fisher():
    for table, p in (
        ((9, 10, 3, 10), 0.019767),
        ((56, 70, 48, 80), 0.012521),
        ((2276, 2484, 46, 64), 5.2384e-6),
        ((2276, 2484, 900, 974), 0.489928),
    ):
        assert fisher_exact(*table) == pytest.approx(p, rel=1e-4)
    assert fisher_exact(9, 10, 3, 10) == pytest.approx(max_gap([9, 3], [10, 10]).p)  # every deal of the difference


def test_t05_what_other_tests_say_of_the_table_on_which_fisher_says_0125():
    assert stats.boschloo_exact([[56, 14], [48, 32]]).pvalue == pytest.approx(0.008091, abs=1e-6)
    assert score_test(56, 70, 48, 80) == pytest.approx(0.008045, abs=1e-6)


def test_t06_chi_square():
    found = omnibus(*FIVE)
    assert found.statistic == pytest.approx(104.5685, abs=5e-5)
    assert found.p == pytest.approx(1.05e-21, rel=0.005)


def test_t07_corrections():
    p = (0.01, 0.04, 0.03, 0.005)
    assert holm(p) == pytest.approx((0.03, 0.06, 0.06, 0.02))
    assert benjamini_hochberg(p) == pytest.approx((0.02, 0.04, 0.04, 0.02))
    assert benjamini_yekutieli(p) == pytest.approx((0.041667, 0.083333, 0.083333, 0.041667), abs=1e-6)
    assert hochberg(p) == pytest.approx((0.03, 0.04, 0.04, 0.02))
    assert holm([0.02] * 3) == pytest.approx([0.06] * 3)
    assert benjamini_hochberg([0.02] * 3) == pytest.approx([0.02] * 3)
    paper = (
        0.0001,
        0.0004,
        0.0019,
        0.0095,
        0.0201,
        0.0278,
        0.0298,
        0.0344,
        0.0459,
        0.3240,
        0.4262,
        0.5719,
        0.6528,
        0.7590,
        1.0,
    )
    assert sum(one <= 0.05 for one in benjamini_hochberg(paper)) == 4
    assert sum(one <= 0.05 for one in holm(paper)) == sum(15 * one <= 0.05 for one in paper) == 3


def test_t08_a_missing_p_value_is_no_test():
    assert holm((0.01, float("nan"), 0.03)) == (0.02, None, 0.03)
    theirs = {method: multipletests([0.01, np.nan, 0.03], method=method)[1] for method in ("holm", "fdr_bh")}
    assert theirs["holm"] == pytest.approx([0.03, np.nan, 0.06], nan_ok=True)  # statsmodels counts it
    assert np.isnan(theirs["fdr_bh"]).all()


EXAMPLE = {"y_true": "1111100110", "y_pred": "0111100011", "groups": {"sex": "FFFFFMMMMM"}}


@pytest.mark.parametrize(
    ("metric", "theirs", "expected"),
    [
        ("accuracy", accuracy_score, (0.8, 0.6, 0.2, 0.75)),
        ("selection_rate", selection_rate, (0.8, 0.4, 0.4, 0.5)),
        ("recall", true_positive_rate, (0.8, 0.5, 0.3, 0.625)),
    ],
)
def test_t09_every_number_of_the_example_is_fairlearns(metric, theirs, expected):
    truth, guess = ([int(one) for one in EXAMPLE[name]] for name in ("y_true", "y_pred"))
    sides = list(EXAMPLE["groups"]["sex"])
    frame = MetricFrame(metrics=theirs, y_true=truth, y_pred=guess, sensitive_features=sides)
    class_name = None if metric == "accuracy" else "yes"
    table = audit_of(**EXAMPLE, metrics=ALL_RATES).group_table("sex", metric=metric, class_name=class_name)
    ours = (*(row.rate.value for row in table.rows), table.gap.value, table.gap.ratio)
    assert ours == pytest.approx((*frame.by_group, frame.difference(), frame.ratio()))
    assert ours == pytest.approx(expected)


def test_t09_what_is_undefined_is_not_0():
    table = audit_of(**EXAMPLE, metrics=ALL_RATES).group_table("sex", metric="false_positive_rate", class_name="yes")
    women, men = table.rows  # no woman is a "no": there is nothing to raise a false alarm on; fairlearn says 0
    assert (women.rate.value, women.rate.note) == (None, saying("no images", "yes"))
    assert men.rate.value == pytest.approx(1 / 3)
    assert (women.difference, women.ratio, table.gap) == (None, None, None)
    assert (women.verdict, men.verdict) == ("NOT ENOUGH DATA", "NOT ENOUGH DATA")


def test_t10_a_perfect_classifier_where_a_group_has_no_positives():
    criteria = ("equal_opportunity", "equalized_odds")
    audit = audit_of("11000000", "11000000", groups={"g": "AAAABBBB"}, metrics=ALL_RATES, criteria=criteria)
    recall = audit.group_table("g", metric="recall", class_name="yes")
    assert recall.gap is None
    assert recall.row(("B",)).rate == Estimate(None, None, None, n=0, note="no images of yes")
    assert audit.group_table("g", metric="false_positive_rate", class_name="yes").gap.value == 0
    assert audit.group_table("g").gap.value == 0
    assert [result.gap for result in audit.criteria] == [None, 0.0]
    assert audit.verdict == "NOT ENOUGH DATA"
    truth = [1, 1, 0, 0, 0, 0, 0, 0]
    assert equal_opportunity_difference(truth, truth, sensitive_features=list("AAAABBBB")) == 1.0  # fairlearn's
    assert equalized_odds_ratio(truth, truth, sensitive_features=list("AAAABBBB")) == 0.0


def test_t11_a_ratio_to_zero_is_undefined():
    audit = audit_of("11000000", "10000010", groups={"g": "AAAABBBB"}, metrics=ALL_RATES)
    assert [row.rate.value for row in audit.group_table("g").rows] == [0.75, 0.75]
    wrongly = audit.group_table("g", metric="false_positive_rate", class_name="yes")
    assert [(row.rate.value, row.rate.n) for row in wrongly.rows] == [(0, 2), (0.25, 4)]
    row = wrongly.row(("B",))
    assert (wrongly.gap.value, row.difference.value, row.ratio.value) == (0.25, 0.25, None)
    assert row.ratio.note == saying("divided by", "0")
    assert wrongly.worst == row  # the highest false positive rate is the worst
    assert [row.rate.value for row in audit.group_table("g", metric="recall", class_name="yes").rows] == [0.5, None]


def test_t12_the_missing_are_a_row():
    table = audit_of("0" * 10, "0000000101", groups={"g": "AAAABBBB.."}).group_table("g")
    assert [(row.name, row.images) for row in table.rows] == [("A", 4), ("B", 4), ("(missing)", 2)]
    assert table.row(None).rate.value == 0.5 < table.row(("B",)).rate.value
    assert table.gap.lowest == ("B",)  # not a group: never the worst, though its rate is the lowest


def test_t13_counts_of_batches_add_up_also_where_a_batch_lacks_a_group():
    p, g = np.array([1, 1, 0, 0, 1]), np.array([0, 0, 2, 2, 1])
    truth = np.ones(5, dtype=np.int64)

    def counted(rows):
        return GroupCounts.count(y_true=truth[rows], y_pred=p[rows], group=g[rows], classes=2, groups=3)

    whole, parts = counted(slice(None)), [counted(slice(0, 4)), counted(slice(4, 5))]
    assert (sum(part.rightly for part in parts) == whole.rightly).all()
    assert whole.rightly[:, 1].tolist() == [2, 1, 0]
    assert (whole.truly - whole.rightly)[:, 1].tolist() == [0, 0, 2]
    without = audit_of("1111", "1100", groups={"g": "0022"}, metrics="recall")  # no group takes the counts of another
    rates = {row.name: row.rate.value for row in without.group_table("g", metric="recall", class_name="yes").rows}
    assert rates == {"0": 1.0, "2": 0.0}


def test_t14_one_image():
    given = {"y_true": "0" * 30, "y_pred": "0" * 30, "groups": {"g": "A" * 29 + "B"}}
    rate = audit_of(**given).group_table("g").row(("B",)).rate
    assert (rate.value, *ends(rate)) == pytest.approx((1.0, 0.206549, 1.0), abs=1e-6)
    assert audit_of(**given, min_group_size=20).group_table("g").row(("B",)).suppressed


def test_t15_macro_recall_over_the_classes_that_are_present():
    groups = {"g": "A" * 3 + "B" * 6}
    right = audit_of("012000111", "012000111", classes=("a", "b", "c"), groups=groups).profile_table("g").rows[1]
    assert right.macro_recall.value == 1.0
    assert right.classes_present == 2
    wrong = audit_of("012000111", "012002111", classes=("a", "b", "c"), groups=groups).profile_table("g").rows[1]
    assert wrong.macro_recall.value == pytest.approx(0.8333, abs=1e-4)
    assert mean_of_rates([2, 3, 0], [3, 3, 0]).value == pytest.approx(5 / 6)
    for guess, theirs in (([0, 0, 0, 1, 1, 1], 0.6667), ([0, 0, 2, 1, 1, 1], 0.5556)):  # scikit-learn counts it as 0
        found = recall_score([0, 0, 0, 1, 1, 1], guess, labels=[0, 1, 2], average="macro", zero_division=0)
        assert found == pytest.approx(theirs, abs=5e-5)


def test_t16_an_empty_cell_is_shown_and_is_not_the_worst():
    audit = audit_of("0000", "0001", groups={"sex": "FFMM", "age": "oyoo"})
    table = audit.group_table(["sex", "age"])
    assert [(row.name, row.rate.n) for row in table.rows] == [("F × o", 1), ("F × y", 1), ("M × o", 2), ("M × y", 0)]
    empty = table.row(("M", "y"))
    assert (empty.rate.value, empty.rate.note, empty.verdict) == (None, "no images", None)
    assert table.gap.lowest == ("M", "o")
    assert [table.by for table in audit.group_tables] == ["sex", "age", "sex × age"]


def test_t17_weights_and_kish():
    audit = audit_of("1011", "1110", groups={"g": "AABB", "w": ["3", "1", "1", "1"]}, by="g", weights="w")
    rows = audit.group_table("g").rows
    assert [row.rate.value for row in rows] == pytest.approx([0.75, 0.5])
    assert audit.overall.value == pytest.approx(0.666667, abs=1e-6)
    assert [row.n_eff for row in rows] == pytest.approx([kish_n([3, 1]), 2.0])
    assert kish_n([1, 1, 1, 1, 10]) == pytest.approx(1.884615, abs=1e-6)
    assert ends(rows[0].rate) == pytest.approx(ends_of_effective(0.75, kish_n([3, 1])))


def ends_of_effective(rate, size):
    z = stats.norm.ppf(0.975)
    centre = (rate + z**2 / (2 * size)) / (1 + z**2 / size)
    half = z / (1 + z**2 / size) * np.sqrt(rate * (1 - rate) / size + z**2 / (4 * size**2))
    return centre - half, centre + half


def test_t18_a_gap_of_class_mix_alone():
    right, n = np.array([[855, 60], [95, 540]]), np.array([[900, 100], [100, 900]])
    assert right / n == pytest.approx(np.array([[0.95, 0.60], [0.95, 0.60]]))
    assert right.sum(axis=1) / n.sum(axis=1) == pytest.approx([0.915, 0.635])
    found = kitagawa_split(right, n, rng=np.random.default_rng(0))
    values = [getattr(found, name).value for name in ("gap", "mix", "rate", "standardised")]
    assert values == pytest.approx([0.28, 0.28, 0.0, 0.0])


def test_t19_simpsons_paradox():
    right, n = np.array([[81, 192], [234, 55]]), np.array([[87, 263], [270, 80]])
    assert right.sum(axis=1) / n.sum(axis=1) == pytest.approx([0.78, 0.825714], abs=1e-6)
    sizes = n.sum(axis=0) / n.sum()
    assert (right / n) @ sizes == pytest.approx([0.832546, 0.778875], abs=1e-6)
    split = kitagawa_split(right, n, rng=np.random.default_rng(0))
    assert split.gap.value == pytest.approx(0.78 - 0.825714, abs=1e-6)
    assert split.standardised.value == pytest.approx(0.832546 - 0.778875, abs=1e-6)
    found = mantel_haenszel(right, n)
    assert (found.pooled.value, found.statistic, found.equal_statistic) == pytest.approx(
        (1.446847, 2.433856, 0.968446), abs=1e-6
    )
    assert found.equal_p == pytest.approx(0.325, abs=5e-4)


SURE = np.array([0.95, 0.95, 0.85, 0.85, 0.65, 0.65, 0.55, 0.55])
RIGHT = np.array([1, 1, 1, 0, 1, 0, 0, 1])


def test_t20_calibration_error_and_brier():
    found = [calibration_error(SURE[part], RIGHT[part], binning="width") for part in (slice(8), slice(4), slice(4, 8))]
    assert found == pytest.approx([0.15, 0.20, 0.10])
    assert confidence_losses(SURE, RIGHT).mean() == pytest.approx(0.225)


def test_t21_groups_whose_errors_cancel():
    sure, right = np.full(400, 0.75), np.array([1, 0] * 100 + [1] * 200)
    assert calibration_error(sure, right) == pytest.approx(0.0)
    assert [calibration_error(sure[:200], right[:200]), calibration_error(sure[200:], right[200:])] == [0.25, 0.25]
    proba = np.column_stack([sure, 1 - sure])
    audit = audit_of(
        "".join(str(1 - one) for one in right), "0" * 400, proba=proba, groups={"g": "A" * 200 + "B" * 200}
    )
    rows = audit.profile_table("g").rows
    assert [row.calibration for row in rows] == pytest.approx([0.25, 0.25])
    assert [row.confidence_gap.value for row in rows] == pytest.approx([0.25, -0.25])  # too sure, and not sure enough


@pytest.mark.parametrize(
    ("n", "expected"),
    [(20, 0.191), (50, 0.124), (100, 0.088), (200, 0.062), (500, 0.039), (1000, 0.028), (5000, 0.013)],
)
def test_t22_a_perfect_model_shows_an_error_too_and_it_is_known(n, expected):
    generator = np.random.default_rng(n)
    seen, null = [], []
    for _ in range(2000 if n < 200 else 300 if n < 1000 else 60):
        sure = generator.uniform(0.5, 1, n)
        seen.append(calibration_error(sure, generator.random(n) < sure, bins=15, binning="width"))
        null.append(null_calibration_error(sure, bins=15, binning="width"))
    assert np.mean(seen) == pytest.approx(expected, abs=0.004)
    assert np.mean(null) == pytest.approx(np.mean(seen), rel=0.05)


@pytest.mark.parametrize("surest", [0.9, 0.99, 0.999])
def test_t22_what_chance_gives_a_very_sure_model_is_not_overrated(surest):
    generator = np.random.default_rng(3)
    sure = generator.uniform(surest, 1, 400)
    seen = [calibration_error(sure, generator.random(400) < sure) for _ in range(3000)]
    assert null_calibration_error(sure) == pytest.approx(np.mean(seen), rel=0.1)
    assert null_calibration_error(np.ones(50)) == 0.0


def test_t22_the_audit_hides_the_error_of_small_groups_and_shows_chance_beside_that_of_large_ones():
    generator = np.random.default_rng(0)
    sure = generator.uniform(0.5, 1, 1000)
    truth = (generator.random(1000) >= sure).astype(int)
    audit = audit_of(
        truth,
        np.zeros(1000, dtype=int),
        proba=np.column_stack([sure, 1 - sure]),
        groups={"g": ["small"] * 150 + ["large"] * 850},
    )
    large, small = audit.profile_table("g").rows
    assert (small.calibration, small.calibration_expected) == (None, None)
    assert small.confidence_gap.low < 0 < small.confidence_gap.high
    assert large.calibration < 2 * large.calibration_expected
    assert large.log_loss.value == pytest.approx(
        log_loss(truth[150:], sure[150:, None] * [1, 0] + (1 - sure[150:, None]) * [0, 1], labels=[0, 1])
    )


def test_t23_auroc_with_ties_and_of_one_class():
    assert auroc([0.5, 0.5, 0.5, 0.9], [0, 0, 1, 1]).value == roc_auc_score([0, 0, 1, 1], [0.5, 0.5, 0.5, 0.9]) == 0.75
    assert auroc([0.2, 0.3], [1, 1]).format() == "undefined (no negatives)"
    generator = np.random.default_rng(1)
    y = generator.integers(0, 2, 400)
    score = np.round(generator.normal(y, 1.0), 1)
    found = auroc(score, y)
    assert found.value == pytest.approx(roc_auc_score(y, score))
    draws = []
    for _ in range(250):
        rows = generator.integers(0, 400, 400)
        draws.append(roc_auc_score(y[rows], score[rows]))
    assert (found.high - found.low) / 3.92 == pytest.approx(np.std(draws), rel=0.15)


def test_t24_aurc_averages_over_ties():
    assert aurc(SURE, RIGHT) == pytest.approx(0.222768, abs=1e-6)
    assert aurc(SURE[::-1], RIGHT[::-1]) == pytest.approx(0.222768, abs=1e-6)
    stable = np.cumsum(1 - RIGHT) / np.arange(1, 9)
    assert stable.mean() == pytest.approx(0.198363, abs=1e-6)  # what the order of the rows would have made of it


def test_t25_unknown_images_in_both_conventions():
    known, unknown = [0.9, 0.8, 0.7, 0.6, 0.55], [0.65, 0.5, 0.4, 0.3]
    assert auroc(known + unknown, [1] * 5 + [0] * 4).value == pytest.approx(0.9)
    assert false_positive_rate_at(known, unknown) == 0.25
    assert false_positive_rate_at([-one for one in unknown], [-one for one in known]) == 0.4
    assert log_losses([[0.9, 0.1]], [0])[0] == pytest.approx(-np.log(0.9))


def test_t26_the_exact_permutation_of_the_largest_gap():
    found = max_gap([5, 3, 1], [5, 5, 5])
    assert (found.p, found.expected) == pytest.approx((0.065934, 0.374625), abs=1e-6)


def test_t27_the_largest_gap_by_chance():
    assert [normal_range(g) for g in (2, 3, 5, 10, 20)] == pytest.approx([1.128, 1.693, 2.326, 3.078, 3.735], abs=5e-4)
    assert null_gap(10, 100, 0.9) == pytest.approx(0.0923, abs=5e-5)
    drawn = np.random.default_rng(0).binomial(100, 0.9, (20_000, 10)) / 100
    assert np.ptp(drawn, axis=1).mean() == pytest.approx(0.0917, abs=5e-4)
    for k in np.random.default_rng(0).binomial(200, 0.9, (20, 5)):  # a percentile interval of the gap never holds 0
        drawn = np.random.default_rng(0).binomial(200, k / 200, (300, 5)) / 200
        assert np.quantile(np.ptp(drawn, axis=1), 0.025) > 0
    p = [max_gap(k, [200] * 5, draws=300).p for k in np.random.default_rng(0).binomial(200, 0.9, (300, 5))]
    assert np.mean(np.array(p) < 0.05) < 0.08
    equal = np.random.default_rng(0).random(10_000) < 0.1
    audit = audit_of([0] * 10_000, equal.astype(int), groups={"g": np.repeat(list("abcde"), 2000)})
    assert (audit.gaps["g"].value > 0, audit.gaps["g"].expected > 0, audit.verdict != "FAIL") == (True, True, True)


def test_t28_the_spread_beyond_noise():
    rates = np.array([1.0, 0.9, 0.8, 0.7])
    assert (rates.var(), rates.var(ddof=1)) == pytest.approx((0.0125, 0.016667), abs=1e-6)
    assert spread_beyond_noise([10, 9, 8, 7], [10] * 4) == pytest.approx(0.003889, abs=1e-6)


def test_t29_shrinkage():
    found = shrink(*FIVE)
    assert (found.mean, found.correlation) == pytest.approx((0.899297, 0.039724), abs=1e-6)
    assert (found.a, found.b) == pytest.approx((21.739, 2.4343), abs=5e-4)
    assert FIVE[0][-1] / FIVE[1][-1] == 0.71875
    assert found.rate == pytest.approx([0.9161, 0.9234, 0.8752, 0.7767, 0.7682], abs=5e-5)
    assert (found.low[-1], found.high[-1]) == pytest.approx((0.6753, 0.8497), abs=5e-5)
    likeliest = shrink(*FIVE, method="likelihood")
    assert likeliest.a + likeliest.b == pytest.approx(23.736, abs=2e-2)
    assert likeliest.rate[-1] == pytest.approx(0.7535, abs=5e-5)


def test_t29_two_of_three_under_a_prior_worth_ten_images(monkeypatch):
    monkeypatch.setattr("tlkit.stats.shrinkage._by_moments", lambda *_: (0.9, 1 / 11))
    found = shrink([2, 9], [3, 10])
    assert (found.a, found.b) == pytest.approx((9, 1))
    assert found.rate[0] == pytest.approx(0.846154, abs=1e-6)
    assert (found.low[0], found.high[0]) == pytest.approx((0.6152, 0.9791), abs=5e-5)
    assert (found.low[0], found.high[0]) == pytest.approx(tuple(stats.beta.ppf([0.025, 0.975], 2 + 9, 1 + 1)))


def test_t30_mcnemar():
    assert mcnemar(12, 3).p == pytest.approx(0.035156, abs=1e-6)
    theirs = statsmodels_mcnemar([[0, 12], [3, 0]], exact=False, correction=True)
    assert theirs.statistic == (abs(12 - 3) - 1) ** 2 / 15 == pytest.approx(4.266667, abs=1e-6)
    assert mcnemar(5, 0).smallest_p == 0.0625
    first, second = np.repeat([1, 1, 0, 0], [150, 12, 3, 7]), np.repeat([1, 0, 1, 0], [150, 12, 3, 7])
    groups = {"g": "a" * 172 + "b" * 172, "scene": [str(i) for i in range(172)] * 2}
    guess = np.r_[first, second]
    paired = audit_of([1] * 344, guess, groups=groups, by="g", pair_by="scene").group_table("g").rows[0]
    alone = audit_of([1] * 344, guess, groups=groups, by="g").group_table("g").rows[0]
    assert (paired.p, alone.p) == pytest.approx((0.035156, fisher_exact(162, 172, 153, 172)), abs=1e-6)
    assert paired.difference.high < alone.difference.high


def test_t31_trend():
    found = cochran_armitage([166, 164, 159, 155, 152], [172] * 5)
    assert found.z == pytest.approx(-3.3993, abs=5e-5)
    assert found.p == pytest.approx(0.000676, abs=5e-7)
    assert omnibus([166, 164, 159, 155, 152], [172] * 5).p == pytest.approx(0.0196, abs=5e-5)


def test_t32_what_a_sample_could_show():
    for n1, n2, p, gap in (
        (2484, 64, 0.916, 0.112),
        (1000, 20, 0.95, 0.179),
        (1000, 50, 0.95, 0.109),
        (1000, 100, 0.95, 0.076),
        (1000, 400, 0.95, 0.041),
        (100, 100, 0.9, 0.150),
    ):
        assert detectable_gap(n1, n2, p) == pytest.approx(gap, abs=6e-4)


def test_t35_four_fifths_in_whole_numbers():
    ties = [(4 * j, n, 5 * j, n) for n in range(5, 60) for j in range(1, n // 5 + 1)]
    assert any((k1 / n1) / (k2 / n2) < 0.8 for k1, n1, k2, n2 in ties)  # the float trap: exactly four fifths each
    y = "1" * 12 + "0" * 13 + "1" * 15 + "0" * 10
    audit = audit_of(y, y, groups={"g": "A" * 25 + "B" * 25}, criteria="four_fifths")
    assert keeps_four_fifths(audit.group_table("g", metric="selection_rate", class_name="yes"))
    assert audit.criteria[0].kept
    worse = "1" * 11 + "0" * 14 + "1" * 15 + "0" * 10
    assert not audit_of(worse, worse, groups={"g": "A" * 25 + "B" * 25}, criteria="four_fifths").criteria[0].kept


def test_t35_design_effect():
    assert design_effect(5, 0.6) == pytest.approx(3.4)
    assert 860 / design_effect(5, 0.6) == pytest.approx(252.9, abs=0.05)
