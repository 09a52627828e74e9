"""What a result says of itself where there is no notebook: one line with what matters, never a page of arrays."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import tlkit
from tlkit.audit.explain import explain_gaps
from tlkit.audit.model_comparison import compare_predictions
from tlkit.data.checks.dataset_summary import summarize_data
from tlkit.evaluation import evaluate
from tlkit.predictions import Predictions

GATES = "gates_version: 1\ntolerances: [{by: light, tolerance: 0.05}]\n"


@pytest.fixture
def predictions():
    rng = np.random.default_rng(0)
    light = np.where(np.arange(240) % 3 == 0, "night", "day")
    right = rng.random(240) < np.where(light == "day", 0.95, 0.6)
    truth = rng.integers(0, 2, 240)
    return Predictions.build(
        classes=("cat", "dog"),
        path=[f"{row:03}.png" for row in range(240)],
        y_true=truth,
        y_pred=np.where(right, truth, 1 - truth),
        groups=pd.DataFrame({"light": light}),
    )


def test_results_of_judging_fit_one_line(predictions, tmp_path):
    (tmp_path / "gates.yaml").write_text(GATES)
    gate = tlkit.gate(predictions, tmp_path / "gates.yaml")
    said = {
        "evaluation": repr(evaluate(predictions)),
        "audit": repr(tlkit.audit_groups(predictions, by="light")),
        "explanation": repr(explain_gaps(predictions, by="light")),
        "comparison": repr(compare_predictions(predictions, predictions, names=("old", "new"))),
        "gate": repr(gate).replace(str(tmp_path), "."),
        "slices": repr(tlkit.find_slices(predictions)),
    }
    accuracy = evaluate(predictions).accuracy.format()
    assert said == {
        "evaluation": f"Evaluation(240 images, 2 classes, accuracy {accuracy})",
        "audit": f"Audit(by light: FAIL; 240 images, accuracy {accuracy})",
        "explanation": "Explanation(by light; 240 images)",
        "comparison": f"Comparison(old with new: 240 images, accuracy {accuracy} → {accuracy}, not distinguishable)",
        "gate": "GateReport(./gates.yaml: FAIL; 0 passed, 2 failed, 0 cannot be decided)",
        "slices": "SliceReport(240 images, slices confirmed: 1 of 1)",
    }


def test_what_is_said_of_a_dataset_fits_one_line(image_folder):
    root = image_folder("photos", train=8, val=4)
    assert repr(tlkit.data_doctor(root)) == f"Diagnosis({root}: 24 images, kinds of finding: 1)"
    assert repr(summarize_data(root)[0]) == f"DataSummary({root}: 24 images of 2 classes)"
