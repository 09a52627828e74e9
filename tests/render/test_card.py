"""The model card, from values."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from huggingface_hub import ModelCard
from messages import says
from tables_of_predictions import predictions_of

from tlkit.audit import audit_groups
from tlkit.evaluation import evaluate
from tlkit.render.report import RunContents, write_card
from tlkit.render.report.limitations import limits

RECIPE = "name: pets\nmodel: {name: resnet18, weights: hub}\nstrategy: {kind: frozen}\n"


@pytest.fixture
def predictions():
    """Return 300 images by day, 100 by night, half of those wrong, and 8 at dawn; classes with awkward names."""
    light = ["day"] * 300 + ["night"] * 100 + ["dawn"] * 8
    y = np.arange(408) % 2
    guess = y.copy()
    guess[300:350] = 1 - y[300:350]
    return predictions_of(y, guess, classes=("<b>cat</b>", "dog|s", "never"), light=light, room="ab" * 204)


def leaks_of(n):
    return pd.DataFrame({"path": [f"{i}.jpg" for i in range(n + 1)], "dropped": ["yes", *[""] * n]})


def card(path, predictions, **more):
    counts = pd.DataFrame({"train": [0, 0, 9], "test": [204, 204, 0]}, index=list(predictions.classes))
    given = {
        "title": "<script>pets</script>",
        "recipe_text": RECIPE,
        "counts": counts,
        "evaluation": evaluate(predictions),
        "environment": {"tlkit": "0.1", "weights": {"source": "hub", "license": "apache-2.0", "digest": "ab"}},
        "audit": audit_groups(predictions, by="light"),
        "slices": None,
        "group_columns": predictions.group_columns,
        "excluded": [("0.jpg", "no image"), ("1.jpg", "no image")],
        "leaks": leaks_of(3),
        "split": "test",
    }
    return write_card(path / "MODEL_CARD.md", RunContents(**{**given, **more})).read_text()


def test_limitations_come_from_the_audit(tmp_path, predictions):
    text = card(tmp_path, predictions)
    rows = [
        [cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("| light")
    ]
    assert says(text, "light", "FAIL")
    assert says(text, "Classes", "image", "never")
    assert ["light", "night", "accuracy", "100"] in [row[:4] for row in rows]
    assert ["light", "dawn", "accuracy", "–"] in [row[:4] for row in rows]  # a small group's size is not published


def test_a_failing_row_with_a_wide_interval_has_no_number(tmp_path, predictions):
    light = ["day"] * 384 + ["night"] * 24
    right = np.array([i % 10 > 0 for i in range(384)] + [i < 11 for i in range(24)])
    y = predictions.y_true
    few = predictions_of(y, np.where(right, y, 1 - y), classes=predictions.classes, light=light)
    text = card(tmp_path, few, audit=audit_groups(few, by="light"), evaluation=evaluate(few))
    assert says(text.replace("\\", ""), "night", "24", "[0.279, 0.649]")
    assert "0.458" not in text


def test_what_was_not_assessed_is_stated(predictions):
    found = limits(evaluate(predictions), None, None, split="val", group_columns=("light",))
    assert says([one.text for one in found], "Differences", "assessed", "columns")
    assert any(says(one.text, "unusual", "images", "assessed") for one in found)


def test_names_from_the_data_are_shown_as_they_are(tmp_path, predictions):
    text = card(tmp_path, predictions, attribution="by <i>me</i> & you", notes=["a | b"])
    assert says(text, "Model", "card", "script")
    assert "by &lt;i>me&lt;/i> &amp; you" in text
    assert "<script" not in text


def test_the_hub_reads_licence_tags_data_and_metrics_of_a_card(tmp_path, predictions):
    leaked = predictions.path[:3].tolist()
    environment = {
        "weights": {"source": "hub", "origin": "resnet18.a1_in1k", "license": "Apache Software License 2.0"},
        "data": {"fingerprint": "ab12"},
    }
    recipe = RECIPE + "data: {root: ../shared/my pets/}\n"
    evaluation = evaluate(predictions, leaked=leaked)
    card(tmp_path, predictions, environment=environment, recipe_text=recipe, evaluation=evaluation, title="pets")
    data = ModelCard.load(tmp_path / "MODEL_CARD.md").data
    assert (data.license, data.library_name, data.pipeline_tag) == ("apache-2.0", "tlkit", "image-classification")
    assert data.tags == ["image-classification", "transfer-learning", "timm", "resnet18", "frozen"]
    assert (data.datasets, data.base_model, data.model_name) == (["my-pets"], "timm/resnet18.a1_in1k", "pets")
    assert data.metrics == ["accuracy", "balanced_accuracy", "f1"]
    results = {result.metric_name: result for result in data.eval_results}
    for name, estimate in (("accuracy", evaluation.accuracy), ("macro f1", evaluation.macro_f1)):
        assert results[name].metric_value == pytest.approx(estimate.value, abs=5e-5)
        assert results[name].metric_args["interval"] == pytest.approx([estimate.low, estimate.high], abs=5e-5)
        assert (results[name].dataset_split, results[name].dataset_args) == ("test", {"fingerprint": "ab12"})
    without = results["accuracy without leaks"]
    assert without.metric_value == pytest.approx(evaluation.without_leaks.accuracy.value, abs=5e-5)
    assert without.metric_args["images"] == len(predictions) - 3


@pytest.mark.parametrize(
    ("stated", "license", "name"),
    [
        ("MIT License", "mit", None),
        ("cc-by-nc-4.0", "cc-by-nc-4.0", None),
        ("unknown", "unknown", None),
        ("", "unknown", None),
        ("BSD-3-Clause", "bsd-3-clause", None),
        ("My: own *license*", "other", "my-own-license"),
    ],
)
def test_a_licence_becomes_the_hubs_identifier_or_other(tmp_path, predictions, stated, license, name):
    environment = {"weights": {"source": "pip:weights", "origin": "x.pth", "license": stated}}
    card(tmp_path, predictions, environment=environment)
    data = ModelCard.load(tmp_path / "MODEL_CARD.md").data
    assert (data.license, data.license_name, data.base_model) == (license, name, None)


@pytest.mark.parametrize("text", ["", "- no recipe", "{", "data: {root: [a, b]}\nmodel: 3\nstrategy: frozen\n"])
def test_a_card_of_an_unusual_recipe_has_metadata_too(tmp_path, predictions, text):
    card(tmp_path, predictions, recipe_text=text, title="a: *b*\n---\n# c")
    data = ModelCard.load(tmp_path / "MODEL_CARD.md").data
    assert (data.model_name, data.datasets) == ("a-b-c", ["a-b-c"])
