"""The profile of a group whose images are weighted, in clusters or matched: the same figures as of independent ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from tlkit.audit.cells import Cells
from tlkit.audit.sample import Design, Sample, designed
from tlkit.audit.sample_intervals import rate_estimate
from tlkit.predictions import Predictions
from tlkit.stats.calibration import (
    calibration_effect,
    calibration_error,
    confidence_losses,
    log_losses,
    null_calibration_error,
)
from tlkit.stats.estimate import Estimate
from tlkit.stats.groups import kish_n
from tlkit.stats.means import clustered_mean, clustered_mean_of_rates, mean_of_rates
from tlkit.stats.ranking import aurc, clustered_area

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


class DesignedProfiles:
    """What a profile shows of groups whose images hang together; a matched set counts as a cluster.

    Args:
        predictions: labelled images.
        cells: the G groups.
        design: how the images hang together.
        code: pattern of each image, shape (N,), in 0…P, P = a value is missing.
        confidence: two-sided level of the intervals.
    """

    def __init__(
        self, predictions: Predictions, cells: Cells, design: Design, *, code: Ints, confidence: float
    ) -> None:  # fmt: skip
        self._known, self._confidence = predictions, confidence
        self._design, self._units = design, design.units(len(predictions))
        self._recalls = [
            designed(
                cells, replace(design, paired=False), counts=predictions.correct, base=predictions.y_true == c,
                code=code, draws=1, seed=0, confidence=confidence,
            )
            for c in range(len(predictions.classes))
        ]  # fmt: skip
        proba = predictions.proba
        self._rising = None if proba is None else np.argsort(proba, axis=0, kind="stable")  # so no area sorts again

    def recall(self, i: int, c: int) -> Estimate:
        """Return the recall of class c in row i, which has images of it."""
        return rate_estimate(self._recalls[c], i, confidence=self._confidence)

    def macro_recall(self, i: int, inside: Ints, classes: Mask) -> Estimate:
        """Return the mean recall of row i over those classes that it has.

        Args:
            i: position of the row.
            inside: positions of its images.
            classes: which classes take part, shape (C,).
        """
        chosen = np.flatnonzero(classes)
        images = np.array([self._recalls[c].n[i] for c in chosen])
        if self._design.unit is None:
            return self._weighted_recall([self._recalls[c] for c in chosen], i, images)
        known, units = self._known, self._units.take(inside)
        kept = classes[known.y_true[inside]]
        place, units = np.searchsorted(chosen, known.y_true[inside][kept]), units.take(kept)
        if why := units.why_unknown:
            return Estimate(None, None, None, n=int(images.sum()), note=why)
        return clustered_mean_of_rates(
            units.summed(place, len(chosen), known.correct[inside][kept]), units.summed(place, len(chosen)),
            images=images, confidence=self._confidence,
        )  # fmt: skip

    def _weighted_recall(self, recalls: Sequence[Sample], i: int, images: Ints) -> Estimate:
        """Return the mean of weighted recalls, which are independent, by their effective counts (Kish)."""
        k, n = (np.array([getattr(sample, name)[i] for sample in recalls]) for name in ("k_eff", "n_eff"))
        found = mean_of_rates(k, n, self._confidence)
        note = f"n = {images.sum()}, but no image has a weight" if found.value is None and images.any() else found.note
        return replace(found, n=int(images.sum()), note=note)

    def of_probabilities(self, inside: Ints, *, fewest: int) -> dict[str, Any]:
        """Return what needs the probabilities of the group alone; nothing without them.

        The calibration error is shown where the images are worth as much as `fewest` independent ones, by the design
        effect in its bins; that effect also raises what a perfectly calibrated model would show.

        Args:
            inside: positions of the group's images.
            fewest: images that a calibration error needs.
        """
        known, units = self._known, self._units.take(inside)
        if known.proba is None:
            return {}
        proba, y_true, y_pred = known.proba[inside], known.y_true[inside], known.y_pred[inside]
        sure, right = proba[np.arange(len(inside)), y_pred], y_true == y_pred
        weighs = bool(units.weight.any())
        effect = calibration_effect(sure, right, units) if weighs and len(inside) >= fewest else None
        enough = effect is not None and kish_n(units.weight) / effect >= fewest
        weights = None if self._design.weights is None else units.weight

        def mean(values: Floats, *, lowest: float = 0.0, highest: float = np.inf) -> Estimate:
            return clustered_mean(values, units, self._confidence, lowest=lowest, highest=highest)

        return {
            "confidence_gap": mean(sure - right, lowest=-1.0, highest=1.0),
            "calibration": calibration_error(sure, right, weights=weights) if enough else None,
            "calibration_expected": null_calibration_error(sure, weights=weights, effect=effect or 1.0)
            if enough
            else None,
            "brier": mean(confidence_losses(sure, right), highest=1.0),
            "log_loss": mean(log_losses(proba, y_true)),
            "aurc": aurc(sure, right, weights) if weighs else None,
        }

    def areas(self, inside: Mask, rest: Mask, c: int, *, fewest: int) -> Mapping[str, Estimate]:
        """Return the AUROCs of class c within a group and across to the rest, where there are enough images of each.

        Args:
            inside: which images are the group's, shape (N,).
            rest: which are the rest's, shape (N,).
            c: the class.
            fewest: images on either side that an area needs.
        """
        assert self._known.proba is not None, "only probabilities rank"
        assert self._rising is not None, "they are sorted"
        score, rising = self._known.proba[:, c], self._rising[:, c]
        truly = self._known.y_true[rising] == c
        (own_high, own_low), (high, low) = (
            (rising[part[rising] & truly], rising[part[rising] & ~truly]) for part in (inside, rest)
        )
        compared = {
            "auroc": (own_high, own_low), "auroc_positives": (own_high, low), "auroc_negatives": (high, own_low)
        }  # fmt: skip
        return {
            name: clustered_area(
                score[one], score[two], high_units=self._units.take(one), low_units=self._units.take(two),
                confidence=self._confidence,
            )
            for name, (one, two) in compared.items()
            if min(len(one), len(two)) >= fewest
        }  # fmt: skip
