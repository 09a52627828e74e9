"""Calibration, ranking and recall by class of each group, with intervals and without tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tlkit.arrays import Floats, Ints, Mask
from tlkit.audit.estimators import RateEstimates
from tlkit.audit.group_tables import CROSS, MISSING, Group
from tlkit.audit.grouped_predictions import GroupedPredictions
from tlkit.audit.rates import Rate
from tlkit.audit.row_intervals import rate_estimate
from tlkit.stats.calibration import (
    calibration_design_effect,
    calibration_error,
    confidence_losses,
    log_losses,
    null_calibration_error,
    opposite_classes,
)
from tlkit.stats.estimate import Estimate
from tlkit.stats.means import clustered_mean_of_rates, mean_by_outcome, mean_of_rates
from tlkit.stats.ranking import auroc_sorted, clustered_area
from tlkit.stats.selective_risk import aurc
from tlkit.stats.shrinkage import kish_n

MIN_CALIBRATION = 200  # with fewer images a perfect model shows a calibration error of .06 and more
MIN_RANKED = 10  # positives, and negatives, for an AUROC


@dataclass(frozen=True)
class GroupProfile:
    """Calibration, ranking and recall by class of one group.

    Intervals allow for weights and clusters as in the audit's rates; a matched set is a cluster. An estimate from one
    cluster is undefined.

    Attributes:
        group: its values; None = the images with a missing value.
        images: its labelled images.
        macro_recall: mean recall over the classes of the group.
        classes_present: number of those classes.
        macro_recall_common: the same over the classes that every group of the table has, so that groups with different
            classes can be compared; None where there is none.
        recall: recall by class, for the classes present with enough images.
        confidence_gap: mean confidence minus accuracy, in [-1, 1]: above 0 = overconfident; None without
            probabilities.
        calibration: expected calibration error over 10 bins of equal mass, in [0, 1]; None below an effective
            size of 200 images.
        calibration_expected: the mean error of a perfectly calibrated model with these confidences and clusters.
        brier: mean squared difference of confidence and correctness, in [0, 1].
        log_loss: mean of minus the log probability of the true class.
        auroc: by class, the chance that an image of the class gets a higher probability of it than another image;
            for classes with 10 images in the group and 10 others in it.
        auroc_positives: by class, the chance that an image of the class from this group gets a higher probability of it
            than an image of another class from the complement ("BNSP AUC": background negatives, subgroup positives):
            low where the group's images of the class score too low. With 10 images on either side.
        auroc_negatives: by class, the chance that an image of the class from the complement gets a higher probability
            of it than an image of another class from this group ("BPSN AUC"): low where the group's other images score
            too high. AUROCs within groups do not show a shift of all scores of a group.
        aurc: area under the risk-coverage curve: mean error rate of the 1, 2, … most confident images, in [0, 1].
    """

    group: Group | None
    images: int
    macro_recall: Estimate | None
    classes_present: int
    macro_recall_common: Estimate | None
    recall: Mapping[str, Estimate]
    confidence_gap: Estimate | None = None
    calibration: float | None = None
    calibration_expected: float | None = None
    brier: Estimate | None = None
    log_loss: Estimate | None = None
    auroc: Mapping[str, Estimate] | None = None
    auroc_positives: Mapping[str, Estimate] | None = None
    auroc_negatives: Mapping[str, Estimate] | None = None
    aurc: float | None = None

    @property
    def name(self) -> str:
        """The group as text: "dark", "man × dark", "(missing)"."""
        return MISSING if self.group is None else CROSS.join(self.group)


@dataclass(frozen=True)
class ProfileTable:
    """The profiles of the groups of one column, or of one intersection of columns.

    Attributes:
        columns: the columns.
        rows: one for each group with enough images, then the images with a missing value where they are enough.
        common_classes: classes that every group of `rows` has.
    """

    columns: tuple[str, ...]
    rows: tuple[GroupProfile, ...]
    common_classes: int

    @property
    def by(self) -> str:
        """The columns as text."""
        return CROSS.join(self.columns)


def profile_table(grouped: GroupedPredictions) -> ProfileTable:
    """Return the profile of every group with enough images; AUROCs are those of the positive class, or of each."""
    membership, counts, least = grouped.membership, grouped.counts, grouped.options.min_group_size
    groups: list[Group | None] = [*membership.values, None]
    shown = [i for i in range(len(groups)) if counts.n[i] >= least]
    named = [i for i in shown if groups[i] is not None]
    nowhere = np.zeros(counts.truly.shape[1], dtype=np.bool_)
    common: Mask = np.asarray((counts.truly[named] > 0).all(axis=0)) if named else nowhere
    images = {i: np.flatnonzero(membership.inside(None if groups[i] is None else i)) for i in shown}
    profiler = _Profiler(grouped)
    ranked = profiler.ranked(images, is_group=[group is not None for group in groups])
    everything = np.ones(len(common), dtype=np.bool_)
    rows = [
        GroupProfile(
            group=groups[i],
            images=int(counts.n[i]),
            macro_recall=profiler.macro_recall(i, images[i], everything),
            classes_present=int(np.count_nonzero(counts.truly[i])),
            macro_recall_common=profiler.macro_recall(i, images[i], common) if common.any() else None,
            recall={
                name: profiler.recall(i, c)
                for c, name in enumerate(grouped.known.classes)
                if counts.truly[i, c] >= least
            },
            **profiler.of_probabilities(images[i]),
            **ranked[i],
        )
        for i in shown
    ]
    return ProfileTable(membership.columns, tuple(rows), int(common.sum()))


class _Profiler:
    """Computes the estimates of each group; a matched set counts as a cluster.

    Independent images are clusters of one: their estimates come from counts and sorted scores.
    """

    def __init__(self, grouped: GroupedPredictions) -> None:
        self._known, self._counts, self._options = grouped.known, grouped.counts, grouped.options
        self._design, self._units = grouped.design, grouped.units
        self._with_value = np.flatnonzero(~grouped.membership.inside(None))
        self._recalls = [grouped.rates(Rate("recall", name), matched=False) for name in grouped.known.classes]
        self._rising: Ints | None = None
        if grouped.design is not None and grouped.known.proba is not None:  # sorted once for all areas
            self._rising = np.argsort(grouped.known.proba, axis=0, kind="stable")

    def recall(self, i: int, c: int) -> Estimate:
        """Return the recall of class c in row i, which has images of the class."""
        return rate_estimate(self._recalls[c], i, confidence=self._options.confidence)

    def macro_recall(self, i: int, inside: Ints, classes: Mask) -> Estimate:
        """Return the mean recall of row i over the given classes that it has.

        Args:
            i: position of the row.
            inside: positions of its images.
            classes: mask of the classes, shape (C,).
        """
        level = self._options.confidence
        if self._design is None or self._units is None:
            return mean_of_rates(self._counts.rightly[i][classes], self._counts.truly[i][classes], level)
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
            units.summed(place, len(chosen), known.correct[inside][kept]),
            units.summed(place, len(chosen)),
            images=images,
            confidence=level,
        )

    def _weighted_recall(self, recalls: Sequence[RateEstimates], i: int, images: Ints) -> Estimate:
        """Return the mean of weighted recalls, which are independent, by their effective counts (Kish)."""
        k, n = (np.array([getattr(estimates, name)[i] for estimates in recalls]) for name in ("k_eff", "n_eff"))
        found = mean_of_rates(k, n, self._options.confidence)
        note = f"n = {images.sum()}, but no image has a weight" if found.value is None and images.any() else found.note
        return replace(found, n=int(images.sum()), note=note)

    def of_probabilities(self, inside: Ints) -> dict[str, Any]:
        """Return the estimates of a profile that need probabilities; empty without them.

        The calibration error needs an effective size of 200 images, by the design effect in its bins. That effect also
        raises the error that a perfectly calibrated model is expected to show.

        Args:
            inside: positions of the group's images.
        """
        known = self._known
        if known.proba is None:
            return {}
        proba, y_true, y_pred = known.proba[inside], known.y_true[inside], known.y_pred[inside]
        sure, right = proba[np.arange(len(inside)), y_pred], y_true == y_pred
        units = None if self._units is None else self._units.take(inside)
        weighted = self._design is not None and self._design.weights is not None
        weights = units.weight if units is not None and weighted else None
        weighs, effect = True, 1.0
        enough = len(inside) >= MIN_CALIBRATION
        if units is not None:
            weighs = bool(units.weight.any())
            found = calibration_design_effect(sure, right, units) if weighs and enough else None
            enough = found is not None and kish_n(units.weight) / found >= MIN_CALIBRATION
            effect = found or 1.0

        def mean(values: Floats, otherwise: Floats, *, lowest: float = 0.0, highest: float = np.inf) -> Estimate:
            if units is not None and (why := units.why_unknown):
                return Estimate(None, None, None, n=len(inside), note=why)
            level = self._options.confidence
            return mean_by_outcome(values, ~right, otherwise, units, level, lowest=lowest, highest=highest)

        return {
            "confidence_gap": mean(sure - right, sure - ~right, lowest=-1.0, highest=1.0),
            "calibration": calibration_error(sure, right, weights=weights) if enough else None,
            "calibration_expected": null_calibration_error(sure, weights=weights, effect=effect) if enough else None,
            "brier": mean(confidence_losses(sure, right), confidence_losses(sure, ~right), highest=1.0),
            "log_loss": mean(log_losses(proba, y_true), log_losses(proba, opposite_classes(proba, y_true, y_pred))),
            "aurc": aurc(sure, right, weights) if weighs else None,
        }

    def ranked(self, images: Mapping[int, Ints], *, is_group: Sequence[bool]) -> dict[int, dict[str, Any]]:
        """Return the AUROCs within each group and between group and complement; empty without probabilities.

        Borkan, Dixon, Sorensen, Thain & Vasserman (2019), "Nuanced metrics for measuring unintended bias with real data
        for text classification", WWW Companion, section 3: the subgroup AUC, and the AUCs of background positives with
        subgroup negatives (BPSN) and of background negatives with subgroup positives (BNSP). The background is the
        complement: the other images whose value is known.

        Args:
            images: positions of the images of each row.
            is_group: by row, whether its images are among those with a known value.
        """
        if self._known.proba is None:
            return {i: {} for i in images}
        names = ("auroc", "auroc_positives", "auroc_negatives")
        rows: dict[int, dict[str, Any]] = {i: {name: {} for name in names} for i in images}
        for c, name in enumerate(self._known.classes):
            if self._options.positive in (None, name):
                areas = self._areas if self._design is None else self._clustered_areas
                for i, found in areas(images, is_group, c).items():
                    for area, estimate in found.items():
                        rows[i][area][name] = estimate
        return rows

    def _areas(self, images: Mapping[int, Ints], is_group: Sequence[bool], c: int) -> dict[int, dict[str, Estimate]]:
        """Return the areas of class c by row, of independent images: the scores of all are sorted once."""
        assert self._known.proba is not None, "only probabilities rank"
        score, truly, known = self._known.proba[:, c], self._known.y_true == c, self._with_value
        level = self._options.confidence
        all_high, all_low = np.sort(score[known][truly[known]]), np.sort(score[known][~truly[known]])
        found: dict[int, dict[str, Estimate]] = {}
        for i, inside in images.items():
            high, low = np.sort(score[inside][truly[inside]]), np.sort(score[inside][~truly[inside]])
            complement_high, complement_low = (
                len(all_high) - len(high) * is_group[i],
                len(all_low) - len(low) * is_group[i],
            )
            own = found[i] = {}
            if min(len(high), len(low)) >= MIN_RANKED:
                own["auroc"] = auroc_sorted(high, [low], confidence=level)
            if min(len(high), complement_low) >= MIN_RANKED:
                own["auroc_positives"] = auroc_sorted(
                    high, [all_low], without=[low] if is_group[i] else (), confidence=level
                )
            if min(complement_high, len(low)) >= MIN_RANKED:
                own["auroc_negatives"] = auroc_sorted(
                    low, [all_high], without=[high] if is_group[i] else (), high_is_negative=True, confidence=level
                )
        return found

    def _clustered_areas(
        self, images: Mapping[int, Ints], is_group: Sequence[bool], c: int
    ) -> dict[int, dict[str, Estimate]]:
        """Return the areas of class c by row, of images that are weighted or in clusters."""
        assert self._known.proba is not None and self._rising is not None and self._units is not None
        score, rising = self._known.proba[:, c], self._rising[:, c]
        truly, each = self._known.y_true[rising] == c, np.arange(len(self._known))
        known = np.isin(each, self._with_value)
        found: dict[int, dict[str, Estimate]] = {}
        for i, inside in images.items():
            member = np.isin(each, inside)
            (own_high, own_low), (high, low) = (
                (rising[part[rising] & truly], rising[part[rising] & ~truly]) for part in (member, known & ~member)
            )
            compared = {
                "auroc": (own_high, own_low),
                "auroc_positives": (own_high, low),
                "auroc_negatives": (high, own_low),
            }
            found[i] = {
                name: clustered_area(
                    score[one],
                    score[two],
                    high_units=self._units.take(one),
                    low_units=self._units.take(two),
                    confidence=self._options.confidence,
                )
                for name, (one, two) in compared.items()
                if min(len(one), len(two)) >= MIN_RANKED
            }
        return found
