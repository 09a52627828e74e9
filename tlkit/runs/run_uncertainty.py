"""What a run knows of its uncertainty: the scaling in its model, and the scores of its validation images."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tlkit.errors import RunError
from tlkit.runs.assess_split import chose_epoch
from tlkit.runs.directory import MARKER, MODEL_CARD, RunDirectory, find_model
from tlkit.stored_values import build_stored, read_json

if TYPE_CHECKING:
    from tlkit.predictions import Predictions
    from tlkit.runs.run import Run
    from tlkit.stats.logit_scaling import LogitScaling
    from tlkit.uncertainty.val_scores import ValScores

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


def val_scores_of(path: Path) -> ValScores:
    """Return the scores of the validation images of a run or of a stored model.

    A model without the file has those of its run's validation predictions.

    Raises:
        RunError: there is neither.
        PredictionsError: the file is damaged.
    """
    from tlkit.runs.run import open_run
    from tlkit.uncertainty.val_scores import FILE, ValScores

    found = ValScores.load(find_model(path))
    if found is not None:
        return found
    if not (path / MARKER).is_file() or "val" not in RunDirectory.open(path).predicted_splits:
        raise RunError(
            f"{path} holds no scores of validation images ({FILE}), from which thresholds and sets are made. Fit with "
            "a val split (data.val)."
        )
    run = open_run(path)
    return ValScores.of(run.predictions("val"), chose_epoch=chose_epoch("val", run.history))
