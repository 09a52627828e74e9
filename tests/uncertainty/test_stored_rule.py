"""Rules of val in the facts of stored and exported models: read back, and refused where they were damaged."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from messages import says

from tlkit.errors import ModelError
from tlkit.evaluation.label_thresholds import LabelThreshold, LabelThresholds
from tlkit.exported.facts import ExportedFacts, facts_of_text
from tlkit.inference.task_predictor import TaskPredictor
from tlkit.models.classifier import Classifier
from tlkit.predictions import MultilabelPredictions
from tlkit.preprocess import Preprocess
from tlkit.stats.estimate import Estimate
from tlkit.uncertainty.number_intervals import IntervalRule
from tlkit.uncertainty.stored_rule import StoredRule

LABELS = ("cat", "dog")
CHOSEN = LabelThresholds(tuple(LabelThreshold(name, Estimate(0.25, 0.2, 0.4, n=9), 5, 0.8) for name in LABELS), 9, 0.95)
INTERVALS = IntervalRule("absolute_residual", 0.9, float("inf"), 7)
DAMAGED = [
    {"thresholds": 5},
    {"thresholds": {"thresholds": [{"label": "cat"}]}},
    {"thresholds": {**CHOSEN.to_dict(), "thresholds": CHOSEN.to_dict()["thresholds"][:1]}},
    {"thresholds": json.loads(json.dumps(CHOSEN.to_dict()).replace("0.25", "7.5"))},
    {"intervals": "wide"},
    {"intervals": {**INTERVALS.to_dict(), "margin": "much"}},
    {"intervals": {**INTERVALS.to_dict(), "coverage": 9}},
    {"intervals": {**INTERVALS.to_dict(), "method": "guess"}},
]


@pytest.fixture(scope="module")
def trained():
    return Classifier("test_resnet", classes=LABELS, weights="none", task="multilabel")


def exported(rule):
    preprocess = Preprocess(image_size=(32, 32))
    return ExportedFacts("model", LABELS, preprocess, "test_resnet", "linear", "pets", task="multilabel", rule=rule)


def test_rules_are_read_back(trained):
    rule = {"thresholds": CHOSEN.to_dict(), "intervals": INTERVALS.to_dict()}
    assert StoredRule.of(json.loads(json.dumps(rule)), LABELS) == StoredRule(CHOSEN, INTERVALS)
    assert facts_of_text(exported(rule).to_json(), path=Path("m.onnx")).rule == rule
    found = MultilabelPredictions.build(labels=LABELS, path=["a"], proba=[[0.3, 0.2]])
    model = TaskPredictor(trained.plain_network(), replace(trained.facts(), rule=rule))
    assert model.with_rule(found).y_pred.tolist() == [[True, False]]


@pytest.mark.parametrize("rule", DAMAGED)
def test_a_damaged_rule_is_refused_when_the_model_is_opened(trained, rule):
    with pytest.raises(ModelError) as error:
        facts_of_text(json.dumps({**exported({}).to_dict(), "rule": rule}), path=Path("m.onnx"))
    assert says(str(error.value), "m.onnx", "damaged", "Export the run again")
    with pytest.raises(ModelError) as error:
        TaskPredictor(trained.plain_network(), replace(trained.facts(), rule=rule))
    assert says(str(error.value), "model.json", "damaged", "train again")
