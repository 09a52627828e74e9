from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from messages import saying
from sklearn import metrics as sk

from tlkit.errors import PredictionsError
from tlkit.evaluation import Evaluation, evaluate
from tlkit.predictions import Predictions
from tlkit.stats.confusion_scores import CONFUSION_SCORES, margins_of_rows, score_influences, scores_of_margins

EXACT = {"rel": 1e-12, "abs": 1e-12}


def table(
    y_true: np.ndarray, proba: np.ndarray, *, weights: np.ndarray | None = None, clusters: np.ndarray | None = None
) -> Predictions:
    n, size = proba.shape
    columns = {name: values for name, values in (("w", weights), ("unit", clusters)) if values is not None}
    return Predictions.build(
        classes=[f"c{i:04d}" for i in range(size)],
        path=[str(i) for i in range(n)],
        y_true=y_true,
        proba=proba,
        groups=pd.DataFrame(columns) if columns else None,
    )


def random_table(
    seed: int, n: int, size: int, *, ties: bool = False, absent: bool = False, weighted: bool = False
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    rng = np.random.default_rng(seed)
    y = rng.integers(0, max(size - absent, 1), n)
    logits = rng.standard_normal((n, size))
    logits[np.arange(n), y] += rng.uniform(0, 3)
    proba = np.exp(logits)
    if ties:
        proba = np.ceil(proba)
    proba /= proba.sum(axis=1, keepdims=True)
    return y, proba, rng.integers(0, 4, n) + rng.random(n) if weighted else None


def of_sklearn(
    y: np.ndarray, proba: np.ndarray, weight: np.ndarray | None, *, with_areas: bool = True
) -> dict[str, float]:
    """Return scikit-learn's values; NaN where it says that the metric is undefined."""
    guess, size = proba.argmax(axis=1), proba.shape[1]
    present = np.unique(y)
    found: dict[str, float] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for average in ("macro", "weighted"):
            three = sk.precision_recall_fscore_support(
                y, guess, labels=present, average=average, zero_division=np.nan, sample_weight=weight
            )
            found |= {
                f"{average}_{name}": value for name, value in zip(("precision", "recall", "f1"), three[:3], strict=True)
            }
        three = sk.precision_recall_fscore_support(y, guess, average="micro", sample_weight=weight)
        found |= {f"micro_{name}": value for name, value in zip(("precision", "recall", "f1"), three[:3], strict=True)}
        one_sided = len(present) < 2 or len(np.unique(guess)) < 2
        found["mcc"] = np.nan if one_sided else sk.matthews_corrcoef(y, guess, sample_weight=weight)
        labels = np.arange(max(size, 2))
        for name, kind in (("cohen_kappa", None), ("cohen_kappa_quadratic", "quadratic")):
            found[name] = sk.cohen_kappa_score(y, guess, labels=labels, weights=kind, sample_weight=weight)
        if len(present) > 1 and with_areas:
            by_class = [(y == code, proba[:, code]) for code in present]
            found["auroc"] = np.mean([sk.roc_auc_score(*one, sample_weight=weight) for one in by_class])
            found["average_precision"] = np.mean(
                [sk.average_precision_score(*one, sample_weight=weight) for one in by_class]
            )
        found["brier"] = sk.brier_score_loss(
            y if size > 2 else y == 1, proba if size > 2 else proba[:, 1], labels=np.arange(size), sample_weight=weight
        )
    return found


@given(st.integers(0, 10_000), st.integers(1, 60), st.integers(2, 6), st.booleans(), st.booleans(), st.booleans())
@settings(max_examples=60, deadline=None, phases=[Phase.explicit, Phase.generate])  # shrinking takes minutes
def test_every_value_is_scikit_learns_and_lies_in_its_interval(
    seed: int, n: int, size: int, ties: bool, absent: bool, weighted: bool
) -> None:
    y, proba, weight = random_table(seed, n, size, ties=ties, absent=absent, weighted=weighted)
    found = evaluate(table(y, proba, weights=weight), weights=None if weight is None else "w", replicates=50, top_k=[1])
    expected = of_sklearn(y, proba, weight)
    for name, value in expected.items():
        ours = found.score(name)
        if np.isnan(value):
            assert ours.value is None, name
            assert ours.note, name
            continue
        assert ours.value == pytest.approx(value, **EXACT), name
        if ours.low is not None:
            assert ours.low <= ours.value <= ours.high, name
        else:
            assert ours.note, name
    assert found.accuracy.value == pytest.approx(
        sk.accuracy_score(y, proba.argmax(axis=1), sample_weight=weight), **EXACT
    )
    assert found.log_loss is not None
    assert found.log_loss.value == pytest.approx(
        sk.log_loss(y, proba, labels=np.arange(size), sample_weight=weight), **EXACT
    )


def test_every_value_is_scikit_learns_with_1000_classes() -> None:
    y, proba, _ = random_table(3, 1500, 1000, absent=True)
    found = evaluate(table(y, proba), replicates=20)
    for name, value in of_sklearn(y, proba, None, with_areas=False).items():
        assert found.score(name).value == pytest.approx(value, **EXACT), name
    present = np.unique(y)
    for code in present[::25]:
        mine, positive = found.per_class[code], y == code
        assert mine.auroc.value == pytest.approx(sk.roc_auc_score(positive, proba[:, code]), **EXACT)
        theirs = sk.average_precision_score(positive, proba[:, code])
        assert mine.average_precision.value == pytest.approx(theirs, **EXACT)
    macro = np.mean([found.per_class[code].auroc.value for code in present])
    assert found.score("auroc").value == pytest.approx(macro, **EXACT)
    assert found.score("auroc").note == f"{len(present)} of 1000 classes"


def test_weights_of_one_are_no_weights_and_whole_weights_are_copies() -> None:
    y, proba, _ = random_table(1, 80, 3)
    plain = evaluate(table(y, proba), replicates=50)
    ones = evaluate(table(y, proba, weights=np.ones(80)), weights="w", replicates=50)
    times = np.random.default_rng(0).integers(0, 3, 80)
    copied = evaluate(table(np.repeat(y, times), np.repeat(proba, times, axis=0)), replicates=50)
    weighted = evaluate(table(y, proba, weights=times), weights="w", replicates=50)
    for name, estimate in plain.scores.items():
        if not name.startswith("brier_"):  # the correction of the decomposition depends on the number of images
            assert ones.scores[name].value == pytest.approx(estimate.value, **EXACT)
            assert weighted.scores[name].value == pytest.approx(copied.scores[name].value, **EXACT)
    assert weighted.n == (times > 0).sum()
    assert weighted.per_class[0].f1.value == pytest.approx(copied.per_class[0].f1.value, **EXACT)
    assert weighted.macro_f1.value == pytest.approx(copied.macro_f1.value, **EXACT)


@pytest.mark.parametrize("values", [["1", "-1", "2"], ["1", "x", "2"], ["1", None, "2"]])
def test_impossible_weights_are_refused(values: list[str]) -> None:
    predictions = table(np.array([0, 1, 0]), np.eye(2)[[0, 1, 1]]).with_groups(
        pd.DataFrame({"path": ["0", "1", "2"], "w": values})
    )
    with pytest.raises(PredictionsError, match=saying("weights", "w", "0", "1 image").pattern):
        evaluate(predictions, weights="w")


def test_a_perfect_classifier_has_intervals_of_positive_width() -> None:
    y = np.arange(60) % 3
    found = evaluate(table(y, np.eye(3)[y] * 0.7 + 0.1))
    for name in (*CONFUSION_SCORES, "auroc"):
        estimate = found.score(name)
        assert estimate.value == estimate.high == 1.0
        assert 0.6 < estimate.low < 0.99


def test_what_is_undefined_says_why() -> None:
    one_class = evaluate(table(np.zeros(5, dtype=int), np.tile([0.6, 0.4], (5, 1))))
    assert one_class.scores["auroc"].value is None
    assert one_class.scores["auroc"].note == "all images are of one class"
    assert one_class.scores["cohen_kappa"].note == "all images are of one class and predicted as one"
    same_guess = evaluate(table(np.array([0, 1, 0]), np.tile([0.6, 0.4], (3, 1))))
    assert same_guess.scores["mcc"].note == "all images are predicted as one class"
    assert same_guess.per_class[1].auroc is not None
    absent = evaluate(table(np.array([0, 1, 0, 1]), np.full((4, 3), 1 / 3)))
    assert absent.per_class[2].auroc is not None
    assert absent.per_class[2].auroc.note == "no images of this class"


def test_one_image_and_one_cluster_have_values_without_intervals() -> None:
    one = evaluate(table(np.array([1]), np.array([[0.2, 0.8]])))
    assert (one.scores["brier"].value, one.scores["brier"].low) == (pytest.approx(0.04), None)
    y, proba, _ = random_table(0, 20, 3)
    clustered = evaluate(table(y, proba, clusters=np.zeros(20, dtype=int)), cluster_by="unit")
    for name in ("mcc", "auroc", "brier", "macro_precision"):
        assert clustered.scores[name].value is not None
        assert clustered.scores[name].low is None
        assert "cluster" in clustered.scores[name].note


def test_copies_of_images_in_clusters_do_not_narrow_the_intervals() -> None:
    y, proba, _ = random_table(5, 60, 3)
    once = evaluate(table(y, proba, clusters=np.arange(60)), cluster_by="unit")
    four = evaluate(
        table(np.repeat(y, 4), np.repeat(proba, 4, axis=0), clusters=np.arange(240) // 4), cluster_by="unit"
    )
    for name in ("mcc", "cohen_kappa_quadratic", "weighted_f1", "average_precision", "brier", "brier_resolution"):
        one, other = once.scores[name], four.scores[name]
        assert other.value == pytest.approx(one.value, abs=0.02)
        assert other.high - other.low == pytest.approx(one.high - one.low, rel=0.15), name


@given(st.integers(0, 1000), st.integers(3, 12), st.integers(2, 5))
@settings(max_examples=40, deadline=None)
def test_influences_are_the_derivatives_by_weight(seed: int, n: int, size: int) -> None:
    rng = np.random.default_rng(seed)
    y, guess, weight = rng.integers(0, size, n), rng.integers(0, size, n), rng.random(n) + 0.5
    margins = margins_of_rows(y, guess, size, weight)
    found = score_influences(y, guess, margins)
    np.testing.assert_allclose(weight @ found, np.where(np.isnan(found[0]), np.nan, 0), atol=1e-8)
    step, row = 1e-6, int(rng.integers(0, n))
    up, down = (
        (scores_of_margins(margins_of_rows(y, guess, size, weight + sign * step * (np.arange(n) == row))))[0]
        for sign in (1, -1)
    )
    np.testing.assert_allclose(found[row], (up - down) / (2 * step) * weight.sum(), rtol=1e-4, atol=1e-5)
    assert found.shape == (n, len(CONFUSION_SCORES))


def test_the_full_set_survives_json_and_is_left_out_on_request() -> None:
    y, proba, _ = random_table(2, 50, 3)
    found = evaluate(table(y, proba))
    assert Evaluation.from_dict(found.to_dict()) == found
    assert evaluate(table(y, proba), metrics="headline").scores == {}
