from __future__ import annotations

import json
import logging
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from messages import saying
from sklearn import metrics
from tables_of_predictions import predictions_of

from tlkit.errors import PredictionsError
from tlkit.evaluation import Evaluation, evaluate
from tlkit.evaluation.evaluation_tables import class_table, confused_table, evaluation_tables, summary_table
from tlkit.predictions import Predictions
from tlkit.stats.intervals import wilson


def make(y_true, *, classes: int, **more) -> Predictions:
    return predictions_of(y_true, classes=[f"c{i}" for i in range(classes)], **more)


@st.composite
def predictions(draw: st.DrawFn) -> Predictions:
    classes = draw(st.integers(2, 8))
    n = draw(st.integers(1, 60))
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    present = draw(st.integers(1, classes))  # the others occur among the predictions only
    return make(
        rng.integers(0, present, size=n),
        classes=classes,
        proba=rng.dirichlet(np.full(classes, 0.5), size=n),
        y_pred=draw(st.sampled_from([None, rng.integers(0, classes, size=n)])),
    )


@given(predictions())
@settings(max_examples=80, deadline=None)
def test_every_value_is_scikit_learns(given_predictions: Predictions) -> None:
    p = given_predictions
    codes = np.arange(len(p.classes))
    evaluation = evaluate(p, top_k=range(1, 9))
    assert evaluation.accuracy.value == pytest.approx(metrics.accuracy_score(p.y_true, p.y_pred))
    assert (evaluation.confusion == metrics.confusion_matrix(p.y_true, p.y_pred, labels=codes)).all()
    precision, recall, f1, support = metrics.precision_recall_fscore_support(
        p.y_true, p.y_pred, labels=codes, zero_division=np.nan
    )
    there = support > 0
    assert evaluation.balanced_accuracy.value == pytest.approx(recall[there].mean())
    assert evaluation.macro_f1.value == pytest.approx(f1[there].mean())
    for code, result in enumerate(evaluation.per_class):
        assert result.support == support[code]
        assert (result.precision.value is None) == bool(np.isnan(precision[code]))
        assert (result.recall.value is None) == (result.f1.value is None) == (support[code] == 0)
        if result.precision.value is not None:
            assert result.precision.value == pytest.approx(precision[code])
        if result.recall.value is not None:
            assert result.recall.value == pytest.approx(recall[code])
            assert result.f1.value == pytest.approx(f1[code])
    assert evaluation.log_loss is not None
    assert evaluation.log_loss.value == pytest.approx(metrics.log_loss(p.y_true, p.proba, labels=codes))
    assert list(evaluation.top_k) == list(range(1, len(p.classes)))
    if len(codes) > 2:
        for k, estimate in evaluation.top_k.items():
            expected = metrics.top_k_accuracy_score(p.y_true, p.proba, k=k, labels=codes)
            assert estimate.value == pytest.approx(expected)


@given(predictions())
@settings(max_examples=30, deadline=None)
def test_storing_and_reading_back_is_the_identity(given_predictions: Predictions) -> None:
    evaluation = evaluate(given_predictions)
    assert Evaluation.from_dict(json.loads(json.dumps(evaluation.to_dict(), allow_nan=False))) == evaluation


@given(predictions(), st.randoms(use_true_random=False))
@settings(max_examples=30, deadline=None)
def test_the_order_of_the_rows_does_not_matter(given_predictions: Predictions, random: object) -> None:
    order = np.array(random.sample(range(len(given_predictions)), len(given_predictions)))  # type: ignore[attr-defined]
    one, other = evaluate(given_predictions), evaluate(given_predictions.take(order))
    assert one.log_loss.value == pytest.approx(other.log_loss.value)
    for name in ("accuracy", "balanced_accuracy", "macro_f1", "top_k"):
        assert getattr(one, name) == getattr(other, name)
    for mine, theirs in zip(one.per_class, other.per_class, strict=True):
        assert replace(mine, auroc=None, average_precision=None) == replace(theirs, auroc=None, average_precision=None)
    for name, estimate in one.scores.items():
        for end in ("value", "low", "high"):
            mine, theirs = getattr(estimate, end), getattr(other.scores[name], end)
            assert mine == (theirs if theirs is None else pytest.approx(theirs, abs=1e-9))


def test_rates_have_wilsons_interval_of_their_own_denominator() -> None:
    evaluation = evaluate(make([0, 0, 0, 1, 1, 1, 1], y_pred=[0, 0, 1, 1, 1, 1, 0], classes=2), confidence=0.9)
    assert evaluation.accuracy == wilson(5, 7, 0.9)
    first = evaluation.per_class[0]
    assert (first.recall.low, first.recall.high, first.recall.n) == (wilson(2, 3, 0.9).low, wilson(2, 3, 0.9).high, 3)
    assert (first.precision.n, first.f1.n, evaluation.balanced_accuracy.n) == (3, 4, 7)
    assert evaluation.confidence == 0.9


def test_a_class_without_images_is_undefined_and_out_of_the_averages() -> None:
    evaluation = evaluate(make([0, 0, 1, 1], y_pred=[0, 0, 1, 2], classes=4))
    assert evaluation.balanced_accuracy.value == pytest.approx(0.75)
    assert evaluation.macro_f1.value == pytest.approx((1 + 2 / 3) / 2)
    assert evaluation.balanced_accuracy.note == saying("2 of 4")
    predicted, unseen = evaluation.per_class[2:]
    assert predicted.recall.note == predicted.f1.note == saying("no images")
    assert (predicted.recall.value, predicted.precision.value, unseen.precision.value) == (None, 0.0, None)
    assert unseen.precision.note == saying("never predicted")
    assert summary_table(evaluation).column("basis")[1] == saying("4 images", "2 of 4")


def test_images_without_a_label_are_left_out_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="tlkit"):
        evaluation = evaluate(make([0, -1, 1, -1], y_pred=[0, 0, 1, 1], classes=2), top_k=[1])
    assert (evaluation.n, evaluation.n_unlabelled, evaluation.accuracy.value) == (2, 2, 1.0)
    assert caplog.messages == [saying("2", "4", "images", "label")]


def test_no_labels_at_all_is_an_error_that_names_the_option() -> None:
    bare = make([-1, -1], y_pred=[0, 1], classes=2, label="ab", sex="fm")
    with pytest.raises(PredictionsError) as caught:
        evaluate(bare, top_k=[0, 1], confidence=95)
    assert caught.value.problems == (
        saying("2 images", "y_true", "--y-true COLUMN", "label, sex"),
        saying("top_k holds 0", "at least 1"),
        saying("confidence", "0.95", "95"),
    )


def test_default_k_not_below_the_number_of_classes_is_left_out_without_a_log_line(
    caplog: pytest.LogCaptureFixture,
) -> None:
    two = make([0, 1, 1], proba=[[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]], classes=2)
    with caplog.at_level(logging.INFO, logger="tlkit"):
        assert list(evaluate(two).top_k) == [1]
        assert list(evaluate(two, top_k=[1, 5]).top_k) == [1]
        assert list(evaluate(make([0, 1], y_pred=[0, 1], classes=5)).top_k) == [1]
    assert caplog.messages == []


def test_given_k_not_below_the_number_of_classes_is_left_out_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="tlkit"):
        evaluation = evaluate(make([0, 1, 1], proba=[[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]], classes=2), top_k=[5, 1, 2])
        assert list(evaluation.top_k) == [1]
        assert list(evaluate(make([0, 1], y_pred=[0, 1], classes=9), top_k=[1, 5]).top_k) == [1]
    assert caplog.messages == [saying("top-2, 5", "2 classes"), saying("top-5", "no probabilities")]


def test_equal_probabilities_rank_in_class_order_so_that_top_1_is_the_accuracy() -> None:
    tied = make([0, 1, 2, 3], proba=np.full((4, 4), 0.25), classes=4)
    evaluation = evaluate(tied, top_k=[1, 2, 3])
    assert [estimate.value for estimate in evaluation.top_k.values()] == [0.25, 0.5, 0.75]
    assert evaluation.top_k[1] == evaluation.accuracy


def test_y_pred_is_used_where_it_differs_from_the_most_probable_class() -> None:
    proba = [[0.6, 0.4], [0.6, 0.4], [0.3, 0.7]]
    evaluation = evaluate(make([1, 1, 1], proba=proba, y_pred=[1, 1, 1], classes=2))
    assert evaluation.accuracy.value == 1.0
    assert evaluation.top_k[1].value == pytest.approx(1 / 3)
    assert summary_table(evaluation).column("metric")[3:] == ("top-1 accuracy", "log loss")


def test_one_image_and_one_class_can_be_evaluated() -> None:
    evaluation = evaluate(make([0], proba=[[1.0]], classes=1))
    assert evaluation.accuracy.format() == "1.000 [0.207, 1.000]"
    assert evaluation.top_k == {}
    assert evaluation.confusion.tolist() == [[1]]


def test_most_confused_pairs_come_first_and_ties_keep_class_order() -> None:
    y_true = [0] * 5 + [1] * 5 + [2] * 2
    y_pred = [0, 1, 1, 1, 2, 1, 1, 1, 1, 0, 2, 0]
    confused = evaluate(make(y_true, y_pred=y_pred, classes=3)).most_confused(3)
    assert confused.to_dict("list") == {
        "true": ["c0", "c0", "c1"],
        "predicted": ["c1", "c2", "c0"],
        "images": [3, 1, 1],
        "support": [5, 5, 5],
        "share": [0.6, 0.2, 0.2],
    }
    right = evaluate(make([0, 1], y_pred=[0, 1], classes=2))
    assert len(right.most_confused()) == 0
    assert [table.name for table in right.tables()] == ["summary", "classes"]


def test_the_notebook_view_escapes_class_names_and_is_bounded() -> None:
    names = ["<script>alert(1)</script>", "a & b", *(f"class {i:02d}" for i in range(60))]
    p = predictions_of([0, 1, -1], "111", classes=names)
    html = evaluate(p)._repr_html_()
    assert "<script>" not in html
    assert "&lt;script&gt;" in html
    assert "a &amp; b" in html
    assert "class 47" in html
    assert "class 48" not in html
    assert "12 more" in html


def test_of_many_classes_those_with_the_lowest_recall_are_shown() -> None:
    evaluation = evaluate(make([0, 0, 1, 1, 2], y_pred=[0, 0, 0, 1, 0], classes=4))
    table = class_table(evaluation, most=2)
    assert table.column("class") == ("c2", "c1")
    assert "of 4" in table.notes[0]
    assert confused_table(evaluation, most=1).rows == (("c1", "c0", 1, 2, 0.5),)


def test_without_mistakes_there_is_no_table_of_confusions() -> None:
    assert [table.name for table in evaluate(make([0, 1], y_pred=[0, 1], classes=2)).tables()] == ["summary", "classes"]


def test_the_json_holds_the_cells_of_the_confusion_matrix_that_are_not_empty() -> None:
    rng, classes = np.random.default_rng(0), 1000
    y = np.arange(3000) % classes
    guess = np.where(rng.random(3000) < 0.8, y, rng.integers(0, classes, 3000))
    evaluation = evaluate(make(y, y_pred=guess, classes=classes))
    stored = json.dumps(evaluation.to_dict())
    cells = json.loads(stored)["confusion_cells"]
    assert len(stored) < 1_000_000 and len(cells) == np.count_nonzero(evaluation.confusion) <= 3000
    assert sum(images for _, _, images in cells) == 3000
    again = Evaluation.from_dict(json.loads(stored))
    assert again == evaluation and (again.confusion == evaluation.confusion).all()
    tables = evaluation_tables(evaluation, most_classes=20)
    table = tables[1]
    recalls = sorted(one.recall.value for one in evaluation.per_class)
    assert [one.value for one in table.column("recall")] == recalls[:20]
    assert table.notes == (saying("20", "1000", "--json"),)
    assert sum(len(one.rows) for one in tables) < 40


def test_figures_of_a_threshold_and_of_the_most_probable_class_are_told_apart() -> None:
    rng = np.random.default_rng(1)
    y, bee = np.arange(50) % 2, rng.random(50)
    p = make(y, proba=np.column_stack([1 - bee, bee]), y_pred=(bee > 0.3).astype(int), classes=2)
    off = int(((bee > 0.3) & (bee < 0.5)).sum())
    evaluation = evaluate(p)
    assert evaluation.n_not_most_probable == off > 0
    table = summary_table(evaluation)
    rows = {str(metric): (value, basis) for metric, value, basis in table.rows}
    assert rows["accuracy"] == (evaluation.accuracy, "50 images, by y_pred")
    assert rows["top-1 accuracy"] == (evaluation.top_k[1], "50 images, by the most probable classes")
    assert "y_pred" in rows["macro F1"][1] and "probabilities" in rows["log loss"][1]
    assert table.notes == (saying("y_pred", f"{off} of 50", "threshold"),)
    same = summary_table(evaluate(make(y, proba=p.proba, classes=2)))
    assert "top-1 accuracy" not in same.column("metric") and "y_pred" not in str(same)
    assert Evaluation.from_dict(json.loads(json.dumps(evaluation.to_dict()))) == evaluation
