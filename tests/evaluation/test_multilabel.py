from __future__ import annotations

import json
import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from messages import says
from sklearn import metrics as sk
from statsmodels.stats.proportion import proportion_confint

from tlkit.errors import PredictionsError
from tlkit.evaluation.label_thresholds import LabelThresholds, choose_thresholds, thresholds_for
from tlkit.evaluation.multilabel import evaluate_multilabel
from tlkit.evaluation.multilabel_result import MultilabelEvaluation
from tlkit.predictions import MultilabelPredictions

EXACT = {"rel": 1e-12, "abs": 1e-12}


def made(
    seed: int,
    n: int = 200,
    size: int = 5,
    *,
    absent: bool = False,
    ties: bool = False,
    prefix: str = "",
    **more: object,
) -> MultilabelPredictions:
    rng = np.random.default_rng(seed)
    truth = (rng.random((n, size)) < rng.uniform(0.1, 0.6, size)).astype(int)
    if absent:
        truth[:, 0] = 0
    proba = 1 / (1 + np.exp(-(rng.normal(size=(n, size)) + 2 * truth - 1)))
    return MultilabelPredictions.build(
        labels=[f"l{one}" for one in range(size)],
        path=[f"{prefix}{one}" for one in range(n)],
        y_true=truth,
        proba=np.round(proba, 1) if ties else proba,
        groups=pd.DataFrame({"unit": rng.integers(0, max(n // 3, 1), n), "w": rng.integers(0, 4, n) + rng.random(n)}),
    )


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    n=st.integers(8, 80),
    size=st.integers(1, 6),
    ties=st.booleans(),
    weighted=st.booleans(),
)
def test_figures_are_scikit_learns(seed, n, size, ties, weighted):
    found = made(seed, n, size, ties=ties, absent=seed % 3 == 0)
    weight = pd.to_numeric(found.groups["w"]).to_numpy(float) if weighted else None
    result = evaluate_multilabel(found, weights="w" if weighted else None)
    truth, guess = found.y_true, found.y_pred.astype(int)
    some = truth.any(axis=0)
    if not some.any():
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if size > 1:
            for name, average in (("micro_f1", "micro"), ("samples_f1", "samples")):
                expected = sk.f1_score(truth, guess, average=average, sample_weight=weight, zero_division=np.nan)
                assert getattr(result, name).value == pytest.approx(expected, **EXACT)
            macro = sk.f1_score(truth, guess, average=None, sample_weight=weight)[some].mean()
            assert result.macro_f1.value == pytest.approx(macro, **EXACT)
        exact = sk.accuracy_score(
            truth if size > 1 else truth[:, 0], guess if size > 1 else guess[:, 0], sample_weight=weight
        )
        assert result.subset_accuracy.value == pytest.approx(exact, **EXACT)
        wrong = np.average((truth != guess).mean(axis=1), weights=weight)
        assert result.hamming_loss.value == pytest.approx(wrong, **EXACT)
        if size > 1:
            assert wrong == pytest.approx(sk.hamming_loss(truth, guess, sample_weight=weight), **EXACT)
        both = some & (truth == 0).any(axis=0)
        average = [
            sk.average_precision_score(truth[:, one], found.proba[:, one], sample_weight=weight)
            for one in np.flatnonzero(both)
        ]
        if average:
            assert result.mean_average_precision.value == pytest.approx(np.mean(average), **EXACT)
            flat = None if weight is None else np.repeat(weight, size)
            micro = sk.average_precision_score(truth.ravel(), found.proba.ravel(), sample_weight=flat)
            assert result.micro_average_precision.value == pytest.approx(micro, **EXACT)
    for place, one in enumerate(result.per_label):
        if one.support:
            three = sk.precision_recall_fscore_support(
                truth[:, place], guess[:, place], average="binary", zero_division=np.nan, sample_weight=weight
            )
            for estimate, expected in zip((one.precision, one.recall, one.f1), three, strict=False):
                assert (np.nan if estimate.value is None else estimate.value) == pytest.approx(
                    expected, nan_ok=True, **EXACT
                )


def test_every_figure_has_an_interval_that_holds_it():
    result = evaluate_multilabel(made(3))
    figures = [value for value in vars(result).values() if hasattr(value, "low")]
    figures += [one for label in result.per_label for one in (label.precision, label.recall, label.f1, label.auroc)]
    assert len(figures) > 20
    assert all(one.low <= one.value <= one.high and one.high - one.low > 1e-3 for one in figures)


def test_a_perfect_model_has_intervals_below_one():
    truth = np.array([[1, 0], [0, 1], [1, 1], [0, 0]] * 5)
    result = evaluate_multilabel(
        MultilabelPredictions.build(labels=["a", "b"], path=range(20), y_true=truth, proba=truth * 0.8 + 0.1)
    )
    for one in (
        result.micro_f1,
        result.macro_f1,
        result.samples_f1,
        result.subset_accuracy,
        result.mean_average_precision,
    ):
        assert one.value == 1 and one.high == 1 and 0.5 < one.low < 0.95
    assert result.hamming_loss.value == result.hamming_loss.low == 0 < result.hamming_loss.high


def test_what_is_undefined_says_why_and_is_left_out_of_means():
    truth = np.array([[1, 0], [0, 0], [1, 0]])
    result = evaluate_multilabel(
        MultilabelPredictions.build(
            labels=["a", "never"], path="xyz", y_true=truth, proba=[[0.9, 0.1], [0.2, 0.1], [0.4, 0.6]]
        )
    )
    never = result.per_label[1]
    assert never.f1.value is never.recall.value is never.average_precision.value is None
    assert "no images with this label" in {never.f1.note, never.recall.note, never.average_precision.note}
    assert result.macro_f1.value == result.per_label[0].f1.value == pytest.approx(2 / 3)
    assert "1 of 2 labels" in result.macro_f1.note and "1 of 2 labels" in result.mean_average_precision.note
    assert result.samples_f1.n == 2


def test_unknown_cells_are_left_out_of_what_is_about_them():
    found = made(5, 120, 3)
    truth = found.y_true.copy()
    truth[:40, 1] = -1
    part = MultilabelPredictions.build(labels=found.labels, path=found.path, y_true=truth, proba=found.proba)
    result = evaluate_multilabel(part)
    held = found.take(np.arange(120) >= 40)
    alone = evaluate_multilabel(held).per_label[1]
    whole = evaluate_multilabel(found)
    assert result.unknown_cells == 40
    assert (result.per_label[1].f1, result.per_label[1].recall) == (alone.f1, alone.recall)
    assert result.per_label[1].average_precision.value == alone.average_precision.value
    assert result.per_label[1].average_precision.low == pytest.approx(alone.average_precision.low, abs=2e-3)
    assert result.per_label[0] == whole.per_label[0]
    assert result.subset_accuracy.n == 80


def test_copies_of_images_in_clusters_do_not_narrow_intervals():
    found = made(6, 150)
    copies = found.take(np.tile(np.arange(150), 4))
    copies = MultilabelPredictions.build(
        labels=found.labels,
        path=[str(one) for one in range(600)],
        y_true=copies.y_true,
        proba=copies.proba,
        groups=pd.DataFrame({"original": np.tile(np.arange(150), 4)}),
    )
    one, many = evaluate_multilabel(found), evaluate_multilabel(copies, cluster_by="original")
    for name in ("micro_f1", "macro_f1", "samples_f1", "subset_accuracy", "hamming_loss", "mean_average_precision"):
        a, b = getattr(one, name), getattr(many, name)
        assert b.value == pytest.approx(a.value, abs=1e-9)
        # images are left out one by one, not cluster by cluster, so that few positives count for more without clusters
        tolerance = 0.25 if name == "mean_average_precision" else 0.06
        assert b.high - b.low == pytest.approx(a.high - a.low, rel=tolerance), name


def test_labels_that_go_together_are_counted():
    truth = np.array([[1, 1, 0]] * 6 + [[1, 0, 0]] * 2 + [[0, 1, 0]] * 4 + [[0, 0, 1]] * 8)
    guess = truth.copy()
    guess[6:8] = [0, 0, 1]  # the first label missed, the third predicted instead
    result = evaluate_multilabel(
        MultilabelPredictions.build(
            labels=["a", "b", "c"], path=[str(i) for i in range(20)], y_true=truth, y_pred=guess
        )
    )
    (pair,) = result.pairs
    assert (pair.first, pair.second, pair.images, pair.share.value, pair.expected) == ("a", "b", 6, 6 / 8, 10 / 20)
    assert pair.both_found.value == 1
    (confusion,) = result.confusions
    assert (confusion.missed, confusion.called, confusion.images, confusion.share.value) == ("a", "c", 2, 2 / 8)


def test_thresholds_have_the_highest_f1_of_all():
    val = made(7, 150, 4, ties=True)
    chosen = choose_thresholds(val, replicates=100)
    for place, one in enumerate(chosen.thresholds):
        truth, score = val.y_true[:, place], val.proba[:, place]
        every = [sk.f1_score(truth, score >= cut) for cut in np.unique(score)]
        assert one.f1 == pytest.approx(max(every), **EXACT)
        assert sk.f1_score(truth, score >= one.threshold.value) == pytest.approx(max(every), **EXACT)
        assert one.threshold.low <= one.threshold.value <= one.threshold.high


def test_thresholds_never_see_test():
    val, test = made(8, prefix="v"), made(9, prefix="t")
    shuffled = MultilabelPredictions.build(
        labels=test.labels, path=test.path, y_true=1 - test.y_true, proba=test.proba[::-1], groups=test.groups
    )
    first, second = thresholds_for(test, val), thresholds_for(shuffled, val)
    assert first == second == choose_thresholds(val)
    applied = first.apply(test)
    assert np.array_equal(applied.y_pred, test.proba >= [first.values[label] for label in test.labels])
    assert np.array_equal(applied.y_true, test.y_true)
    unlabelled = MultilabelPredictions.build(labels=test.labels, path=test.path, proba=test.proba, groups=test.groups)
    assert np.array_equal(first.apply(unlabelled).y_pred, applied.y_pred)


def test_images_of_val_are_not_judged():
    val = made(8)
    with pytest.raises(PredictionsError) as error:
        thresholds_for(val.take(np.arange(50)), val)
    assert says(error.value.problems, "50 images", "val")


def test_a_label_with_too_few_images_keeps_its_threshold():
    truth = np.zeros((40, 2), dtype=int)
    truth[:3, 0], truth[:20, 1] = 1, 1
    val = MultilabelPredictions.build(
        labels=["rare", "common"],
        path=[str(i) for i in range(40)],
        y_true=truth,
        proba=np.linspace(0.9, 0.1, 80).reshape(40, 2),
    )
    rare, common = choose_thresholds(val).thresholds
    assert rare.threshold.value == 0.5 and rare.threshold.low is None and "fewer than 5" in rare.threshold.note
    assert common.threshold.low is not None


def test_results_come_back_from_json():
    found = made(10, absent=True)
    result, chosen = evaluate_multilabel(found, cluster_by="unit"), choose_thresholds(found, replicates=50)
    assert MultilabelEvaluation.from_dict(json.loads(json.dumps(result.to_dict()))) == result
    assert LabelThresholds.from_dict(json.loads(json.dumps(chosen.to_dict()))) == chosen
    assert {table.name for table in result.tables()} >= {"summary", "labels", "label_pairs"}


def test_nothing_to_evaluate_and_unknown_columns_are_named_at_once():
    found = MultilabelPredictions.build(labels=["a"], path=["x"], proba=[[0.2]])
    with pytest.raises(PredictionsError) as error:
        evaluate_multilabel(found, cluster_by="scene", confidence=2)
    assert len(error.value.problems) == 3
    assert says(error.value.problems, "None of the 1 images", "--y-true")


@pytest.mark.series
def test_intervals_hold_the_truth():
    """95 % intervals over 400 samples of 200 images; the truth is that of 400,000."""
    rng = np.random.default_rng(0)

    def draw(n: int) -> MultilabelPredictions:
        shared = rng.normal(size=(n, 1))
        truth = (rng.normal(size=(n, 6)) + shared > [0.2, 0.8, 1.2, 1.6, 2.0, 0.5]).astype(int)
        proba = 1 / (1 + np.exp(-(rng.normal(size=(n, 6)) + 0.7 * shared + 2.5 * truth - 1.5)))
        return MultilabelPredictions.build(
            labels=list("abcdef"), path=np.arange(n).astype(str), y_true=truth, proba=proba
        )

    names = ("micro_f1", "macro_f1", "samples_f1", "hamming_loss", "mean_average_precision", "micro_average_precision")
    truth = evaluate_multilabel(draw(400_000))
    held = dict.fromkeys(names, 0)
    for _ in range(400):
        result = evaluate_multilabel(draw(200))
        for name in names:
            one = getattr(result, name)
            held[name] += one.low <= getattr(truth, name).value <= one.high
    assert held.pop("mean_average_precision") >= 0.89 * 400  # one label has about 16 positives in a sample
    assert min(held.values()) >= 0.92 * 400, held


def test_labels_called_are_rates_of_images_with_one_label_and_without_the_other():
    rng = np.random.default_rng(8)
    truth, guess = (rng.random((200, 3)) < 0.4).astype(int), rng.random((200, 3)) < 0.5
    truth[:20, 1] = -1
    found = MultilabelPredictions.build(
        labels=["a", "b", "c"], path=np.arange(200).astype(str), y_true=truth, y_pred=guess.astype(int)
    )
    rows = {(one.there, one.called): one.share for one in evaluate_multilabel(found).called}
    assert len(rows) == 6
    base = (truth[:, 0] == 1) & (truth[:, 1] == 0)
    share = rows["a", "b"]
    low, high = proportion_confint(int(guess[base, 1].sum()), int(base.sum()), method="wilson")
    assert (share.n, share.value) == (base.sum(), pytest.approx(guess[base, 1].mean()))
    assert (share.low, share.high) == pytest.approx((low, high))
    assert evaluate_multilabel(found).tables()[-1].name == "labels_called"
