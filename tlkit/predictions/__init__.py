"""`Predictions`: the table of labels, predictions, probabilities and groups that evaluation reads. Never torch."""

from tlkit.predictions.predictions import Predictions
from tlkit.predictions.reading import read_predictions

__all__ = ["Predictions", "read_predictions"]
