"""The tables of predictions of other tasks than one class for each image, as types."""

from __future__ import annotations

from tlkit.predictions.detection_predictions import DetectionPredictions
from tlkit.predictions.mask_predictions import MaskPredictions
from tlkit.predictions.multilabel_predictions import MultilabelPredictions
from tlkit.predictions.number_predictions import NumberPredictions

RowPredictions = MultilabelPredictions | NumberPredictions
"""One row for each image: several labels, a grade or a number."""
TaskPredictions = RowPredictions | MaskPredictions | DetectionPredictions
"""Of any task but one class for each image."""
