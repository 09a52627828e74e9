"""Slices nobody declared: found on one half of the images, tested on the other.

A slice that is found and tested on the same images is found again by construction: the lowest of thousands of rates is
low by luck. So the search sees one half alone, and its few finds face the images that had no part in it, with Holm's
correction over as many as were tested.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from tlkit.audit.error_examples import Neighbours, group_images
from tlkit.audit.options import AuditOptions
from tlkit.audit.slices.shortcuts import find_shortcuts
from tlkit.audit.slices.slice_conditions import Condition, candidate_conditions
from tlkit.audit.slices.slice_report import FoundSlice, SliceReport, Standing
from tlkit.audit.slices.split_half import search_half
from tlkit.errors import PredictionsError
from tlkit.predictions import Predictions
from tlkit.stats.corrections import holm
from tlkit.stats.dependent_samples import at_least_t, cluster_moments, cluster_test, effective_size, score_test
from tlkit.stats.estimate import Estimate
from tlkit.stats.hypothesis_tests import fisher_exact
from tlkit.stats.intervals import newcombe, newcombe_bounds, wilson
from tlkit.stats.power import detectable_gap
from tlkit.stats.strata import kitagawa_split

logger = logging.getLogger(__name__)

MOST_SLICES = 5
"""The most slices to test."""
WORTH_TESTING = 1.645
"""A slice is worth a test where it lies so many standard errors below the rest on the half that is searched."""
WORTH_A_PAIR = 1.0
"""Two conditions together must lie so many standard errors lower than either alone: words are cheap, images are not."""

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


def search_slices(
    predictions: Predictions,
    *,
    columns: pd.DataFrame,
    units: Ints | None = None,
    content: Sequence[str] = (),
    most: int = MOST_SLICES,
    max_order: Literal[1, 2] = 2,
    clusters: int = 0,
    neighbors: Neighbours | None = None,
    options: AuditOptions,
) -> SliceReport:
    """Find groups of images that do worse than the rest, and test them on images that had no part in finding them.

    Candidates are conditions on one column (numbers below a cut, or not, or one value) and pairs of conditions.
    The one farthest below the rest is taken, its images are set aside, and so on: after Chung et al. (2020), "Automated
    data slicing for model validation", IEEE TKDE 32:2284, section 4, but tested on images of their own.

    Args:
        predictions: what the model said; images without a label are left out.
        columns: one row an image in the order of the predictions: numbers, or texts; missing = NA.
        units: unit of each image, shape (N,), as `split_units` gives them: those of one unit, such as copies of
            a picture, stay in one half; None = each image is one.
        content: columns that say what the images show, such as clusters of features: no shortcuts.
        most: the most slices to test.
        max_order: 1 = single conditions only, 2 = pairs as well.
        clusters: number of clusters of features among the columns, for the record.
        neighbors: nearest images by features, to show beside a slice's images.
        options: fewest images of a slice in either half (`min_group_size`), levels of intervals and tests, and the seed
            of permutations and resamples. Columns and design are those of the arguments above.

    Raises:
        PredictionsError: no image has a label, there is no column, or an argument is out of its range.
    """
    min_images, confidence, seed = options.min_group_size, options.confidence, options.seed
    problems = options.problems(predictions.classes) + _problems(predictions, columns, most, max_order)
    if problems:
        raise PredictionsError(*problems)
    labelled = predictions.y_true >= 0
    whole = np.arange(len(predictions)) if units is None else units
    units = np.unique(whole[labelled], return_inverse=True)[1].astype(np.int64)
    known, table = predictions.labelled, columns.loc[labelled].reset_index(drop=True)
    half = search_half(known.path.tolist(), units)
    halves = _Halves(known, units, half, options)
    found, tried = _search(table[half], ~known.correct[half], min_images=min_images, most=most, max_order=max_order)
    logger.info(
        "Slices: %d conditions and pairs tried on %d images; %d to test on the other %d.",
        tried,
        half.sum(),
        len(found),
        (~half).sum(),
    )
    sides = list(_sides(table, found))
    tested = [_test(halves, *side) for side in sides]
    family = holm([p for *_, p in tested])
    tests = max(sum(p is not None for p in family), 1)
    rng = np.random.default_rng(seed)
    slices = [
        _judged(halves, conditions, side, difference, (p, p_holm), tests=tests, rng=rng, neighbors=neighbors)
        for conditions, side, (difference, p), p_holm in zip(found, sides, tested, family, strict=True)
    ]
    return SliceReport(
        images=len(known),
        searched=int(half.sum()),
        tested=int((~half).sum()),
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
class _Halves:
    """The labelled images, those that are searched (`half`), and what is asked of a slice."""

    known: Predictions
    units: Ints
    half: Mask
    options: AuditOptions


def _problems(predictions: Predictions, columns: pd.DataFrame, most: int, max_order: int) -> list[str]:
    problems = [] if most >= 1 else [f"most is {most}. Use a number from 1."]
    if max_order not in (1, 2):
        problems.append(f"max_order is {max_order}. Use 1 for single conditions or 2 for pairs as well.")
    if not len(columns.columns):
        problems.append("There is no column to search for slices.")
    if not (predictions.y_true >= 0).any():
        problems.append(f"None of the {len(predictions)} images has a label, so there is nothing to search.")
    return problems


def _sides(table: pd.DataFrame, found: Sequence[Sequence[Condition]]) -> Iterator[tuple[Mask, Mask]]:
    """Yield the images of each slice and those it is compared with; neither has images of a slice before it.

    Else a second slice would be confirmed for what it shares with the first.
    """
    left = np.ones(len(table), dtype=bool)
    for conditions in found:
        inside = slice_mask(table, conditions)
        yield inside & left, ~inside & left
        left &= ~inside


def slice_mask(table: pd.DataFrame, conditions: Sequence[Condition]) -> Mask:
    """Return the rows for which all conditions hold, shape (N,)."""
    return np.asarray(np.all([condition.holds(table) for condition in conditions], axis=0))


def _search(
    table: pd.DataFrame, wrong: Mask, *, min_images: int, most: int, max_order: int
) -> tuple[list[tuple[Condition, ...]], int]:
    """Return the slices that lie farthest below the rest, and how many conditions and pairs were tried."""
    conditions, _ = candidate_conditions(table)
    holds = np.array([condition.holds(table) for condition in conditions], dtype=bool).reshape(-1, len(table))
    sizes = holds.sum(axis=1)
    kept = (sizes >= min_images) & (sizes <= len(table) - min_images)
    conditions = [condition for condition, keep in zip(conditions, kept, strict=True) if keep]
    if not conditions or wrong.all() or not wrong.any():
        return [], len(conditions)
    inside = holds[kept].astype(np.float32)  # (L, N)
    column = np.unique([condition.column for condition in conditions], return_inverse=True)[1]
    pairs = (column[:, None] < column[None, :]) if max_order > 1 else np.zeros((len(inside),) * 2, dtype=bool)
    pairs &= inside @ inside.T >= min_images
    left = np.ones(len(table), dtype=bool)  # images of no slice so far
    found: list[tuple[Condition, ...]] = []
    while len(found) < most and left.sum() > 2 * min_images:
        open_, bad = inside * left, inside * (left & wrong)
        alone = _below(bad.sum(axis=1), open_.sum(axis=1), left=left, wrong=wrong, min_images=min_images)
        together = np.full(pairs.shape, -np.inf)
        if pairs.any():
            both = _below(bad @ inside.T, open_ @ inside.T, left=left, wrong=wrong, min_images=min_images)
            gains = both >= np.maximum(np.maximum(alone[:, None], alone[None, :]), 0.0) + WORTH_A_PAIR
            together = np.where(pairs & gains, both, -np.inf)
        if max(alone.max(), together.max()) < WORTH_TESTING:
            break
        if alone.max() >= together.max():
            chosen: tuple[int, ...] = (int(alone.argmax()),)
        else:
            chosen = tuple(int(place) for place in np.unravel_index(together.argmax(), together.shape))
        found.append(tuple(conditions[place] for place in chosen))
        left &= ~np.all(inside[list(chosen)] > 0, axis=0)
    return found, len(conditions) + int(pairs.sum())


def _below(
    bad: npt.NDArray[np.float32], n: npt.NDArray[np.float32], *, left: Mask, wrong: Mask, min_images: int
) -> Floats:
    """Return by how many standard errors each slice lies below the rest; -inf where either side is too small.

    Only images that no slice has taken so far count, on both sides.
    """
    all_n, all_bad = float(left.sum()), float((left & wrong).sum())
    share = all_bad / all_n
    k, size = bad.astype(np.float64), n.astype(np.float64)
    enough = (size >= min_images) & (all_n - size >= min_images)
    with np.errstate(divide="ignore", invalid="ignore"):
        gap = k / size - (all_bad - k) / (all_n - size)
        z = gap / np.sqrt(share * (1 - share) * (1 / size + 1 / (all_n - size)))
    return np.where(enough & np.isfinite(z), z, -np.inf)


def _test(halves: _Halves, inside: Mask, outside: Mask) -> tuple[Estimate | None, float | None]:
    """Return the difference from the rest on the half that was not searched, and its p-value.

    Independent images: Newcombe's interval and Fisher's test. Where several images are of one unit, the interval rests
    on the effective size, and the larger p-value of Fisher's test and of the one on units counts.
    """
    asked, confidence = ~halves.half & (inside | outside), halves.options.confidence
    inside, right = inside[asked], halves.known.correct[asked]
    k, n = int(right[inside].sum()), int(inside.sum())
    rest_k, rest_n = int(right.sum()) - k, len(right) - n
    if min(n, rest_n) < halves.options.min_group_size:
        return None, None
    p = fisher_exact(k, n, rest_k, rest_n)
    code = np.unique(halves.units[asked], return_inverse=True)[1]
    if code.max() + 1 == len(code):
        return newcombe(k, n, rest_k, rest_n, confidence), p
    sides = np.stack([inside, ~inside], axis=1).astype(np.float64)
    sums = np.zeros((2, int(code.max()) + 1, 2))
    np.add.at(sums[0], code, sides * right[:, None])
    np.add.at(sums[1], code, sides)
    moments = cluster_moments(sums[0], sums[1])
    variance = np.diag(moments.covariance)
    size = effective_size(
        moments.rate,
        variance,
        images=np.array([n, rest_n]),
        clusters=moments.clusters,
        df=moments.df,
        confidence=confidence,
    )
    scale = float(np.sqrt(variance[0] * variance[1]))
    low, high = newcombe_bounds(
        moments.rate[0] * size[0],
        size[0],
        moments.rate[1] * size[1],
        size[1],
        correlation=float(moments.covariance[0, 1]) / scale if scale > 0 else 0.0,
        confidence=confidence,
    )
    difference = float(moments.rate[0] - moments.rate[1])
    spread, df = moments.variance_of_difference(0, 1), float(moments.df.min())
    on_units = cluster_test(difference, spread, df)
    if on_units is None:  # nothing varies within a side: every unit then counts as one image
        on_units = score_test(moments.rate[0] * size[0], size[0], moments.rate[1] * size[1], size[1])
    worse = None if p is None or on_units is None else max(p, on_units)
    ends = at_least_t(float(low), float(high), difference=difference, variance=spread, df=df, confidence=confidence)
    return Estimate(difference, *ends, n=n), worse


def _judged(
    halves: _Halves,
    conditions: tuple[Condition, ...],
    side: tuple[Mask, Mask],
    difference: Estimate | None,
    p: tuple[float | None, float | None],
    *,
    tests: int,
    rng: np.random.Generator,
    neighbors: Neighbours | None,
) -> FoundSlice:
    """Return a slice with its standing and what is behind it."""
    known, half, confidence = halves.known, halves.half, halves.options.confidence
    (inside, outside), right = side, known.correct
    searched, tested = (
        wilson(int(right[inside & part].sum()), int((inside & part).sum()), confidence) for part in (half, ~half)
    )
    standing: Standing = "candidate"
    mix, gap = None, None
    if difference is not None:
        below = difference.high is not None and difference.high < 0
        standing = "confirmed" if below and p[1] is not None and p[1] < halves.options.alpha else "not confirmed"
        sides = (inside & ~half, outside & ~half)
        classes = len(known.classes)
        counts = [np.bincount(known.y_true[part], minlength=classes) for part in sides]
        rights = [np.bincount(known.y_true[part & right], minlength=classes) for part in sides]
        mix = kitagawa_split(np.array(rights), np.array(counts), rng=rng, confidence=confidence).mix
        rest = int(counts[1].sum())
        gap = detectable_gap(
            rest, int(counts[0].sum()), float(rights[1].sum()) / rest, alpha=halves.options.alpha / tests
        )
    name = " and ".join(condition.words for condition in conditions)
    evidence = group_images(known, inside, rest=outside, by="slice", group=name, neighbors=neighbors)
    return FoundSlice(
        conditions, searched, tested, difference, mix, *p, standing, gap, evidence if evidence.wrong else None
    )
