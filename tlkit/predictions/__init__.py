"""`Predictions`: the table of labels, predictions, probabilities and groups that evaluation reads. Never torch."""

from tlkit.predictions.joined_tables import Joinable
from tlkit.predictions.predictions import Predictions
from tlkit.predictions.reading import read_predictions
from tlkit.predictions.unreadable import Unreadable

__all__ = ["Joinable", "Predictions", "Unreadable", "read_predictions"]
