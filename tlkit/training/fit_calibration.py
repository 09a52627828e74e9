"""Calibrates a trained model on its validation images."""

from __future__ import annotations

import logging

from tlkit.choices import Calibrate
from tlkit.predictions import Predictions
from tlkit.stats.logit_scaling import FEWEST_IMAGES, LogitScaling, choose_scaling, fit_scaling
from tlkit.uncertainty.calibration_tables import scaling_words

logger = logging.getLogger(__name__)


def fit_run_scaling(val: Predictions, *, method: Calibrate) -> LogitScaling | None:
    """Return the scaling fitted on validation predictions; None with fewer than 20 labelled images.

    Logs what was fitted, and how many predictions of val it changes.

    Args:
        val: predictions of the model without a scaling, for images that did not train it.
        method: temperature, vector or auto.
    """
    known = val.labelled
    assert known.proba is not None and method != "none", "a model's predictions have probabilities"
    if len(known) < FEWEST_IMAGES:
        logger.info("calibration: none, since %d validation images are fewer than %d.", len(known), FEWEST_IMAGES)
        return None
    if method == "auto":
        scaling = choose_scaling(known.proba, known.y_true)
    else:
        scaling = fit_scaling(known.proba, known.y_true, method=method)
    changed = int((scaling.apply(known.proba).argmax(axis=1) != known.proba.argmax(axis=1)).sum())
    if scaling.method == "vector":
        logger.info(
            "Confidence is rescaled to agree with accuracy: %s. It changes %d of %d predicted classes of val; see "
            "tlkit calibration RUN --by COLUMN (recipe key: evaluate.calibrate).",
            scaling_words(scaling),
            changed,
            len(known),
        )
    else:
        logger.info(
            "Confidence is rescaled to agree with accuracy, on %d validation images; no predicted class changes "
            "(recipe key: evaluate.calibrate).",
            len(known),
        )
        logger.debug("calibration: %s", scaling_words(scaling))
    return scaling
