"""Slice discovery for labels, grades, numbers, masks: groups of images with larger errors, tested on others."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from tlkit.arrays import Floats, Ints, Mask
from tlkit.audit.estimators import SamplingDesign
from tlkit.audit.groups.intersections import GroupMembership
from tlkit.audit.mean_estimates import MeanEstimates, mean_estimates
from tlkit.audit.options import AuditOptions
from tlkit.audit.slices.slice_conditions import Condition
from tlkit.audit.slices.slice_report import FoundSlice, Standing
from tlkit.audit.slices.slice_search import MAX_CONDITIONS, MOST_SLICES, search_conditions, slice_sides
from tlkit.audit.slices.split_half import search_half
from tlkit.audit.slices.task_slice_tables import task_slice_tables
from tlkit.choices import Task
from tlkit.errors import PredictionsError, refuse_newer
from tlkit.plain_values import from_plain, to_plain
from tlkit.predictions import DetectionPredictions, MaskPredictions, MultilabelPredictions, NumberPredictions
from tlkit.predictions.common_task_images import known_images
from tlkit.predictions.task_predictions import TaskPredictions
from tlkit.stats.box_measures import MatchedBoxes, objects_of_images
from tlkit.stats.corrections import holm
from tlkit.stats.estimate import Estimate
from tlkit.tables import Table, to_html

logger = logging.getLogger(__name__)

FORMAT_VERSION = 1


@dataclass(frozen=True)
class TaskSliceReport:
    """Slices with larger errors found on one half of the images and tested on the other.

    Attributes:
        task: multilabel, ordinal, regression, segmentation or detection.
        figure: what is compared: the share of wrong labels of an image, its absolute error, its loss of IoU, or the
            share of its objects that are missed.
        images: images of known truth.
        searched: images of the half that was searched.
        tested: images of the half that was tested on.
        units: number of units: duplicates and images of one cluster are one unit.
        columns: columns that were searched.
        searched_conditions: number of conditions and pairs of conditions that were tried.
        overall: the mean over all images.
        settings: the options that it was made with.
        clusters: number of clusters of features that were searched; 0 = none.
        slices: the slices in the order in which they were found; `mix` and `images` are None.
    """

    task: Task
    figure: str
    images: int
    searched: int
    tested: int
    units: int
    columns: tuple[str, ...]
    searched_conditions: int
    overall: Estimate
    settings: AuditOptions
    clusters: int
    slices: tuple[FoundSlice, ...]

    @property
    def confirmed(self) -> tuple[FoundSlice, ...]:
        """The slices whose errors are significantly larger on the half that was not searched."""
        return tuple(one for one in self.slices if one.standing == "confirmed")

    def tables(self) -> tuple[Table, ...]:
        """Return the table of the slices."""
        return task_slice_tables(self)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values; `from_dict` reads them back."""
        return {"version": FORMAT_VERSION, **to_plain(self)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> TaskSliceReport:
        """Read what `to_dict` wrote.

        Raises:
            TlkitError: it was written by a newer tlkit.
        """
        refuse_newer("These slices were", values["version"], known=FORMAT_VERSION)
        return from_plain(cls, values)

    def __repr__(self) -> str:
        confirmed = f"slices confirmed: {len(self.confirmed)} of {len(self.slices)}"
        return f"TaskSliceReport({self.figure}, {self.images} images, {confirmed})"

    def _repr_html_(self) -> str:
        return to_html(self.tables())


def image_losses(known: TaskPredictions) -> tuple[str, Floats]:
    """Return what is compared between images, and its value for each, shape (N,); less is better.

    Of several labels it is the share of an image's known labels that are wrong, of grades and numbers the absolute
    error, of masks 1 − the mean IoU of the classes that the masks of an image show, of boxes the share of its objects
    that are missed.
    """
    if isinstance(known, DetectionPredictions):
        found, every = objects_of_images(MatchedBoxes.of(known))
        return "share of missed objects", 1.0 - found / every
    if isinstance(known, MaskPredictions):
        return "loss of IoU", 1.0 - np.nanmean(known.image_iou, axis=1)
    if isinstance(known, MultilabelPredictions):
        wrong = ((known.y_true == 1) != known.y_pred) & known.known
        return "share of wrong labels", wrong.sum(axis=1) / known.known.sum(axis=1)
    return "absolute error", np.abs(known.errors)


def comparable_images(table: TaskPredictions) -> Mask:
    """Return the images that have a loss, shape (N,): those of known truth, and of boxes those with an object."""
    if isinstance(table, DetectionPredictions):
        return np.asarray(np.bincount(table.truth.image[~table.truth.crowd], minlength=len(table)) > 0)
    return known_images(table)


def search_task_slices(
    predictions: TaskPredictions,
    *,
    columns: pd.DataFrame,
    units: Ints | None = None,
    most: int = MOST_SLICES,
    max_conditions: Literal[1, 2] = MAX_CONDITIONS,
    clusters: int = 0,
    options: AuditOptions,
) -> TaskSliceReport:
    """Return groups of images with larger errors than their complements, tested on images that were not searched.

    The search is that of `search_slices`, on the error of each image (`image_losses`); the test is Student's t on the
    images, or on the units where several images are of one, with Holm's correction over the slices tested.

    Args:
        predictions: images of unknown truth are left out, and of boxes images without an object.
        columns: one row per image in the order of the predictions: numbers, or texts; missing = NA.
        units: unit of each image, shape (N,), as `split_units` gives them; None = each image is a unit.
        most: the most slices to test.
        max_conditions: 1 = single conditions only, 2 = pairs as well.
        clusters: number of clusters of features among the columns; recorded in the result.
        options: fewest images of a slice in either half (`min_group_size`), levels of intervals and tests.

    Raises:
        PredictionsError: no truth is known, there is no column, or an argument is out of its range.
    """
    labelled = comparable_images(predictions)
    problems = options.problems(() if options.positive is None else (options.positive,))
    problems += [] if most >= 1 else [f"most is {most}. Use a number from 1."]
    problems += [] if max_conditions in (1, 2) else [f"max_conditions is {max_conditions}. Use 1 or 2."]
    if not len(columns.columns):
        problems.append("There is no column to search for slices.")
    if not labelled.any():
        what = "a true box that is not a crowd" if predictions.task == "detection" else "a known truth"
        problems.append(f"None of the {len(predictions)} images has {what}, so there is nothing to search.")
    if problems:
        raise PredictionsError(*problems)
    if predictions.task == "detection" and not labelled.all():
        logger.info("Slices: %d images without an object are left out.", (~labelled).sum())
    known, table = predictions.take(labelled), columns.loc[labelled].reset_index(drop=True)
    whole = np.arange(len(predictions)) if units is None else units
    unit = np.unique(whole[labelled], return_inverse=True)[1].astype(np.int64)
    figure, losses = image_losses(known)
    searched = search_half(known.path.tolist(), unit)
    found, tried = search_conditions(
        table[searched], losses[searched], min_images=options.min_group_size, most=most, max_conditions=max_conditions
    )
    logger.info("Slices: %d conditions and pairs tried; %d to test on %d images.", tried, len(found), (~searched).sum())
    data = _Data(losses, unit, searched, options, of_shares=not isinstance(known, NumberPredictions))
    rows = [data.test(conditions, *side) for conditions, side in zip(found, slice_sides(table, found), strict=True)]
    adjusted = holm([row.p for row in rows])
    tests = max(sum(p is not None for p in adjusted), 1)
    everyone = data.means(np.ones(len(known), dtype=np.bool_), np.zeros(len(known), dtype=np.int64), 1)
    return TaskSliceReport(
        task=known.task,
        figure=figure,
        images=len(known),
        searched=int(searched.sum()),
        tested=int((~searched).sum()),
        units=int(unit.max()) + 1,
        columns=tuple(map(str, columns.columns)),
        searched_conditions=tried,
        overall=everyone.estimate(0, options.confidence, least=1),
        settings=options,
        clusters=clusters,
        slices=tuple(data.judged(row, p, tests) for row, p in zip(rows, adjusted, strict=True)),
    )


@dataclass(frozen=True)
class _Tested:
    """A slice before Holm's correction."""

    conditions: tuple[Condition, ...]
    searched: Estimate
    tested: Estimate
    difference: Estimate | None
    p: float | None
    estimates: MeanEstimates | None


@dataclass(frozen=True)
class _Data:
    losses: Floats
    units: Ints
    searched: Mask
    options: AuditOptions
    of_shares: bool

    def means(self, rows: Mask, group: Ints, groups: int) -> MeanEstimates:
        """Return the means of groups of some images; units with several images are clusters."""
        unit = np.unique(self.units[rows], return_inverse=True)[1].astype(np.int64)
        design = None if unit.max(initial=-1) + 1 == len(unit) else SamplingDesign(unit=unit)
        membership = GroupMembership((), ((),) * groups, group[rows])
        return mean_estimates(
            membership,
            design,
            numerator=self.losses[rows],
            denominator=np.ones(int(rows.sum())),
            tolerance=0.0,
            of_losses=True,
            of_shares=self.of_shares,
        )

    def test(self, conditions: tuple[Condition, ...], inside: Mask, outside: Mask) -> _Tested:
        """Return the means of a slice on both halves, and its test on the half that was not searched."""
        group, confidence, least = (~inside).astype(np.int64), self.options.confidence, self.options.min_group_size
        halves = [(inside | outside) & half for half in (self.searched, ~self.searched)]
        first, second = (self.means(rows, group, 2) for rows in halves)
        searched, tested = (one.estimate(0, confidence, least=1) for one in (first, second))
        enough = min(int(second.n[0]), int(second.n[1])) >= least
        if not enough or second.moments.clusters[:2].min() < 2:
            return _Tested(conditions, searched, tested, None, None, None)
        return _Tested(conditions, searched, tested, second.difference(0, confidence), second.p(0), second)

    def judged(self, row: _Tested, p_holm: float | None, tests: int) -> FoundSlice:
        """Return a slice with its standing: confirmed where its errors are larger, by interval and test."""
        standing: Standing = "candidate"
        gap = None
        if row.difference is not None and row.estimates is not None:
            shown = row.difference.is_above(0) and p_holm is not None and p_holm < self.options.alpha
            standing = "confirmed" if shown else "not confirmed"
            gap = row.estimates.detectable(0, self.options.alpha / tests)
        return FoundSlice(
            row.conditions, row.searched, row.tested, row.difference, None, row.p, p_holm, standing, gap, None
        )
