"""Dealing images to folds: the same ones on every machine, in whatever order the images come."""

from __future__ import annotations

import hashlib
import logging
from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tlkit.errors import DataError, first_few
from tlkit.stats.connected_components import connected_components

logger = logging.getLogger(__name__)

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Folds:
    """Which fold each image is in, once or several times over.

    Attributes:
        of: shape (R, N), in 0…K-1: the fold of each image in each of R repeats.
        count: K.
        scarce: codes of the classes with fewer units (images, duplicates and groups counted once) than folds. Such a
            class is missing from the test part of some folds; one with a single unit is missing from the training part
            of the fold that tests it, and has probability 0 there.
    """

    of: Ints
    count: int
    scarce: tuple[int, ...]

    def __post_init__(self) -> None:
        self.of.setflags(write=False)


def assign_folds(
    keys: Sequence[str],
    y: npt.ArrayLike,
    *,
    folds: int = 5,
    repeats: int = 1,
    seed: int = 0,
    groups: Sequence[Hashable | None] | None = None,
    digests: Sequence[str] | None = None,
) -> Folds:
    """Deal images to folds so that every fold has its share of each class.

    Images are ranked by sha256("{seed}:{repeat}:{key}"), so the folds depend on nothing but seed, keys, labels and
    groups: not on the order of the images, the machine or a library's version. Images of one group, and copies of one
    file, always share a fold. Units of several images go first, the largest first, each to the fold where its classes
    are rarest; single images fill up class by class.

    Args:
        keys: what names each image, such as its path; N different texts.
        y: codes of the classes, shape (N,).
        folds: K, at least 2.
        repeats: how many times to deal, each time anew.
        seed: chooses among the equally good folds.
        groups: what must not be torn apart, such as a patient or a film, one per image; None and "" = no group.
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
        raise DataError(f"{len(units)} {what} cannot be dealt to {folds} folds. Use at most {len(units)} folds.")
    per_class: dict[int, int] = defaultdict(int)
    for unit in units:
        for code in np.unique(codes[unit]):
            per_class[int(code)] += 1
    scarce = tuple(sorted(code for code, count in per_class.items() if count < folds))
    dealt = [_deal(units, codes, _ranks(keys, seed=seed, repeat=repeat), folds) for repeat in range(repeats)]
    return Folds(np.stack(dealt), folds, scarce)


def most_folds(n: int, *, groups: Sequence[Hashable | None] | None = None, digests: Sequence[str] | None = None) -> int:
    """Return into how many folds n images can be dealt at most: groups and copies of a file count once."""
    return len(_units(n, [labels for labels in (groups, digests) if labels is not None]))


def warn_of_scarce(folds: Folds, classes: Sequence[str]) -> None:
    """Log the classes that have fewer units than folds."""
    if folds.scarce:
        names = [classes[code] for code in folds.scarce]
        logger.warning(
            "Classes with fewer images or groups than the %d folds (%d): %s. Some folds do not test them; one with a "
            "single image has probability 0 where it is tested.",
            folds.count,
            len(names),
            first_few(names),
        )


def row_keys(x: npt.NDArray[np.floating]) -> list[str]:
    """Return the sha256 of each row of features (N, D): a key where no path is known; equal rows have equal keys."""
    return [hashlib.sha256(row.tobytes()).hexdigest() for row in np.ascontiguousarray(x)]


def _ranks(keys: Sequence[str], *, seed: int, repeat: int) -> list[str]:
    return [hashlib.sha256(f"{seed}:{repeat}:{key}".encode()).hexdigest() for key in keys]


def _units(n: int, ties: Sequence[Sequence[Hashable | None]]) -> list[list[int]]:
    """Return the rows that must stay together: joined by an equal label in any of the ties."""
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


def _deal(units: Sequence[Sequence[int]], codes: Ints, ranks: Sequence[str], folds: int) -> Ints:
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
