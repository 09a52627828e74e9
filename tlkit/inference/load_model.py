"""`load_model`: the model of a run, in torch, or an exported file, which needs no torch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tlkit.errors import ModelError
from tlkit.exported import is_exported

if TYPE_CHECKING:
    from tlkit.exported.exported_predictor import ExportedPredictor
    from tlkit.exported.mask_answers import ExportedMaskPredictor
    from tlkit.exported.task_answers import ExportedTaskPredictor
    from tlkit.inference.box_predictor import BoxPredictor
    from tlkit.inference.mask_predictor import MaskPredictor
    from tlkit.inference.predictor import Predictor
    from tlkit.inference.task_predictor import TaskPredictor


def load_model(
    model: str | Path | object, *, device: str = "auto"
) -> (
    Predictor
    | ExportedPredictor
    | TaskPredictor
    | ExportedTaskPredictor
    | MaskPredictor
    | ExportedMaskPredictor
    | BoxPredictor
):
    """Return a model for prediction; nothing in its files can run code.

    A model of several labels, grades or numbers predicts a table of these: `TaskPredictor`, or `ExportedTaskPredictor`
    of an exported file; one of segmentation masks: `MaskPredictor`, or `ExportedMaskPredictor`; of detection boxes:
    `BoxPredictor`.

    Args:
        model: a run, its directory, or the folder with `model.safetensors` and `model.json` itself; or a file that
            `tlkit export` wrote, such as `model.onnx`, for which torch need not be installed.
        device: auto, cpu, cuda or mps; exported files run on the CPU.

    Raises:
        ModelError: there is no stored model, or it does not fit this timm; or the exported file was changed.
        RunError: there is no run at the path.

    Example:
        >>> model = load_model("runs/pets", device="cpu")
        >>> model.predict(["photos/cat/00.png", "photos/dog/00.png"]).proba.shape
        (2, 2)
    """
    if isinstance(model, str | Path) and is_exported(model):
        if device not in ("auto", "cpu"):
            raise ModelError(f"{model} runs on the CPU, and device is {device!r}. Leave it out, or name the run.")
        from tlkit.exported.task_answers import load_exported_task

        return load_exported_task(model)
    from tlkit.inference.task_predictor import load_task_model

    return load_task_model(model, device=device)
