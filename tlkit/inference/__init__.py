"""Inference: predictions of a stored model, features of images, devices."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tlkit.lazy_names import lazy_names

if TYPE_CHECKING:
    from tlkit.inference.box_predictor import BoxPredictor, PredictedBoxes
    from tlkit.inference.embed_options import EmbedOptions
    from tlkit.inference.export.verify_run import verify_run
    from tlkit.inference.mask_predictor import MaskPredictor
    from tlkit.inference.predictor import Predictor
    from tlkit.inference.task_predictor import TaskPredictor
    from tlkit.mask_files import PredictedMask

__all__ = [
    "BoxPredictor",
    "EmbedOptions",
    "MaskPredictor",
    "PredictedBoxes",
    "PredictedMask",
    "Predictor",
    "TaskPredictor",
    "verify_run",
]

__getattr__ = lazy_names(
    "tlkit.inference",
    {
        "BoxPredictor": "tlkit.inference.box_predictor",
        "EmbedOptions": "tlkit.inference.embed_options",
        "MaskPredictor": "tlkit.inference.mask_predictor",
        "PredictedBoxes": "tlkit.inference.box_predictor",
        "PredictedMask": "tlkit.mask_files",
        "Predictor": "tlkit.inference.predictor",
        "TaskPredictor": "tlkit.inference.task_predictor",
        "verify_run": "tlkit.inference.export.verify_run",
    },
)


def __dir__() -> list[str]:
    return __all__
