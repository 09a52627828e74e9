"""The model card, from values."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
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
    assert says(found, "Differences", "assessed", "columns")
    assert any(says(line, "unusual", "images", "assessed") for line in found)


def test_names_from_the_data_are_shown_as_they_are(tmp_path, predictions):
    text = card(tmp_path, predictions, attribution="by <i>me</i> & you", notes=["a | b"])
    assert says(text, "Model", "card", "script")
    assert "by &lt;i>me&lt;/i> &amp; you" in text
    assert "<script" not in text
