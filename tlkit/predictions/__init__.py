"""Tables of labels, predictions, probabilities and groups, which evaluation and audit read. Never torch."""

from tlkit.predictions.joined_tables import Joinable
from tlkit.predictions.multilabel_predictions import MultilabelPredictions
from tlkit.predictions.number_predictions import NumberPredictions
from tlkit.predictions.predictions import Predictions
from tlkit.predictions.reading import read_predictions
from tlkit.predictions.task_reading import read_multilabel, read_numbers, task_of_file
from tlkit.predictions.unreadable import Unreadable

__all__ = [
    "Joinable",
    "MultilabelPredictions",
    "NumberPredictions",
    "Predictions",
    "Unreadable",
    "read_multilabel",
    "read_numbers",
    "read_predictions",
    "task_of_file",
]
