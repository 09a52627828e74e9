"""Tables of labels, predictions, probabilities and groups, which evaluation and audit read. Never torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tlkit.lazy_names import lazy_names

if TYPE_CHECKING:
    from tlkit.predictions.box_reading import read_boxes, read_detection
    from tlkit.predictions.detection_predictions import DetectionPredictions
    from tlkit.predictions.joined_tables import Joinable
    from tlkit.predictions.mask_predictions import MaskPredictions
    from tlkit.predictions.mask_reading import read_mask_folders, read_masks
    from tlkit.predictions.multilabel_predictions import MultilabelPredictions
    from tlkit.predictions.number_predictions import NumberPredictions
    from tlkit.predictions.predictions import Predictions
    from tlkit.predictions.reading import read_predictions
    from tlkit.predictions.task_reading import read_multilabel, read_numbers, task_of_file
    from tlkit.predictions.unreadable import Unreadable

__all__ = [
    "DetectionPredictions",
    "Joinable",
    "MaskPredictions",
    "MultilabelPredictions",
    "NumberPredictions",
    "Predictions",
    "Unreadable",
    "read_boxes",
    "read_detection",
    "read_mask_folders",
    "read_masks",
    "read_multilabel",
    "read_numbers",
    "read_predictions",
    "task_of_file",
]

__getattr__ = lazy_names(
    "tlkit.predictions",
    {
        "DetectionPredictions": "tlkit.predictions.detection_predictions",
        "Joinable": "tlkit.predictions.joined_tables",
        "MaskPredictions": "tlkit.predictions.mask_predictions",
        "MultilabelPredictions": "tlkit.predictions.multilabel_predictions",
        "NumberPredictions": "tlkit.predictions.number_predictions",
        "Predictions": "tlkit.predictions.predictions",
        "Unreadable": "tlkit.predictions.unreadable",
        "read_boxes": "tlkit.predictions.box_reading",
        "read_detection": "tlkit.predictions.box_reading",
        "read_mask_folders": "tlkit.predictions.mask_reading",
        "read_masks": "tlkit.predictions.mask_reading",
        "read_multilabel": "tlkit.predictions.task_reading",
        "read_numbers": "tlkit.predictions.task_reading",
        "read_predictions": "tlkit.predictions.reading",
        "task_of_file": "tlkit.predictions.task_reading",
    },
)


def __dir__() -> list[str]:
    return __all__
