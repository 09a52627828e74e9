"""What else to know of a group beside its rates: calibration, ranking and recall by class, with intervals, untested."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tlkit.audit.cells import Cells
from tlkit.audit.profile_designed import DesignedProfiles
from tlkit.audit.rates import GroupCounts
from tlkit.audit.sample import Design
from tlkit.audit.tables import CROSS, MISSING, Group
from tlkit.predictions import Predictions
from tlkit.stats.calibration import calibration_error, confidence_losses, log_losses, null_calibration_error
from tlkit.stats.estimate import Estimate
from tlkit.stats.intervals import wilson
from tlkit.stats.means import mean_estimate, mean_of_rates
from tlkit.stats.ranking import area_above, aurc

MIN_CALIBRATION = 200  # with fewer images a perfect model shows a calibration error of .06 and more
MIN_RANKED = 10  # positives, and negatives, for an AUROC

_BY_CLASS = ("recall", "auroc", "auroc_positives", "auroc_negatives")
_ESTIMATES = ("macro_recall", "macro_recall_common", "confidence_gap", "brier", "log_loss")

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class GroupProfile:
    """One group beyond the rates that are compared.

    Weights and clusters count as in the rates; a matched set is a cluster here. An estimate whose images are all of one
    cluster is undefined.

    Attributes:
        group: its values; None = the images with a missing value.
        images: its labelled images.
        macro_recall: mean recall over the classes that are present in the group.
        classes_present: how many classes that are.
        macro_recall_common: the same over the classes that every group of the table has, so that groups with different
            classes can be compared; None where that is no class.
        recall: recall by class, for the classes present with enough images.
        confidence_gap: mean confidence minus accuracy, in [-1, 1]: above 0 = surer than right; None without
            probabilities.
        calibration: expected calibration error over 10 bins of equal mass, in [0, 1]; None below 200 images, or what
            is worth as many in clusters or with weights.
        calibration_expected: the mean error of a perfectly calibrated model with these confidences and clusters.
        brier: mean squared distance of the confidence and being right, in [0, 1].
        log_loss: mean of minus the log probability of the true class.
        auroc: by class, the chance that an image of the class gets a higher probability of it than another image;
            for classes with 10 images in the group and 10 others in it.
        auroc_positives: by class, the chance that an image of the class from this group gets a higher probability of it
            than an image of another class from the rest ("BNSP AUC": background negatives, subgroup positives): low
            where the group's images of the class are overlooked. With 10 images on either side.
        auroc_negatives: by class, the chance that an image of the class from the rest gets a higher probability of it
            than an image of another class from this group ("BPSN AUC"): low where the group's other images are taken
            for the class. AUROCs within groups cannot show it where the scores of a whole group are shifted.
        aurc: mean share of errors among the surest 1, 2, … images, in [0, 1].
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


def profile_table(
    predictions: Predictions,
    cells: Cells,
    counts: GroupCounts,
    *,
    code: Ints,
    positive: str | None,
    min_group_size: int,
    confidence: float,
    design: Design | None = None,
) -> ProfileTable:
    """Describe every group that has enough images.

    Args:
        predictions: labelled images.
        cells: the G groups.
        counts: of the groups, then of the images with a missing value.
        code: pattern of each image, shape (N,), in 0…P, P = a value is missing.
        positive: the class whose AUROC is wanted; None = every class.
        min_group_size: images that a group needs, and a class for its recall.
        confidence: two-sided level of the intervals.
        design: how the images hang together; None = independent and alike.
    """
    groups: list[Group | None] = [*cells.values, None]
    shown = [i for i in range(len(groups)) if counts.n[i] >= min_group_size]
    named = [i for i in shown if groups[i] is not None]
    nowhere = np.zeros(counts.truly.shape[1], dtype=np.bool_)
    common: Mask = np.asarray((counts.truly[named] > 0).all(axis=0)) if named else nowhere
    images = [_images(cells, code, i, is_group=groups[i] is not None) for i in shown]
    profiler = (
        None if design is None else DesignedProfiles(predictions, cells, design, code=code, confidence=confidence)
    )
    ranked = _ranked(
        predictions, images, known=np.flatnonzero(code < cells.patterns),
        is_group=[groups[i] is not None for i in shown], positive=positive, confidence=confidence, profiler=profiler,
    )  # fmt: skip
    everything = np.ones(len(common), dtype=np.bool_)
    rows = []
    for place, i in enumerate(shown):
        truly, rightly, inside = counts.truly[i], counts.rightly[i], images[place]

        def macro(classes: Mask, i: int = i, inside: Ints = inside) -> Estimate:
            if profiler is not None:
                return profiler.macro_recall(i, inside, classes)
            return mean_of_rates(counts.rightly[i][classes], counts.truly[i][classes], confidence)

        rows.append(
            GroupProfile(
                group=groups[i],
                images=int(counts.n[i]),
                macro_recall=macro(everything),
                classes_present=int(np.count_nonzero(truly)),
                macro_recall_common=macro(common) if common.any() else None,
                recall={
                    name: wilson(int(rightly[c]), int(truly[c]), confidence)
                    if profiler is None
                    else profiler.recall(i, c)
                    for c, name in enumerate(predictions.classes)
                    if truly[c] >= min_group_size
                },
                **(
                    _of_probabilities(predictions, inside, confidence)
                    if profiler is None
                    else profiler.of_probabilities(inside, fewest=MIN_CALIBRATION)
                ),
                **ranked[place],
            )
        )
    return ProfileTable(cells.columns, tuple(rows), int(common.sum()))


def _images(cells: Cells, code: Ints, i: int, *, is_group: bool) -> Ints:
    """Return the positions of the images of group i, or of those with a missing value."""
    if not is_group:
        return np.flatnonzero(code == cells.patterns)
    if cells.member is None:
        return np.flatnonzero(code == i)
    return np.flatnonzero(np.append(cells.member[:, i], False)[code])


def _of_probabilities(predictions: Predictions, inside: Ints, confidence: float) -> dict[str, Any]:
    """Return the part of a profile that needs the probabilities of the group alone; nothing without them."""
    if predictions.proba is None:
        return {}
    proba, y_true, y_pred = predictions.proba[inside], predictions.y_true[inside], predictions.y_pred[inside]
    sure, right = proba[np.arange(len(inside)), y_pred], y_true == y_pred
    enough = len(inside) >= MIN_CALIBRATION
    return {
        "confidence_gap": mean_estimate(sure - right, confidence, lowest=-1.0, highest=1.0),
        "calibration": calibration_error(sure, right) if enough else None,
        "calibration_expected": null_calibration_error(sure) if enough else None,
        "brier": mean_estimate(confidence_losses(sure, right), confidence, highest=1.0),
        "log_loss": mean_estimate(log_losses(proba, y_true), confidence),
        "aurc": aurc(sure, right),
    }


def _ranked(
    predictions: Predictions,
    images: Sequence[Ints],
    *,
    known: Ints,
    is_group: Sequence[bool],
    positive: str | None,
    confidence: float,
    profiler: DesignedProfiles | None,
) -> list[dict[str, Any]]:
    """Return the AUROCs of each group within itself and across to the rest, by class; nothing without probabilities.

    Borkan, Dixon, Sorensen, Thain & Vasserman (2019), "Nuanced metrics for measuring unintended bias with real data for
    text classification", WWW Companion, section 3: the subgroup AUC, and the AUCs of background positives with subgroup
    negatives (BPSN) and of background negatives with subgroup positives (BNSP). The background is the rest here: the
    other images whose value is known.

    Args:
        predictions: labelled images.
        images: positions of each row's images.
        known: positions of the images whose value is known.
        is_group: whether a row's images are among the known ones, and not those with a missing value.
        positive: the class that is wanted; None = every class.
        confidence: two-sided level of the intervals.
        profiler: how the images hang together; None = independent and alike.
    """
    if predictions.proba is None:
        return [{} for _ in images]
    names = ("auroc", "auroc_positives", "auroc_negatives")
    rows: list[dict[str, Any]] = [{name: {} for name in names} for _ in images]
    each = np.arange(len(predictions))
    members = [] if profiler is None else [np.isin(each, inside) for inside in (known, *images)]
    for c, name in enumerate(predictions.classes):
        if positive not in (None, name):
            continue
        if profiler is not None:
            for row, member in zip(rows, members[1:], strict=True):
                for area, found in profiler.areas(member, members[0] & ~member, c, fewest=MIN_RANKED).items():
                    row[area][name] = found
            continue
        score, truly = predictions.proba[:, c], predictions.y_true == c
        all_high, all_low = np.sort(score[known][truly[known]]), np.sort(score[known][~truly[known]])
        for row, inside, its_own in zip(rows, images, is_group, strict=True):
            high, low = np.sort(score[inside][truly[inside]]), np.sort(score[inside][~truly[inside]])
            rest_high = len(all_high) - len(high) * its_own
            rest_low = len(all_low) - len(low) * its_own
            if min(len(high), len(low)) >= MIN_RANKED:
                row["auroc"][name] = area_above(high, [low], confidence=confidence)
            if min(len(high), rest_low) >= MIN_RANKED:
                row["auroc_positives"][name] = area_above(
                    high, [all_low], without=[low] if its_own else (), confidence=confidence
                )
            if min(rest_high, len(low)) >= MIN_RANKED:
                row["auroc_negatives"][name] = area_above(
                    low, [all_high], without=[high] if its_own else (), turned=True, confidence=confidence
                )
    return rows


def profiles_from_dict(values: Mapping[str, Any]) -> ProfileTable:
    """Return a table of profiles from the plain JSON values of its fields."""
    rows = tuple(_row(row) for row in values["rows"])
    return ProfileTable(tuple(values["columns"]), rows, values["common_classes"])


def _row(values: Mapping[str, Any]) -> GroupProfile:
    read = dict(values)
    read["group"] = None if values["group"] is None else tuple(values["group"])
    for name in _ESTIMATES:
        read[name] = None if values[name] is None else Estimate.from_dict(values[name])
    for name in _BY_CLASS:
        by_class = values.get(name)
        read[name] = None if by_class is None else {key: Estimate.from_dict(one) for key, one in by_class.items()}
    return GroupProfile(**read)
