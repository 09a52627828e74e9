"""The neck: one table of predictions, where everything that trains meets everything that judges. Never torch."""

from tlkit.predictions.predictions import Predictions
from tlkit.predictions.reading import read_predictions

__all__ = ["Predictions", "read_predictions"]
