"""A fit rescales logits on val, stores the scaling in the model, and predicts with it everywhere."""

from __future__ import annotations

import json

import numpy as np
import pytest
from messages import saying, says
from run_fixtures import day_and_night

import tlkit
from tlkit.errors import ModelError, PredictionsError
from tlkit.inference.predictor import load_predictor
from tlkit.models.model_files import read_model_facts
from tlkit.models.model_format import FACTS_FILE
from tlkit.runs.answer_rules import AnswerRules
from tlkit.runs.run_uncertainty import scaling_of
from tlkit.runs.stored_val_scores import val_scores_of
from tlkit.stats.logit_scaling import LogitScaling
from tlkit.uncertainty.val_scores import FILE


@pytest.fixture
def fitted(tiny_recipe):
    return lambda **more: tlkit.fit(tiny_recipe(**{"": 50}, groups={"light": day_and_night}), {**more})


@pytest.mark.parametrize("strategy", [pytest.param("full", marks=pytest.mark.series), "frozen"])
def test_predictions_of_a_run_are_those_of_its_calibrated_model(tiny_recipe, strategy, caplog):
    recipe = tiny_recipe(**{"": 50}, strategy=strategy)
    plain = tlkit.fit(recipe, {"name": "plain", "evaluate.calibrate": "none"})
    run = tlkit.fit(recipe, {"name": "scaled"})
    scaling = scaling_of(run.directory)
    assert scaling.method == "temperature" and scaling.n == len(run.predictions("val"))
    assert scaling_of(plain.directory) is None
    before, after = plain.predictions("test"), run.predictions("test")
    assert (before.y_pred == after.y_pred).all()
    assert after.proba == pytest.approx(scaling.apply(before.proba), abs=1e-5)
    assert load_predictor(run).predict_samples(run.samples.split("test")).proba == pytest.approx(after.proba, abs=1e-5)
    assert says(caplog.text, "calibration", "temperature", "no predicted class")
    facts = json.loads((run.path / "model" / FACTS_FILE).read_text())
    assert facts["format_version"] == 4 and facts["calibration"]["method"] == "temperature"


def test_vector_scaling_is_part_of_the_model(fitted):
    run = fitted(**{"evaluate.calibrate": "vector"})
    model = load_predictor(run)
    assert model.facts.calibration.method == "vector"
    test = run.samples.split("test")
    calibrated = model.predict_samples(test).proba
    assert calibrated == pytest.approx(run.predictions("test").proba, abs=1e-5)
    model.network.calibrate(None)
    assert model.facts.calibration.apply(model.predict_samples(test).proba) == pytest.approx(calibrated, abs=1e-5)


def test_fewer_than_20_validation_images_fit_nothing(tiny_recipe):
    assert scaling_of(tlkit.fit(tiny_recipe(**{"": 12})).directory) is None


def test_a_model_answers_and_gives_sets_by_what_it_stores(fitted, tmp_path):
    run = fitted()
    scores, val = val_scores_of(run.path), run.predictions("val")
    assert (scores.confidence == val.confidence).all() and scores.chose_epoch
    test = run.predictions("test")
    rules = AnswerRules.of(run.path / "model", risk=0.6, coverage=0.9, method="aps")
    applied = rules.apply(test)
    answered = (applied.groups["answered"] == "yes").to_numpy(dtype=bool)
    assert (answered == (test.confidence > rules.threshold.threshold)).all()
    held = scores.sets(test, 0.9, "aps")
    assert applied.groups["set_size"].astype(int).tolist() == held.sum(axis=1).tolist()
    for text, row in zip(applied.groups["set"], held, strict=True):
        assert text.split(";") == list(np.array(test.classes)[row])
    (run.path / "model" / FILE).unlink()  # as in a run of an earlier tlkit
    assert (val_scores_of(run.path).confidence == scores.confidence).all()
    with pytest.raises(PredictionsError, match=saying("--abstain-at-risk 0.001", "NOT ENOUGH DATA").pattern):
        AnswerRules.of(run.path, risk=0.001, coverage=None, method="lac")


def test_a_damaged_calibration_is_named(fitted):
    run = fitted()
    path = run.path / "model" / FACTS_FILE
    facts = json.loads(path.read_text())
    for wrong in ({"scale": "x"}, facts["calibration"] | {"scale": [-1.0]}, [1]):
        path.write_text(json.dumps(facts | {"calibration": wrong}))
        with pytest.raises(ModelError, match=saying(FACTS_FILE, "damaged").pattern):
            read_model_facts(path.parent)
    wrong = LogitScaling("vector", (1.0,) * 3, (0.0,) * 3).to_dict()
    path.write_text(json.dumps(facts | {"calibration": wrong}))
    with pytest.raises(ModelError, match=saying(FACTS_FILE, "3 classes").pattern):
        read_model_facts(path.parent)
