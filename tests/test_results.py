"""What every result does: it says of itself in one line what matters, and it comes back from JSON."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from golden.make_golden import three_backbones
from messages import saying, says
from tables_of_predictions import predictions_of

import tlkit
from tlkit.analysis.advice import LeftOut, rank_backbones
from tlkit.analysis.label_audit import LabelAudit, Suspect
from tlkit.analysis.slices_of_tasks import find_task_slices
from tlkit.analysis.task_label_audit import LabelErrors, LabelSetAudit
from tlkit.audit.explain import explain_gaps
from tlkit.audit.model_comparison import compare_predictions
from tlkit.audit.options import AuditOptions
from tlkit.audit.task_comparison import compare_task_models
from tlkit.data.checks.dataset_summary import summarize_data
from tlkit.errors import TlkitError
from tlkit.evaluation import evaluate
from tlkit.predictions import NumberPredictions
from tlkit.stats.estimate import Estimate

GATES = "gates_version: 1\ntolerances: [{by: light, tolerance: 0.05}]\n"


def numbers_of(scale: float) -> NumberPredictions:
    """Return predictions of 120 numbers with errors of this size."""
    rng = np.random.default_rng(1)
    truth, light = rng.normal(0, 5, 120), np.where(np.arange(120) % 2, "day", "night")
    guess = truth + scale * rng.normal(0, 1, 120)
    groups = pd.DataFrame({"light": light})
    return NumberPredictions.build(path=np.arange(120).astype(str), y_true=truth, y_pred=guess, groups=groups)


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Return results by name with what their lines hold."""
    rng = np.random.default_rng(0)
    light = np.where(np.arange(240) % 3 == 0, "night", "day")
    right = rng.random(240) < np.where(light == "day", 0.95, 0.6)
    truth = rng.integers(0, 2, 240)
    predictions = predictions_of(truth, np.where(right, truth, 1 - truth), classes=("cat", "dog"), light=light)
    gates = tmp_path_factory.mktemp("gates") / "gates.yaml"
    gates.write_text(GATES)
    estimates = Estimate(1.0, 0.0, 3.0, n=9), Estimate(0.9, 0.8, 0.95, n=9)
    accuracy = evaluate(predictions).accuracy.format()
    left_out = [
        LeftOut("vit", "hub", "unavailable", "not there"),
        LeftOut("bit", "hub", "license", "cc-by-nc-4.0", ("mit", "apache-2.0")),
        LeftOut("large", "hub", "parameters", 3e8, 25e6),
        LeftOut("port", "pip:a", "architecture", -0.2, -0.1, "original"),
    ]
    suspect = Suspect("a/1.jpg", "train", "", "a", "b", 0.1, (0.1, 0.9), (0.2, 0.8), True, ("a/2.jpg",))
    labels = LabelAudit(("a", "b"), {"train": 9}, (suspect,), *estimates, "ridge", 5, 9, 0.95, "pets", "full")
    return {
        "evaluation": (evaluate(predictions), "240 images", "2 classes", accuracy),
        "audit": (tlkit.audit_groups(predictions, by="light"), "light: FAIL", "240 images", accuracy),
        "explanation": (explain_gaps(predictions, by="light"), "light", "240 images"),
        "comparison": (
            compare_predictions(predictions, predictions, names=("old", "new")),
            "old with new",
            f"{accuracy} → {accuracy}",
            "not distinguishable",
        ),
        "gate": (tlkit.gate(predictions, gates), "gates.yaml: FAIL", "0 passed", "2 failed", "0 cannot be decided"),
        "slices": (tlkit.find_slices(predictions), "240 images", "1 of 1"),
        "advice": (rank_backbones(three_backbones(), classes=2, folds=5, machine="m", left_out=left_out), "3", "best"),
        "labels": (labels, "9 images"),
        "task comparison": (
            compare_task_models(numbers_of(1.0), numbers_of(2.0), AuditOptions().with_overrides(by="light")),
            "120 images",
            "mean_absolute_error",
            "worse",
        ),
        "task slices": (find_task_slices(numbers_of(1.0)), "120 images", "absolute error"),
        "label sets": (
            LabelSetAudit("pets", 9, (LabelErrors("a", 4, (suspect,), *estimates, False),), "logistic", 5, "frozen"),
            "9 images",
            "1 doubtful",
        ),
    }


TASKS = ("task comparison", "task slices", "label sets")
NAMES = ("evaluation", "audit", "explanation", "comparison", "gate", "slices", "advice", "labels", *TASKS)


@pytest.mark.parametrize("name", NAMES)
def test_a_result_says_in_one_line_what_matters(results, name):
    found, *said = results[name]
    assert says(repr(found), type(found).__name__, *said)
    assert "\n" not in repr(found)


@pytest.mark.parametrize("name", NAMES)
def test_a_result_comes_back_from_json_and_one_of_a_newer_format_is_refused(results, name):
    found = results[name][0]
    values = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert type(found).from_dict(values) == found
    for key in {"version", "format_version"} & set(values):
        with pytest.raises(TlkitError, match=saying("newer tlkit", "format 99").pattern):
            type(found).from_dict(values | {key: 99})


def test_what_is_said_of_a_dataset_fits_one_line(image_folder):
    root = image_folder("photos", train=8, val=4)
    assert says(repr(tlkit.data_doctor(root)), "Diagnosis", root, "24 images", "1")
    assert says(repr(summarize_data(root)[0]), "DataSummary", root, "24 images", "2 classes")
