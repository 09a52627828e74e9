"""How sure a model is: calibration, abstention and conformal prediction sets, overall and by group; no torch."""

from tlkit.uncertainty.abstention import assess_abstention
from tlkit.uncertainty.assess_calibration import assess_calibration
from tlkit.uncertainty.assess_sets import assess_sets

__all__ = ["assess_abstention", "assess_calibration", "assess_sets"]
