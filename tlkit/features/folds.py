"""Stratified, grouped cross-validation folds that do not depend on the order of the images or on the machine."""

from __future__ import annotations

import hashlib
import logging
from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from tlkit.arrays import Ints
from tlkit.choices import FOLDS, REPEATS, SEED
from tlkit.errors import DataError, first_few
from tlkit.stats.connected_components import connected_components
from tlkit.stats.estimate import Estimate

logger = logging.getLogger(__name__)

MOST_ALIKE = 0.1
"""Near duplicates and bursts that join a larger share of the images into one unit do not bind folds."""


@dataclass(frozen=True, eq=False)
class Folds:
    """The fold of each image, in one or several repeats.

    Attributes:
        assignments: shape (R, N), in 0…K-1: the fold of each image in each of R repeats.
        count: K.
        rare_classes: codes of the classes with fewer units (images; duplicates and groups count once) than folds. Such
            a class is missing from the test part of some folds; one with a single unit is missing from the training
            part of the fold that tests it, and has probability 0 there.
    """

    assignments: Ints
    count: int
    rare_classes: tuple[int, ...]

    def __post_init__(self) -> None:
        self.assignments.setflags(write=False)


def bound_images(
    keys: Sequence[str],
    *,
    groups: Sequence[Hashable | None] | None = None,
    digests: Sequence[str] | None = None,
    alike: pd.DataFrame | None = None,
) -> list[int]:
    """Return which images must share a fold, as `groups` of `assign_folds`: a number per image.

    Images of one group, copies of a picture, near duplicates and bursts are bound to each other, also through others.
    Where near duplicates and bursts join more than a tenth of the images into one unit, as in a dataset of frames of
    one scene, they do not bind any, and the log says so.

    Args:
        keys: paths of the images, N different texts.
        groups: what must stay in one fold, such as a patient or a burst, one per image; None and "" = no group.
        digests: sha256 of each file; "" = unknown.
        alike: pairs of paths that are alike, with the columns `path`, `other` and `is_copy`; those of other images do
            not count.
    """
    n, row = len(keys), {key: place for place, key in enumerate(keys)}
    ties = [labels for labels in (groups, digests) if labels is not None]
    near: list[tuple[int, int]] = []
    copies: list[tuple[int, int]] = []
    if alike is not None:
        for one, other, is_copy in zip(alike["path"], alike["other"], alike["is_copy"], strict=True):
            if one in row and other in row:
                (copies if is_copy else near).append((row[one], row[other]))
    joined = [*copies, *(unit for unit in _units(n, ties) if len(unit) > 1)]
    bound = connected_components(n, joined)
    if not near:
        return [int(unit) for unit in bound]
    with_near = connected_components(n, [*copies, *near])
    largest = int(np.bincount(with_near)[with_near[[one for one, _ in near]]].max())
    if largest > MOST_ALIKE * n:
        logger.warning(
            "Near duplicates and bursts join %d of %d images into one chain, more than a tenth: they do not bind "
            "images to one fold, so out-of-fold figures may be too high. State data.group_by for images of one scene "
            "or burst.",
            largest,
            n,
        )
        return [int(unit) for unit in bound]
    return [int(unit) for unit in connected_components(n, [*joined, *near])]


def assign_folds(
    keys: Sequence[str],
    y: npt.ArrayLike,
    *,
    folds: int = FOLDS,
    repeats: int = REPEATS,
    seed: int = SEED,
    groups: Sequence[Hashable | None] | None = None,
    digests: Sequence[str] | None = None,
) -> Folds:
    """Return stratified folds that keep groups and duplicate files together.

    Images are ranked by sha256("{seed}:{repeat}:{key}"), so the folds depend on nothing but seed, keys, labels and
    groups: not on the order of the images, the machine or a library's version (scikit-learn's StratifiedGroupKFold
    depends on the order). Images of one group, and copies of one file, always share a fold. Units of several images are
    assigned first, the largest first, each to the fold where its classes are rarest; then single images, by class.

    Args:
        keys: identifiers of the images, such as paths; N different texts.
        y: codes of the classes, shape (N,).
        folds: K, at least 2.
        repeats: how many independent assignments.
        seed: of the hash.
        groups: what must stay in one fold, such as a patient or a film, one per image; None and "" = no group.
        digests: sha256 of each file; "" = unknown.

    Raises:
        DataError: there are fewer units than folds, or fewer than two folds or one repeat.
    """
    codes = np.asarray(y, dtype=np.int64)
    assert len(keys) == len(codes), "one key per label"
    if folds < 2 or repeats < 1:
        raise DataError(f"Cross-validation needs 2 folds and 1 repeat or more. Got {folds} and {repeats} instead.")
    units = _units(len(codes), [labels for labels in (groups, digests) if labels is not None])
    if len(units) < folds:
        what = "groups (and images without one)" if groups is not None else "different images"
        raise DataError(f"{len(units)} {what} cannot be split into {folds} folds. Use at most {len(units)} folds.")
    per_class: dict[int, int] = defaultdict(int)
    for unit in units:
        for code in np.unique(codes[unit]):
            per_class[int(code)] += 1
    rare = tuple(sorted(code for code, count in per_class.items() if count < folds))
    assigned = [_assign_units(units, codes, _ranks(keys, seed=seed, repeat=repeat), folds) for repeat in range(repeats)]
    return Folds(np.stack(assigned), folds, rare)


def max_folds(n: int, *, groups: Sequence[Hashable | None] | None = None, digests: Sequence[str] | None = None) -> int:
    """Return the largest number of folds for n images: groups and copies of a file count once."""
    return len(_units(n, [labels for labels in (groups, digests) if labels is not None]))


def warn_rare_classes(folds: Folds, classes: Sequence[str]) -> None:
    """Warn of classes that have fewer units than folds."""
    if folds.rare_classes:
        names = [classes[code] for code in folds.rare_classes]
        logger.warning(
            "Classes with fewer images or groups than the %d folds (%d): %s. Some folds do not test them; one with a "
            "single image has probability 0 where it is tested.",
            folds.count,
            len(names),
            first_few(names),
        )


def optimism_note(out_of_fold: Estimate, measured: Estimate | None) -> str:
    """Return a warning where out-of-fold accuracy lies above the measured accuracy, by their intervals; else ""."""
    if measured is None or out_of_fold.value is None or measured.value is None:
        return ""
    assert out_of_fold.low is not None and measured.high is not None, "an estimate with a value has an interval"
    if out_of_fold.low <= measured.high:
        return ""
    return (
        f"Out-of-fold accuracy, {out_of_fold.format()}, lies far above the accuracy measured on held-out images, "
        f"{measured.format()}: images in different folds probably show the same scene or object. State data.group_by; "
        "until then expect the measured accuracy."
    )


def hash_rows(x: npt.NDArray[np.floating]) -> list[str]:
    """Return the sha256 (hex) of each row of features (N, D), a key for images without a path."""
    return [hashlib.sha256(row.tobytes()).hexdigest() for row in np.ascontiguousarray(x)]


def _ranks(keys: Sequence[str], *, seed: int, repeat: int) -> list[str]:
    return [hashlib.sha256(f"{seed}:{repeat}:{key}".encode()).hexdigest() for key in keys]


def _units(n: int, ties: Sequence[Sequence[Hashable | None]]) -> list[list[int]]:
    """Return the sets of rows that must share a fold: those with an equal label in any of the ties."""
    joined: dict[tuple[int, Hashable], list[int]] = defaultdict(list)
    for tie, labels in enumerate(ties):
        assert len(labels) == n, "one label per image"
        for row, label in enumerate(labels):
            if label is not None and label != "" and label == label:  # noqa: PLR0124 (not NaN)
                joined[tie, label].append(row)
    members: dict[int, list[int]] = defaultdict(list)
    for row, unit in enumerate(connected_components(n, joined.values()).tolist()):
        members[unit].append(row)
    return list(members.values())


def _assign_units(units: Sequence[Sequence[int]], codes: Ints, ranks: Sequence[str], folds: int) -> Ints:
    totals = np.bincount(codes)
    held = np.zeros((folds, len(totals)), dtype=np.int64)  # images of each class in each fold
    sizes = np.zeros(folds, dtype=np.int64)
    fold = np.empty(len(codes), dtype=np.int64)
    several = sorted((min(ranks[row] for row in unit), unit) for unit in units if len(unit) > 1)
    single = sorted((codes[unit[0]], ranks[unit[0]], unit) for unit in units if len(unit) == 1)
    order = [unit for _, unit in sorted(several, key=lambda ranked: -len(ranked[1]))] + [unit for *_, unit in single]
    for unit in order:
        names, counts = np.unique(codes[unit], return_counts=True)
        crowding = ((2 * held[:, names] + counts) * counts / totals[names]).sum(axis=1)  # growth of Σ held² / total
        chosen = np.lexsort((sizes, crowding))[0]
        fold[unit] = chosen
        held[chosen, names] += counts
        sizes[chosen] += len(unit)
    return fold
