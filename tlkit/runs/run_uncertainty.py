"""The scaling in a run's model, and the scores of its validation images, for calibration and thresholds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tlkit.models.model_format import FACTS_FILE
from tlkit.runs.directory import RunDirectory

if TYPE_CHECKING:
    from tlkit.predictions import Predictions
    from tlkit.runs.run import Run
    from tlkit.stats.logit_scaling import LogitScaling


def scaling_of(directory: RunDirectory) -> LogitScaling | None:
    """Return the scaling of the logits that a run's model holds; None where it holds none, or there is no model.

    Raises:
        RunError: the model's file is damaged.
    """
    from tlkit.stats.logit_scaling import LogitScaling

    stored = directory.read_model_facts().get("calibration")
    if stored is None:
        return None
    return directory.read_result(directory.model / FACTS_FILE, LogitScaling.from_dict, stored)


def val_predictions(run: Run, *, judged: str) -> Predictions | None:
    """Return the validation predictions of a run; None where it has none, or where they are what is judged."""
    if judged == "val" or "val" not in run.directory.predicted_splits:
        return None
    return run.predictions("val")
