"""Slice discovery: a greedy search on one half of the images, and tests on the other half.

The lowest of thousands of rates is low by chance, so a test on the searched images would confirm it. The slices found
are therefore tested on images that had no part in the search, with Holm's correction over the slices tested.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from tlkit.arrays import Floats, Ints, Mask
from tlkit.audit.error_examples import Neighbors, group_images
from tlkit.audit.estimators import SamplingDesign, designed_estimates
from tlkit.audit.groups.intersections import GroupMembership
from tlkit.audit.options import AuditOptions
from tlkit.audit.row_intervals import difference_estimate
from tlkit.audit.slices.shortcuts import find_shortcuts
from tlkit.audit.slices.slice_conditions import Condition, candidate_conditions
from tlkit.audit.slices.slice_report import FoundSlice, SliceReport, Standing
from tlkit.audit.slices.split_half import search_half
from tlkit.errors import PredictionsError
from tlkit.predictions import Predictions
from tlkit.predictions.validation import no_label
from tlkit.stats.corrections import holm
from tlkit.stats.dependent_samples import cluster_test, score_test
from tlkit.stats.estimate import Estimate
from tlkit.stats.hypothesis_tests import fisher_exact
from tlkit.stats.intervals import newcombe, wilson
from tlkit.stats.power import detectable_gap
from tlkit.stats.strata import kitagawa_split

logger = logging.getLogger(__name__)

MOST_SLICES = 5
"""Default of the most slices to test."""
MAX_CONDITIONS: Literal[1, 2] = 2
"""Default of the most conditions of a slice."""
WORTH_TESTING = 1.645
"""A slice is tested if it lies at least so many standard errors below the complement on the searched half."""
WORTH_A_PAIR = 1.0
"""A pair of conditions must lie so many standard errors lower than either alone."""


def search_slices(
    predictions: Predictions,
    *,
    columns: pd.DataFrame,
    units: Ints | None = None,
    content: Sequence[str] = (),
    most: int = MOST_SLICES,
    max_conditions: Literal[1, 2] = MAX_CONDITIONS,
    clusters: int = 0,
    neighbors: Neighbors | None = None,
    options: AuditOptions,
) -> SliceReport:
    """Return groups of images with lower accuracy than their complements, tested on images that were not searched.

    Candidates are conditions on one column (numbers below a threshold or not, or one value) and pairs of conditions.
    The search takes the one farthest below its complement, excludes its images, and repeats: after Chung et al. (2020),
    "Automated data slicing for model validation", IEEE TKDE 32:2284, section 4, but tested on other images.

    Args:
        predictions: images without a label are left out.
        columns: one row per image in the order of the predictions: numbers, or texts; missing = NA.
        units: unit of each image, shape (N,), as `split_units` gives them: images of one unit, such as
            duplicates, stay in one half; None = each image is a unit.
        content: columns derived from image content, such as clusters of features; left out of the shortcut test.
        most: the most slices to test.
        max_conditions: 1 = single conditions only, 2 = pairs as well.
        clusters: number of clusters of features among the columns; recorded in the result.
        neighbors: nearest images by features, to show with a slice's images.
        options: fewest images of a slice in either half (`min_group_size`), levels of intervals and tests, and the seed
            of permutations and resamples. Its columns and design are not used.

    Raises:
        PredictionsError: no image has a label, there is no column, or an argument is out of its range.
    """
    min_images, confidence, seed = options.min_group_size, options.confidence, options.seed
    problems = options.problems(predictions.classes) + _problems(predictions, columns, most, max_conditions)
    if problems:
        raise PredictionsError(*problems)
    labelled = predictions.y_true >= 0
    whole = np.arange(len(predictions)) if units is None else units
    units = np.unique(whole[labelled], return_inverse=True)[1].astype(np.int64)
    known, table = predictions.labelled, columns.loc[labelled].reset_index(drop=True)
    searched = search_half(known.path.tolist(), units)
    data = _SearchData(known, units, searched, options)
    found, tried = search_conditions(
        table[searched], ~known.correct[searched], min_images=min_images, most=most, max_conditions=max_conditions
    )
    logger.info(
        "Slices: %d conditions and pairs tried on %d images; %d to test on the other %d.",
        tried,
        searched.sum(),
        len(found),
        (~searched).sum(),
    )
    sides = list(slice_sides(table, found))
    tested = [_test(data, *side) for side in sides]
    family = holm([p for *_, p in tested])
    tests = max(sum(p is not None for p in family), 1)
    rng = np.random.default_rng(seed)
    slices = [
        _found_slice(data, conditions, side, difference, (p, p_holm), tests=tests, rng=rng, neighbors=neighbors)
        for conditions, side, (difference, p), p_holm in zip(found, sides, tested, family, strict=True)
    ]
    return SliceReport(
        images=len(known),
        searched=int(searched.sum()),
        tested=int((~searched).sum()),
        units=int(units.max()) + 1,
        columns=tuple(map(str, columns.columns)),
        searched_conditions=tried,
        overall=wilson(int(known.correct.sum()), len(known), confidence),
        settings=options,
        clusters=clusters,
        slices=tuple(slices),
        shortcuts=find_shortcuts(known, table.drop(columns=list(content)), units, confidence=confidence, seed=seed),
    )


@dataclass(frozen=True)
class _SearchData:
    """The labelled images, the mask of the searched half, and the options."""

    known: Predictions
    units: Ints
    searched: Mask
    options: AuditOptions


def _problems(predictions: Predictions, columns: pd.DataFrame, most: int, max_conditions: int) -> list[str]:
    problems = [] if most >= 1 else [f"most is {most}. Use a number from 1."]
    if max_conditions not in (1, 2):
        problems.append(f"max_conditions is {max_conditions}. Use 1 for single conditions or 2 for pairs as well.")
    if not len(columns.columns):
        problems.append("There is no column to search for slices.")
    if not (predictions.y_true >= 0).any():
        problems.append(no_label(len(predictions), consequence="there is nothing to search"))
    return problems


def slice_sides(table: pd.DataFrame, found: Sequence[Sequence[Condition]]) -> Iterator[tuple[Mask, Mask]]:
    """Yield the masks of each slice and its complement, without the images of earlier slices."""
    remaining = np.ones(len(table), dtype=bool)
    for conditions in found:
        inside = slice_mask(table, conditions)
        yield inside & remaining, ~inside & remaining
        remaining &= ~inside


def slice_mask(table: pd.DataFrame, conditions: Sequence[Condition]) -> Mask:
    """Return the rows for which all conditions hold, shape (N,)."""
    return np.asarray(np.all([condition.holds(table) for condition in conditions], axis=0))


def search_conditions(
    table: pd.DataFrame, loss: Mask | Floats, *, min_images: int, most: int, max_conditions: int
) -> tuple[list[tuple[Condition, ...]], int]:
    """Return the slices that are farthest worse than their complements, and the number of conditions and pairs tried.

    Args:
        table: columns of the searched images.
        loss: of each image, shape (N,): whether it is wrong, or a number of which less is better.
        min_images: fewest images of a slice and of its complement.
        most: the most slices.
        max_conditions: 1 = single conditions only, 2 = pairs as well.
    """
    conditions, _ = candidate_conditions(table)
    holds = np.array([condition.holds(table) for condition in conditions], dtype=bool).reshape(-1, len(table))
    counts = holds.sum(axis=1)
    kept = (counts >= min_images) & (counts <= len(table) - min_images)
    conditions = [condition for condition, keep in zip(conditions, kept, strict=True) if keep]
    if not conditions or np.ptp(loss.astype(np.float64)) == 0:
        return [], len(conditions)
    inside = holds[kept].astype(np.float32)  # (L, N)
    column = np.unique([condition.column for condition in conditions], return_inverse=True)[1]
    pairs = (column[:, None] < column[None, :]) if max_conditions > 1 else np.zeros((len(inside),) * 2, dtype=bool)
    pairs &= inside @ inside.T >= min_images
    remaining = np.ones(len(table), dtype=bool)  # images of no slice yet
    found: list[tuple[Condition, ...]] = []
    while len(found) < most and remaining.sum() > 2 * min_images:
        sizes, errors = inside * remaining, (inside * (remaining * loss)).astype(np.float32)
        single = _below(errors.sum(axis=1), sizes.sum(axis=1), remaining=remaining, loss=loss, min_images=min_images)
        paired = np.full(pairs.shape, -np.inf)
        if pairs.any():
            pair_z = _below(errors @ inside.T, sizes @ inside.T, remaining=remaining, loss=loss, min_images=min_images)
            gains = pair_z >= np.maximum(np.maximum(single[:, None], single[None, :]), 0.0) + WORTH_A_PAIR
            paired = np.where(pairs & gains, pair_z, -np.inf)
        if max(single.max(), paired.max()) < WORTH_TESTING:
            break
        if single.max() >= paired.max():
            chosen: tuple[int, ...] = (int(single.argmax()),)
        else:
            chosen = tuple(int(place) for place in np.unravel_index(paired.argmax(), paired.shape))
        found.append(tuple(conditions[place] for place in chosen))
        remaining &= ~np.all(inside[list(chosen)] > 0, axis=0)
    return found, len(conditions) + int(pairs.sum())


def _below(
    bad: npt.NDArray[np.float32], n: npt.NDArray[np.float32], *, remaining: Mask, loss: Mask | Floats, min_images: int
) -> Floats:
    """Return by how many standard errors each slice is worse than its complement; -inf where a side is too small."""
    all_n, all_bad = float(remaining.sum()), float(loss[remaining].sum())
    share = all_bad / all_n
    variance = share * (1 - share) if loss.dtype == np.bool_ else float(loss[remaining].var())
    k, size = bad.astype(np.float64), n.astype(np.float64)
    enough = (size >= min_images) & (all_n - size >= min_images)
    with np.errstate(divide="ignore", invalid="ignore"):
        gap = k / size - (all_bad - k) / (all_n - size)
        z = gap / np.sqrt(variance * (1 / size + 1 / (all_n - size)))
    return np.where(enough & np.isfinite(z), z, -np.inf)


def _test(data: _SearchData, inside: Mask, outside: Mask) -> tuple[Estimate | None, float | None]:
    """Return the difference from the complement on the half that was not searched, and its p-value.

    Where several images are of one unit, the larger p-value of Fisher's test and of the one on units counts.
    """
    tested_images, confidence = ~data.searched & (inside | outside), data.options.confidence
    inside, right = inside[tested_images], data.known.correct[tested_images]
    k, n = int(right[inside].sum()), int(inside.sum())
    complement_k, complement_n = int(right.sum()) - k, len(right) - n
    if min(n, complement_n) < data.options.min_group_size:
        return None, None
    p = fisher_exact(k, n, complement_k, complement_n)
    code = np.unique(data.units[tested_images], return_inverse=True)[1]
    if code.max() + 1 == len(code):
        return newcombe(k, n, complement_k, complement_n, confidence), p
    groups = GroupMembership((), ((), ()), (~inside).astype(np.int64))
    every = np.ones(len(right), dtype=np.bool_)
    estimates = designed_estimates(groups, SamplingDesign(unit=code), counts=right, base=every, options=data.options)
    difference = difference_estimate(estimates, 0, confidence=confidence)
    if difference.value is None:
        return None, None
    on_units = cluster_test(difference.value, *estimates.difference_variance(0, None))
    if on_units is None:  # no variance within a side: every unit counts as one image
        on_units = score_test(*(float(side[0]) for side in estimates.sides))
    worse = None if p is None or on_units is None else max(p, on_units)
    return replace(difference, n=n), worse


def _found_slice(
    data: _SearchData,
    conditions: tuple[Condition, ...],
    side: tuple[Mask, Mask],
    difference: Estimate | None,
    p: tuple[float | None, float | None],
    *,
    tests: int,
    rng: np.random.Generator,
    neighbors: Neighbors | None,
) -> FoundSlice:
    """Return a slice with its standing and example images."""
    known, half, confidence = data.known, data.searched, data.options.confidence
    (inside, outside), right = side, known.correct
    searched, tested = (
        wilson(int(right[inside & part].sum()), int((inside & part).sum()), confidence) for part in (half, ~half)
    )
    standing: Standing = "candidate"
    mix, gap = None, None
    if difference is not None:
        below = difference.is_below(0)
        standing = "confirmed" if below and p[1] is not None and p[1] < data.options.alpha else "not confirmed"
        sides = (inside & ~half, outside & ~half)
        classes = len(known.classes)
        counts = [np.bincount(known.y_true[part], minlength=classes) for part in sides]
        rights = [np.bincount(known.y_true[part & right], minlength=classes) for part in sides]
        mix = kitagawa_split(np.array(rights), np.array(counts), rng=rng, confidence=confidence).mix
        complement = int(counts[1].sum())
        gap = detectable_gap(
            complement, int(counts[0].sum()), float(rights[1].sum()) / complement, alpha=data.options.alpha / tests
        )
    name = " and ".join(condition.text for condition in conditions)
    examples = group_images(known, inside, complement=outside, by="slice", group=name, neighbors=neighbors)
    return FoundSlice(
        conditions, searched, tested, difference, mix, *p, standing, gap, examples if examples.wrong else None
    )
