from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from messages import saying
from scipy import stats
from sklearn import metrics as sk
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests

from tlkit.errors import PredictionsError
from tlkit.evaluation.evaluation import evaluate
from tlkit.evaluation.measure import measure
from tlkit.evaluation.metric_comparison import MetricComparison, compare_metric
from tlkit.evaluation.score_names import SCORES
from tlkit.predictions import Predictions

CLASSES = ("ant", "bee", "fly")
NAMES = (*SCORES, "top_2", "recall:bee", "precision:bee", "f1:bee", "auroc:bee", "average_precision:bee")


def models(seed: int, n: int, signals: tuple[float, ...], shared: float = 0.7) -> dict[str, Predictions]:
    """Return models that share a part of their noise, so that their errors are correlated."""
    rng = np.random.default_rng(seed)
    y, common = rng.integers(0, 3, n), rng.standard_normal((n, 3))
    found = {}
    for place, signal in enumerate(signals):
        logits = shared * common + np.sqrt(1 - shared**2) * rng.standard_normal((n, 3))
        logits[np.arange(n), y] += signal
        proba = np.exp(logits)
        found[f"m{place}"] = Predictions.build(
            classes=CLASSES,
            path=[f"{i}.jpg" for i in range(n)],
            y_true=y,
            proba=proba / proba.sum(axis=1, keepdims=True),
            groups=pd.DataFrame({"subject": np.arange(n) // 3, "w": rng.integers(1, 4, n)}),
        )
    return found


@pytest.mark.parametrize("name", NAMES)
def test_values_are_those_of_evaluate_and_influences_sum_to_zero(name: str) -> None:
    one = models(0, 60, (1.0,))["m0"]
    found = measure(one, name)
    expected = evaluate(one, top_k=[1, 2]).score(name)
    assert found.value == pytest.approx(expected.value, rel=1e-12)
    if "auroc" not in name:  # DeLong's factors
        assert found.influence.sum() == pytest.approx(0, abs=1e-8)
    bounds = expected.high - expected.low
    assert 2 * 1.96 * found.influence.std() / np.sqrt(60) == pytest.approx(bounds, rel=0.3)


@pytest.mark.parametrize("name", ["macro_f1", "mcc", "auroc", "average_precision", "log_loss", "brier", "top_2"])
def test_the_standard_error_of_a_difference_is_that_of_a_paired_row_bootstrap(name: str) -> None:
    pair = models(1, 250, (1.0, 1.4))
    found = compare_metric(pair, name).changes[0].difference
    rng, drawn = np.random.default_rng(0), []
    for _ in range(200):
        rows = rng.integers(0, 250, 250)
        first, second = (
            measure(
                Predictions.build(
                    classes=CLASSES, path=np.arange(250).astype(str), y_true=one.y_true[rows], proba=one.proba[rows]
                ),
                name,
            ).value
            for one in pair.values()
        )
        drawn.append(second - first)
    half = (found.high - found.low) / 2
    assert half == pytest.approx(1.96 * np.std(drawn), rel=0.25)


def test_two_accuracies_are_compared_by_mcnemars_test_and_holms_correction_counts_all_pairs() -> None:
    three = models(2, 120, (0.6, 1.0, 1.6))
    found = compare_metric(three, "accuracy")
    right = [one.correct for one in three.values()]
    p = [
        mcnemar([[0, int((a & ~b).sum())], [int((~a & b).sum()), 0]], exact=True).pvalue
        for a, b in ((right[0], right[1]), (right[0], right[2]), (right[1], right[2]))
    ]
    assert [change.p for change in found.changes] == pytest.approx(p)
    assert [change.p_holm for change in found.changes] == pytest.approx(multipletests(p, method="holm")[1])
    assert found.contenders[0].score == evaluate(three["m0"]).accuracy


def test_a_difference_of_log_losses_is_a_paired_t_test() -> None:
    pair = models(3, 80, (1.0, 1.5))
    first, second = (-np.log(one.proba[np.arange(80), one.y_true]) for one in pair.values())
    found = compare_metric(pair, "log_loss").changes[0]
    assert found.difference.value == pytest.approx((second - first).mean())
    theirs = stats.ttest_rel(second, first)
    assert found.p == pytest.approx(theirs.pvalue, rel=0.3)  # fewer degrees of freedom, for kurtosis
    assert found.change == "better"


def test_seeds_of_one_recipe_are_a_spread_which_widens_the_difference() -> None:
    five = models(4, 200, (1.0, 1.2, 0.8, 1.4, 1.5))
    recipes = {"m0": "small", "m1": "small", "m2": "small", "m3": "large", "m4": "large"}
    found = compare_metric(five, "macro_f1", recipes=recipes)
    small, large = found.contenders
    values = [sk.f1_score(five[name].y_true, five[name].y_pred, average="macro") for name in ("m0", "m1", "m2")]
    assert (small.name, small.runs) == ("small", ("m0", "m1", "m2"))
    assert small.score.value == pytest.approx(np.mean(values))
    assert small.deviation == pytest.approx(np.std(values, ddof=1))
    assert len(large.values) == 2
    assert len(found.changes) == 1
    half = (found.changes[0].difference.high - found.changes[0].difference.low) / 2
    assert half > 1.96 * np.sqrt(small.deviation**2 / 3 + large.deviation**2 / 2)
    only = compare_metric(dict(list(five.items())[:3]), "macro_f1", recipes=recipes)
    assert (len(only.contenders), only.changes) == (1, ())
    assert only.tables()


@pytest.mark.parametrize("name", ["auroc", "average_precision"])
def test_two_equal_seeds_have_the_interval_of_one(name: str) -> None:
    one, other = models(5, 200, (0.2, 1.0)).values()
    found = compare_metric({"a": one, "b": one, "c": other}, name, recipes={"a": "small", "b": "small", "c": "large"})
    alone = evaluate(one, metrics="all").score(name)
    seeds = found.contenders[0].score
    assert (seeds.value, seeds.low, seeds.high) == pytest.approx((alone.value, alone.low, alone.high), abs=2e-3)


@pytest.mark.series
def test_the_number_of_images_gives_the_stated_power() -> None:
    def pair(seed: int, n: int) -> dict[str, Predictions]:
        return models(seed, n, (1.0, 1.7))

    large = compare_metric(pair(0, 20_000), "brier").changes[0]
    true = abs(large.difference.value)
    needed = compare_metric(pair(1, 20_000), "brier", resolve=true).changes[0].needed
    found = [compare_metric(pair(seed, needed), "brier").changes[0].p < 0.05 for seed in range(2, 122)]
    assert np.mean(found) == pytest.approx(0.8, abs=0.1)


def test_clusters_widen_the_interval_and_copies_in_clusters_change_nothing() -> None:
    once = models(5, 90, (1.0, 1.4))
    copied = {
        name: Predictions.build(
            classes=CLASSES,
            path=np.arange(270).astype(str),
            y_true=np.repeat(one.y_true, 3),
            proba=np.repeat(one.proba, 3, axis=0),
            groups=pd.DataFrame({"unit": np.arange(270) // 3}),
        )
        for name, one in once.items()
    }
    for name in ("macro_f1", "log_loss", "average_precision"):
        plain = compare_metric(once, name).changes[0].difference
        found = compare_metric(copied, name, cluster_by="unit").changes[0].difference
        assert found.value == pytest.approx(plain.value, abs=0.02)
        assert found.high - found.low == pytest.approx(plain.high - plain.low, rel=0.1)


def test_images_and_classes_are_matched_by_name() -> None:
    pair = models(6, 50, (1.0, 1.5))
    two = pair["m1"]
    order, rows = [2, 0, 1], np.random.default_rng(0).permutation(45)
    turned = Predictions.build(
        classes=[CLASSES[i] for i in order],
        path=two.path[rows],
        proba=two.proba[rows][:, order],
        y_true=[CLASSES[i] for i in two.y_true[rows]],
    )
    kept = {name: one.take(np.arange(45)) for name, one in pair.items()}
    found = compare_metric({"m0": pair["m0"], "m1": turned}, "auroc")
    assert found.changes[0].difference == compare_metric(kept, "auroc").changes[0].difference
    assert (found.images, found.left_out) == (45, 5)


def test_the_page_says_what_is_not_distinguishable_and_how_many_more_images_it_takes() -> None:
    found = compare_metric(models(7, 153, (1.2, 1.25, 1.3)), "macro_f1")
    notes = " ".join(note for table in found.tables() for note in table.notes)
    assert notes == saying("not distinguishable at n = 153", "more images would resolve 2 points", "Holm")
    assert MetricComparison.from_dict(found.to_dict()) == found
    assert all(one.needed > 153 for one in found.changes)


@pytest.mark.parametrize("name", ["auroc:ant", "mcc", "macro_precision"])
def test_what_is_undefined_for_a_model_is_not_compared(name: str) -> None:
    y = [0] * 10
    tables = {
        key: Predictions.build(
            classes=["ant", "bee"], path=np.arange(10).astype(str), y_true=y, proba=[[p, 1 - p]] * 10
        )
        for key, p in (("one", 0.9), ("two", 0.2))
    }
    found = compare_metric(tables, name)
    assert found.changes[0].p is None
    assert found.changes[0].difference.value is None
    assert found.changes[0].difference.note


def test_what_cannot_be_compared_is_said_with_the_place() -> None:
    pair = models(8, 20, (1.0, 1.5))
    for arguments, said in (
        ({"metric": "recall:be"}, ("recall:be", "bee")),
        ({"metric": "top_3"}, ("top_3", "3")),
        ({"metric": "acuracy"}, ("acuracy", "accuracy")),
        ({"metric": "mcc", "cluster_by": "subjects"}, ("cluster_by", "subjects", "subject")),
        ({"metric": "mcc", "resolve": 0.0}, ("resolve", "0.0")),
    ):
        with pytest.raises(PredictionsError, match=saying(*said).pattern):
            compare_metric(pair, **arguments)
    bare = Predictions.build(classes=CLASSES, path=pair["m0"].path, y_true=pair["m0"].y_true, y_pred=pair["m0"].y_pred)
    with pytest.raises(PredictionsError, match=saying("probabilities", "bare").pattern):
        compare_metric({"m0": pair["m0"], "bare": bare}, "brier")
    other = Predictions.build(classes=["ant", "cow"], path=pair["m0"].path, y_pred=[0] * 20)
    with pytest.raises(PredictionsError, match=saying("other", "cow", "bee").pattern):
        compare_metric({"m0": pair["m0"], "other": other}, "accuracy")


def test_order_of_models_mirrors_the_difference() -> None:
    pair = models(9, 60, (1.0, 1.5))
    one, other = (
        compare_metric(tables, "mcc").changes[0].difference for tables in (pair, dict(reversed(list(pair.items()))))
    )
    for end, mirrored in pairwise((one.low, -other.high)):
        assert end == pytest.approx(mirrored)


def test_a_model_that_separates_a_class_completely_is_compared_with_an_interval() -> None:
    rng = np.random.default_rng(8)
    y = np.repeat([0, 1], [6, 34])
    half = np.clip(0.5 + 0.15 * (1 - 2 * y) + 0.2 * rng.standard_normal(40), 0.01, 0.99)
    whole = np.where(y == 0, 0.9, 0.1) + 0.05 * rng.random(40)
    pair = {
        name: Predictions.build(
            classes=["rare", "other"], path=np.arange(40).astype(str), y_true=y, proba=np.stack([one, 1 - one], axis=1)
        )
        for name, one in (("half", half), ("whole", whole))
    }
    for metric in ("auroc:rare", "auroc", "average_precision:rare"):
        measured = [measure(table, metric) for table in pair.values()]
        assert (measured[0].unseen, measured[1].value) == (0, 1)
        assert measured[1].unseen > 0
        found = compare_metric(pair, metric).changes[0].difference
        alone = 1.96 * np.hypot(measured[1].unseen, measured[0].influence.std() / np.sqrt(40))
        assert found.high - found.value > 0.9 * alone
    same = {"one": pair["whole"], "two": pair["whole"]}
    assert compare_metric(same, "auroc").changes[0].difference.low is None
