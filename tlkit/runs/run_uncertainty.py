"""What a run knows of its uncertainty: the scaling in its model, and the scores of its validation images."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tlkit.errors import RunError
from tlkit.runs.directory import MODEL_CARD, RunDirectory
from tlkit.stored_values import build_stored, read_json

if TYPE_CHECKING:
    from tlkit.predictions import Predictions
    from tlkit.runs.run import Run
    from tlkit.stats.logit_scaling import LogitScaling

REMEDY = "Restore it or fit again."


def scaling_of(directory: RunDirectory) -> LogitScaling | None:
    """Return the scaling of the logits that a run's model holds; None where it holds none, or there is no model.

    Raises:
        RunError: the model's file is damaged.
    """
    from tlkit.stats.logit_scaling import LogitScaling

    path = directory.model / MODEL_CARD
    if not path.is_file():
        return None
    stored = read_json(path, error=RunError, remedy=REMEDY).get("calibration")
    if stored is None:
        return None
    return build_stored(LogitScaling.from_dict, stored, path=path, error=RunError, remedy=REMEDY)


def val_predictions(run: Run, *, judged: str) -> Predictions | None:
    """Return the validation predictions of a run; None where it has none, or where they are what is judged."""
    if judged == "val" or "val" not in run.directory.predicted_splits:
        return None
    return run.predictions("val")
