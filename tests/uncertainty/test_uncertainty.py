"""Calibration, abstention and prediction sets of predictions, overall and by group."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from messages import saying
from sklearn.metrics import log_loss
from tables_of_predictions import predictions_of

from tlkit.errors import PredictionsError
from tlkit.render.plots import plot_reliability, plot_risk_coverage, plot_sets, to_svg
from tlkit.stats.conformal import fewest_images
from tlkit.stats.intervals import wilson
from tlkit.stats.logit_scaling import fit_scaling
from tlkit.uncertainty import assess_abstention, assess_calibration, assess_sets
from tlkit.uncertainty.confidence_report import assess_confidence
from tlkit.uncertainty.val_scores import ValScores, store_val_scores

CLASSES = ("w", "x", "y", "z")


def draw(n, seed, *, gap=2.0, heat=2.0):
    """Predictions of 4 classes; images of "night" are harder by `gap`; `age` is a number."""
    rng = np.random.default_rng(seed)
    light = np.where(rng.random(n) < 0.35, "night", "day")
    truth, scores = rng.integers(0, 4, n), rng.normal(size=(n, 4))
    scores[np.arange(n), truth] += np.where(light == "night", 3.0 - gap, 3.0)
    proba = np.exp(heat * scores)
    return predictions_of(
        truth,
        classes=CLASSES,
        proba=proba / proba.sum(axis=1, keepdims=True),
        light=light,
        age=rng.normal(size=n).round(3).astype(str),
    )


@pytest.fixture(scope="module")
def results():
    val, test = draw(500, 1), draw(700, 2)
    scores = ValScores.of(val, chose_epoch=True)
    scaling = fit_scaling(val.proba, val.y_true, method="vector")
    return {
        "calibration": assess_calibration(test, by=["light", "age:quantiles=3"], scaling=scaling),
        "abstention": assess_abstention(test, scores, risks=[0.1, 0.001], by=["light", "age"]),
        "sets": assess_sets(test, val, by="light", condition="group"),
    }


@pytest.mark.parametrize("name", ["calibration", "abstention", "sets"])
def test_a_result_comes_back_from_json_and_a_newer_one_is_refused(results, name):
    found = results[name]
    values = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert type(found).from_dict(values) == found
    assert values["format_version"] == 1
    with pytest.raises(PredictionsError, match=saying("newer tlkit", "format 99").pattern):
        type(found).from_dict(values | {"format_version": 99})
    assert "\n" not in repr(found) and "<table" in found._repr_html_()
    assert isinstance(found.table(), pd.DataFrame) and len(found.table())


def test_before_and_after_name_whose_predicted_class_a_scaling_changes(results):
    found, test, val = results["calibration"], draw(700, 2), draw(500, 1)
    after = fit_scaling(val.proba, val.y_true, method="vector").apply(test.proba)
    changed = after.argmax(axis=1) != test.y_pred
    night = (test.groups["light"] == "night").to_numpy(dtype=bool)
    by_name = {(one.before.column, one.before.group): one for one in found.parts}
    assert by_name["", ""].changed == changed.sum() > 0
    assert by_name["light", "night"].changed == (changed & night).sum()
    assert by_name["", ""].before.log_loss.value == pytest.approx(log_loss(test.y_true, test.proba))
    assert by_name["", ""].after.log_loss.value == pytest.approx(log_loss(test.y_true, after))
    assert sum(one.before.n for one in found.parts if one.before.column == "age") == 700
    assert found.scaled is False and found.rows == tuple(one.before for one in found.parts)


def test_predictions_that_are_scaled_already_have_the_same_before_and_after():
    val, test = draw(500, 1), draw(700, 2)
    scaling = fit_scaling(val.proba, val.y_true, method="temperature")
    done = predictions_of(test.y_true, classes=CLASSES, proba=scaling.apply(test.proba))
    given, held = assess_calibration(test, scaling=scaling), assess_calibration(done, scaling=scaling, scaled=True)
    for which in ("before", "after"):
        one, two = (getattr(result.parts[0], which) for result in (given, held))
        assert one.error.plain == pytest.approx(two.error.plain, abs=1e-6)
        assert one.log_loss.value == pytest.approx(two.log_loss.value, abs=1e-6)
    assert held.scaled and held.parts[0].changed == 0
    assert "no predicted class" in held.tables()[1].notes[0]


def test_a_threshold_is_chosen_on_val_and_judged_on_other_images(results):
    found, test = results["abstention"], draw(700, 2)
    first, none = found.thresholds
    kept = test.confidence > first.chosen.threshold
    assert first.coverage == wilson(int(kept.sum()), 700)
    assert first.risk == wilson(int((kept & ~test.correct).sum()), int(kept.sum()))
    assert none.chosen.threshold is None and none.coverage.value is None
    assert found.by_group_at == 0.1 and found.n_val == 500
    notes = " ".join(found.tables()[1].notes)
    assert "NOT ENOUGH DATA for a risk of 0.001" in notes and "95% confidence" in notes and "epoch" in notes


def test_abstention_by_group_counts_who_is_answered_and_how_the_gap_changes(results):
    found, test = results["abstention"], draw(700, 2)
    kept = test.confidence > found.thresholds[0].chosen.threshold
    night = (test.groups["light"] == "night").to_numpy(dtype=bool)
    row = next(one for one in found.groups if one.group == "night")
    assert (row.n, row.answered) == (night.sum(), (night & kept).sum())
    assert row.coverage.value == pytest.approx(kept[night].mean())
    assert row.coverage_gap.value == pytest.approx(kept[night].mean() - kept[~night].mean())
    assert row.coverage_verdict == "FAIL"
    wrong = ~test.correct
    before = wrong[night].mean() - wrong[~night].mean()
    after = wrong[night & kept].mean() - wrong[~night & kept].mean()
    assert (row.gap_before, row.gap_after) == pytest.approx((before, after))
    assert row.risk.value == pytest.approx(wrong[night & kept].mean())
    assert row.risk.low <= row.risk.value <= row.risk.high
    assert row.gap_change.value == pytest.approx(after - before)
    assert row.gap_change.low <= row.gap_change.value <= row.gap_change.high


def test_abstention_that_widens_a_gap_fails():
    """The minority is as accurate as the others, but sure of its errors: the errors that remain are its own."""
    rng = np.random.default_rng(5)
    n = 3000
    minority = rng.random(n) < 0.3
    right = rng.random(n) < 0.8
    sure = np.where(right | minority, rng.uniform(0.8, 1, n), rng.uniform(0.5, 0.7, n))
    proba = np.stack([sure, 1 - sure], axis=1)
    one = predictions_of((~right).astype(int), proba=proba, g=np.where(minority, "few", "many"))
    val = ValScores.of(one)
    found = assess_abstention(one, val, risks=[0.12], by="g")
    few, many = found.groups
    assert few.change_verdict == "FAIL" and few.gap_change.value > 0.1
    assert many.change_verdict != "FAIL" and many.gap_change.value <= 0  # its gain is the other's loss


def test_sets_within_groups_cover_each_group_where_one_limit_does_not(results):
    val, test = draw(2000, 11), draw(4000, 12)
    plain = {one.group: one for one in assess_sets(test, val, by="light").rows}
    within = {one.group: one for one in assess_sets(test, val, by="light", condition="group").rows}
    assert plain["night"].verdict == "FAIL" and plain["night"].coverage.value < 0.9
    for group in ("day", "night"):
        assert within[group].coverage.value == pytest.approx(0.95, abs=0.02)
    assert within["night"].size.value > plain["night"].size.value
    assert sum(results["sets"].sizes) == results["sets"].n == 700


def test_a_class_with_few_validation_images_is_in_every_set():
    val, test = draw(400, 3), draw(200, 4)
    kept = np.flatnonzero((val.y_true != 3) | (np.cumsum(val.y_true == 3) < fewest_images(0.95)))
    found = assess_sets(test, val.take(kept), condition="class", method="aps")
    assert found.unbounded == ("z",) and "19" in " ".join(found.tables()[0].notes)
    assert found.per_class[3].coverage.value == 1.0


def test_scores_of_val_are_stored_without_loss_and_damage_is_named(tmp_path):
    scores = ValScores.of(draw(60, 1), chose_epoch=True)
    assert ValScores.load(tmp_path) is None
    scores.save(tmp_path)
    read = ValScores.load(tmp_path)
    assert read.classes == scores.classes and read.chose_epoch and read.tta == "none"
    for name in ("y_true", "correct", "confidence"):
        assert (getattr(read, name) == getattr(scores, name)).all()
    assert all((read.scores[name] == scores.scores[name]).all() for name in scores.scores)
    file = tmp_path / "val_scores.parquet"
    pd.read_parquet(file).drop(columns="confidence").to_parquet(file)
    with pytest.raises(PredictionsError, match=saying("val_scores.parquet", "damaged").pattern):
        ValScores.load(tmp_path)
    file.write_bytes(b"no parquet")
    with pytest.raises(PredictionsError, match=saying("val_scores.parquet").pattern):
        ValScores.load(tmp_path)
    store_val_scores(tmp_path, None, chose_epoch=False)
    assert not file.exists()


def test_wrong_input_is_an_error_that_says_what_to_do():
    bare, test = predictions_of([0, 1], [0, 1], g="ab"), draw(100, 1)
    for judge in (assess_calibration, assess_abstention, lambda one: assess_sets(one, test)):
        with pytest.raises(PredictionsError, match=saying("no probabilities", "proba_").pattern):
            judge(bare)
    with pytest.raises(PredictionsError, match=saying("lihgt", "light").pattern):
        assess_calibration(test, by="lihgt")
    with pytest.raises(PredictionsError, match=saying("0 and below 1", "1.5").pattern):
        assess_abstention(test, ValScores.of(test), risks=[1.5])
    with pytest.raises(PredictionsError, match=saying("below 1", "2").pattern):
        assess_sets(test, test, coverage=2)
    with pytest.raises(PredictionsError, match=saying("other classes").pattern):
        assess_sets(test, predictions_of([0, 1], proba=[[0.9, 0.1], [0.2, 0.8]]))
    with pytest.raises(PredictionsError, match=saying("group column", "--by").pattern):
        assess_sets(test, test, condition="group")


def test_degenerate_predictions_are_judged_or_said_to_be_too_few():
    flat = predictions_of([0, 1] * 50, proba=[[0.5, 0.5]] * 100)
    assert assess_calibration(flat).overall.error.plain == pytest.approx(0.0)
    assert assess_abstention(flat).aurc.value == pytest.approx(0.5)
    one = predictions_of([0], proba=[[0.7, 0.3]])
    assert assess_calibration(one).overall.error.plain is None
    assert assess_abstention(one, ValScores.of(one)).thresholds[0].chosen.threshold is None
    found = assess_sets(one, one)
    assert found.overall.coverage.value == 1.0 and found.sizes == (0, 0, 1)


def test_plots_draw_the_intervals_and_the_number_of_images(results):
    axes = plot_reliability(results["calibration"])
    assert "700" in axes.get_ylabel() and "confidence" in axes.get_xlabel()
    other = plot_risk_coverage(results["abstention"])
    assert "700" in other.get_xlabel() and "risk" in other.get_ylabel()
    assert to_svg(lambda: plot_risk_coverage(results["abstention"])).startswith("<svg")


def test_the_plot_of_sets_shows_every_row_with_its_interval_and_the_wanted_coverage(results):
    sets = results["sets"]
    ax = plot_sets(sets)
    (points, _, (bars,)) = ax.containers[0]
    assert points.get_xdata().tolist() == [one.coverage.value for one in sets.rows]
    ends = [segment[:, 0].tolist() for segment in bars.get_segments()]
    assert np.allclose(ends, [(one.coverage.low, one.coverage.high) for one in sets.rows])
    labels = [text.get_text() for text in ax.get_yticklabels()]
    assert labels[0] == "all images (n = 700)" and any("night" in one for one in labels)
    assert any(line.get_xdata()[0] == sets.wanted for line in ax.lines[1:])
    assert to_svg(lambda: plot_sets(sets)).startswith("<svg")


def test_a_report_holds_prediction_sets_where_there_are_validation_predictions():
    test, val = draw(300, 5), draw(400, 6)
    found = assess_confidence(test, val=val, scaling=None)
    assert found.sets == assess_sets(test, val)
    assert assess_confidence(test, val=None, scaling=None).sets is None


def test_a_group_column_without_any_value_repeats_the_figures_of_all_images_and_judges_nothing():
    given, val = (
        predictions_of(one.y_true, classes=CLASSES, proba=one.proba, site=[None] * len(one))
        for one in (draw(300, 5), draw(400, 6))
    )
    overall, missing = assess_calibration(given, by="site", classwise=False).rows
    assert (missing.group, missing.n) == ("(missing)", 300)
    assert (missing.excess, missing.log_loss) == (overall.excess, overall.log_loss)
    (answered,) = assess_abstention(given, ValScores.of(val), risks=[0.3], by="site").groups
    assert answered.group == "(missing)" and answered.coverage_verdict is None and answered.change_verdict is None
    sets = assess_sets(given, val, by="site", condition="group")
    assert sets.rows[1].coverage == sets.overall.coverage and sets.rows[1].verdict is None
