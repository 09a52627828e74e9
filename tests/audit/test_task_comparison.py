from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from messages import saying
from scipy import stats
from sklearn import metrics as sk
from statsmodels.stats.multitest import multipletests

from tlkit.audit.options import AuditOptions
from tlkit.audit.task_comparison import TaskComparison, compare_task_models
from tlkit.errors import PredictionsError
from tlkit.evaluation import evaluate_multilabel, evaluate_numbers
from tlkit.evaluation.metric_comparison import compare_metric
from tlkit.evaluation.task_figures import task_figures
from tlkit.predictions import MultilabelPredictions, NumberPredictions
from tlkit.stats.cluster_sampling import Units
from tlkit.stats.task_measures import figures_of, measure_task

GRADES = ("none", "mild", "severe", "worst")


def labels_pair(seed: int, n: int = 300, *, gain: float = 0.0, unknown: float = 0.0, clusters: int = 0):
    """Return two models of three labels that share a part of their noise; the second's scores are better by `gain`."""
    rng = np.random.default_rng(seed)
    unit = rng.integers(0, clusters or n, n)
    truth = (rng.random((n, 3)) < (0.5, 0.3, 0.15)).astype(int)
    shared = rng.standard_normal((n, 3)) + (rng.standard_normal((clusters, 3))[unit] if clusters else 0)
    groups = pd.DataFrame({"site": rng.choice(["a", "b"], n), "unit": unit.astype(str)})
    known = np.where(rng.random((n, 3)) < unknown, -1, truth)
    found = []
    for better in (0.0, gain):
        own = rng.standard_normal((n, 3))
        logits = (1.5 + better) * (truth - 0.5) + 0.7 * shared + 0.7 * own
        found.append(
            MultilabelPredictions.build(
                labels=["cat", "dog", "fox"],
                path=np.arange(n).astype(str),
                y_true=known,
                proba=1 / (1 + np.exp(-logits)),
                groups=groups,
            )
        )
    return found


def numbers_pair(seed: int, n: int = 300, *, gain: float = 0.0, grades: tuple[str, ...] = (), clusters: int = 0):
    """Return two models of numbers, or of grades; the errors of the second are smaller by the factor 1 − `gain`."""
    rng = np.random.default_rng(seed)
    unit = rng.integers(0, clusters or n, n)
    groups = pd.DataFrame({"site": rng.choice(["a", "b"], n), "unit": unit.astype(str)})
    truth = rng.integers(0, len(grades), n) if grades else rng.normal(0, 3, n)
    shared = rng.standard_normal(n) + (rng.standard_normal(clusters)[unit] if clusters else 0)
    found = []
    for better in (0.0, gain):
        guess = truth + (1 - better) * (0.7 * shared + 0.7 * rng.standard_normal(n))
        if grades:
            guess = np.clip(np.round(guess), 0, len(grades) - 1)
        found.append(
            NumberPredictions.build(
                path=np.arange(n).astype(str), y_true=truth, y_pred=guess, grades=grades, groups=groups
            )
        )
    return found


def oracle(table, name: str, rows: np.ndarray) -> float:
    """Return a figure of some rows by scikit-learn."""
    if isinstance(table, NumberPredictions):
        y, guess = table.y_true[rows], table.y_pred[rows]
        of = {
            "mean_absolute_error": lambda: sk.mean_absolute_error(y, guess),
            "root_mean_squared_error": lambda: sk.root_mean_squared_error(y, guess),
            "r_squared": lambda: sk.r2_score(y, guess),
            "quadratic_kappa": lambda: sk.cohen_kappa_score(y, guess, weights="quadratic"),
            "accuracy": lambda: sk.accuracy_score(y, guess),
            "within_one": lambda: np.mean(np.abs(y - guess) <= 1),
        }
        return float(of[name]())
    y, guess, proba = table.y_true[rows], table.y_pred[rows], table.proba[rows]
    of = {
        "mean_average_precision": lambda: sk.average_precision_score(y, proba, average="macro"),
        "micro_average_precision": lambda: sk.average_precision_score(y, proba, average="micro"),
        "macro_f1": lambda: sk.f1_score(y, guess, average="macro"),
        "micro_f1": lambda: sk.f1_score(y, guess, average="micro"),
        "samples_f1": lambda: sk.f1_score(y, guess, average="samples", zero_division=np.nan),
        "subset_accuracy": lambda: sk.accuracy_score(y, guess),
        "hamming_loss": lambda: sk.hamming_loss(y, guess),
    }
    return float(of[name]())


PAIRS = {
    "multilabel": labels_pair(0, gain=0.4),
    "ordinal": numbers_pair(1, gain=0.2, grades=GRADES),
    "regression": numbers_pair(2, gain=0.2),
}
FIGURES = [(task, name) for task, pair in PAIRS.items() for name in figures_of(pair[0])]


@pytest.mark.parametrize(("task", "name"), FIGURES)
def test_a_difference_and_its_standard_error_are_those_of_scikit_learn_and_a_paired_bootstrap(task, name):
    pair = PAIRS[task]
    row = next(
        one for one in compare_task_models(*pair, AuditOptions()).rows if (one.by, one.figure) == ("(all)", name)
    )
    every = np.arange(len(pair[0]))
    values = [oracle(table, name, every) for table in pair]
    assert (row.first, row.second) == pytest.approx(values, rel=1e-12)
    assert row.difference.value == pytest.approx(values[1] - values[0], rel=1e-9)
    rng = np.random.default_rng(0)
    drawn = []
    for _ in range(150):
        rows = rng.integers(0, len(every), len(every))
        drawn.append(oracle(pair[1], name, rows) - oracle(pair[0], name, rows))
    half = (row.difference.high - row.difference.low) / 2
    assert half == pytest.approx(1.97 * np.std(drawn), rel=0.2)


def test_mean_absolute_errors_are_compared_by_the_paired_t_test():
    one, two = PAIRS["regression"]
    theirs = stats.ttest_rel(np.abs(two.errors), np.abs(one.errors))
    found = compare_task_models(one, two, AuditOptions())
    assert found.main.figure == "mean_absolute_error"
    assert found.main.p == pytest.approx(theirs.pvalue, rel=0.2)  # fewer degrees of freedom, for kurtosis
    assert (found.main.change, found.main.difference.value < 0) == ("better", True)
    scaled = [replace(table, y_true=1e-9 * table.y_true, y_pred=1e-9 * table.y_pred) for table in (one, two)]
    tiny = compare_task_models(*scaled, AuditOptions()).main
    assert tiny.p == pytest.approx(found.main.p)
    assert tiny.difference.low == pytest.approx(1e-9 * found.main.difference.low)
    assert tiny.detectable == pytest.approx(1e-9 * found.main.detectable)


@pytest.mark.parametrize("pair", [labels_pair(3, unknown=0.2, clusters=40), numbers_pair(3, clusters=40)])
def test_clusters_and_weights_widen_as_the_jackknife_over_clusters_does(pair):
    rng = np.random.default_rng(1)
    weight = pd.Series(rng.integers(1, 4, len(pair[0])).astype(str))
    tables = [replace(one, images=replace(one.images, groups=one.groups.assign(w=weight))) for one in pair]
    options = AuditOptions().with_overrides(cluster_by="unit", weights="w")
    found = compare_task_models(*tables, options)
    units, w = tables[0].groups["unit"].to_numpy(), weight.to_numpy(dtype=float)
    for row in found.rows:
        if row.by != "(all)" or row.figure in ("mean_average_precision", "micro_average_precision"):
            continue
        out = []
        for unit in np.unique(units):
            kept = units != unit
            weights = Units(w[kept], np.arange(kept.sum()))
            one, two = (measure_task(table.take(kept), row.figure, weights).value for table in tables)
            out.append(two - one)
        count = len(out)
        jackknife = np.sqrt((count - 1) / count * np.sum((np.array(out) - np.mean(out)) ** 2))
        assert (row.difference.high - row.difference.low) / 2 == pytest.approx(2.05 * jackknife, rel=0.12)


def test_unknown_cells_are_left_out_as_in_the_evaluation():
    one, two = labels_pair(4, unknown=0.3)
    found = {row.figure: row for row in compare_task_models(one, two, AuditOptions()).rows if row.by != "site"}
    for table, side in ((one, "first"), (two, "second")):
        result = evaluate_multilabel(table)
        for name, estimate in task_figures(result).items():
            assert getattr(found[name], side) == pytest.approx(estimate.value, rel=1e-12)
        for label in result.per_label:
            assert getattr(found[f"f1:{label.name}"], side) == pytest.approx(label.f1.value)


def test_all_rows_but_the_first_are_corrected_together_and_groups_have_the_main_figure():
    one, two = PAIRS["multilabel"]
    found = compare_task_models(one, two, AuditOptions().with_overrides(by="site"))
    assert [row.by for row in found.rows] == ["(all)"] * 7 + ["(label)"] * 3 + ["site"] * 2
    p = [row.p for row in found.rows[1:]]
    assert found.rows[0].p_holm == found.rows[0].p
    assert [row.p_holm for row in found.rows[1:]] == pytest.approx(multipletests(p, method="holm")[1])
    assert found.tests == 11
    for row in found.rows[-2:]:
        inside = np.flatnonzero(one.groups["site"] == row.name)
        assert row.n == len(inside)
        assert row.second == pytest.approx(oracle(two, "mean_average_precision", inside))
    assert TaskComparison.from_dict(found.to_dict()) == found
    chosen = compare_task_models(one, two, AuditOptions().with_overrides(by="site"), metric="hamming_loss")
    assert {row.figure for row in chosen.rows} == {"hamming_loss"}
    assert chosen.main.change == "better"
    assert chosen.main.difference.value < 0


def test_equal_models_are_not_distinguishable_and_small_groups_show_their_size_alone():
    one, _ = PAIRS["ordinal"]
    same = compare_task_models(one, one, AuditOptions(), names=("old", "new"))
    assert {row.change for row in same.rows} == {"not distinguishable"}
    assert saying("old and new are not distinguishable at n = 300", "no test") == same.tables()[0].notes[1]
    few = compare_task_models(*PAIRS["ordinal"], AuditOptions().with_overrides(by="site", min_group_size=200))
    assert [row.small for row in few.rows[-2:]] == [True, True]
    assert few.tables()[0].rows[-1][4:8] == (None, None, None, None)
    plain = few.to_redacted()["rows"][-1]
    assert (plain["first"], plain["difference"]["value"], plain["p"]) == (None, None, None)


def test_images_are_matched_by_path_and_labels_by_name():
    one, two = PAIRS["multilabel"]
    order, shuffled = [2, 0, 1], np.random.default_rng(0).permutation(len(two))[:250]
    other = replace(
        two,
        labels=tuple(two.labels[place] for place in order),
        y_true=two.y_true[:, order],
        y_pred=two.y_pred[:, order],
        proba=two.proba[:, order],
        thresholds=None,
    ).take(shuffled)
    found = compare_task_models(one, other, AuditOptions())
    kept = np.isin(np.arange(len(two)), shuffled)
    plain = compare_task_models(one.take(kept), two.take(kept), AuditOptions())
    assert (found.images, found.left_out) == (250, 50)
    assert [row.difference for row in found.rows] == [row.difference for row in plain.rows]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda one: replace(one, labels=("cat", "dog", "ox")), saying("second lacks fox", "also has ox")),
        (lambda one: replace(one, y_true=1 - one.y_true), saying("disagree", "300 of 300")),
        (lambda one: PAIRS["regression"][0], saying("first is of the task multilabel", "regression")),
        (
            lambda one: replace(one, images=replace(one.images, path=one.path + "x")),
            saying(
                "no image in common", "first has", PAIRS["multilabel"][0].path[0], PAIRS["multilabel"][0].path[0] + "x"
            ),
        ),
    ],
)
def test_what_cannot_be_compared_is_refused(change, message):
    one, two = PAIRS["multilabel"]
    with pytest.raises(PredictionsError) as error:
        compare_task_models(one, change(two), AuditOptions())
    assert str(error.value) == message


def test_metrics_that_are_not_there_are_refused_with_those_that_are():
    for task, metric, words in (
        ("multilabel", "accuracy", ("accuracy", "subset_accuracy", "f1:LABEL")),
        ("multilabel", "f1:cow", ("no label 'cow'", "cat")),
        ("regression", "quadratic_kappa", ("regression", "r_squared")),
    ):
        with pytest.raises(PredictionsError) as error:
            compare_task_models(*PAIRS[task], AuditOptions(), metric=metric)
        assert str(error.value) == saying(*words)
    with pytest.raises(PredictionsError) as error:
        compare_task_models(
            *(replace(one, proba=None) for one in PAIRS["multilabel"]), AuditOptions(), metric="auroc:cat"
        )
    assert str(error.value) == saying("AUROC of cat", "probabilities", "first, second")


def test_several_models_are_compared_pair_by_pair():
    one, two = PAIRS["ordinal"]
    three = {"m0": one, "m1": two, "m2": replace(two, y_pred=two.y_true.copy())}
    found = compare_metric(three, "quadratic_kappa")
    assert [one.score for one in found.contenders][:2] == [
        evaluate_numbers(table).of_grades.quadratic_kappa for table in (one, two)
    ]
    pair = next(row for row in compare_task_models(one, two, AuditOptions()).rows if row.figure == "quadratic_kappa")
    assert found.changes[0].difference.value == pytest.approx(pair.difference.value)
    assert found.changes[0].p == pytest.approx(pair.p)
    assert [change.change for change in found.changes[1:]] == ["better", "better"]
    errors = compare_metric(dict(zip("ab", PAIRS["regression"], strict=True)))
    assert (errors.metric, errors.changes[0].change) == ("mean_absolute_error", "better")
    assert errors.resolve == pytest.approx(0.05 * errors.contenders[0].score.value, rel=0.05)


@pytest.mark.parametrize("task", ["multilabel", "regression"])
def test_equally_good_models_rarely_differ(task):
    """Any of all rows "better" or "worse" in at most 5 % + 2 standard errors of 60 pairs, tests of the first apart."""
    of = {"multilabel": labels_pair, "regression": numbers_pair}[task]
    options = AuditOptions().with_overrides(by="site")
    found = [compare_task_models(*of(seed, 400), options) for seed in range(100, 160)]
    most = 0.05 + 2 * np.sqrt(0.05 * 0.95 / 60)
    assert np.mean([any(row.change != "not distinguishable" for row in one.rows[1:]) for one in found]) <= most
    assert np.mean([one.main.change != "not distinguishable" for one in found]) <= most
