"""The scores of the validation images of a run or of a stored model, from which thresholds and sets are made."""

from __future__ import annotations

from pathlib import Path

from tlkit.errors import RunError
from tlkit.runs.assess_split import chose_epoch
from tlkit.runs.directory import MARKER, RunDirectory
from tlkit.runs.find_run import find_model
from tlkit.runs.run import open_run
from tlkit.uncertainty.val_scores import FILE, ValScores


def val_scores_of(path: Path) -> ValScores:
    """Return the scores of the validation images of a run or of a stored model.

    A model without the file has those of its run's validation predictions.

    Raises:
        RunError: there is neither.
        PredictionsError: the file is damaged.
    """
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
