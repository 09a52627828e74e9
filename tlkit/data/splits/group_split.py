"""Which groups of images are held out together: pure functions of counts and ranks, blind to files and their order.

A group is what must not lie on two sides of a split: a patient, a camera, a burst. The assignment takes the groups in a
stated order and gives each to the side that it suits best, as scikit-learn's StratifiedGroupKFold does, with bounds on
the sizes that the greedy choice alone does not keep.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class GroupClassCounts:
    """How many images of which class each group has.

    Attributes:
        ranks: one text per group that orders groups of similar size; a hash of seed and name, so that neither the order
            of files nor that of names matters.
        sizes: images per group, shape (G,).
        classes: per group, the classes it has.
        counts: per group, the images of each of these classes.
        totals: images per class over all groups, shape (C,).
    """

    ranks: tuple[str, ...]
    sizes: npt.NDArray[np.int64]
    classes: tuple[tuple[int, ...], ...]
    counts: tuple[tuple[int, ...], ...]
    totals: npt.NDArray[np.int64]

    @classmethod
    def of(
        cls, groups: npt.NDArray[np.int64], targets: npt.NDArray[np.int64], *, ranks: Sequence[str], classes: int
    ) -> GroupClassCounts:
        """Count images by group and class.

        Args:
            groups: group of each image, shape (N,), in 0…G-1.
            targets: class of each image, shape (N,), in 0…C-1.
            ranks: one text per group.
            classes: C.
        """
        cells, found = np.unique(groups * classes + targets, return_counts=True)
        where = np.searchsorted(cells // classes, np.arange(len(ranks) + 1))
        labels, amounts = (cells % classes).tolist(), found.tolist()
        spans = list(zip(where[:-1].tolist(), where[1:].tolist(), strict=True))
        return cls(
            ranks=tuple(ranks),
            sizes=np.bincount(groups, minlength=len(ranks)).astype(np.int64),
            classes=tuple(tuple(labels[start:stop]) for start, stop in spans),
            counts=tuple(tuple(amounts[start:stop]) for start, stop in spans),
            totals=np.bincount(targets, minlength=classes).astype(np.int64),
        )

    def in_order(self, *, by_size: bool) -> list[int]:
        """Return the groups in the order in which they are assigned: by rank, or large ones first and then by rank.

        Sizes count by their power of two, so that another seed gives another order also where all sizes differ.
        """
        scale = np.log2(np.maximum(self.sizes, 1)).astype(int).tolist() if by_size else [0] * len(self.ranks)
        return sorted(range(len(self.ranks)), key=lambda group: (-scale[group], self.ranks[group]))


def hold_out_groups(groups: GroupClassCounts, *, share: float, stratify: bool) -> npt.NDArray[np.bool_]:
    """Choose groups whose images make up a share of all, shape (G,): True = held out.

    The images held out are within the size of the largest group of `share`, unless a class would be left without
    images: then its last group stays. Of two groups or more, at least one is held out where each class can spare it.

    Args:
        groups: the groups, their sizes and classes.
        share: of the images, in (0, 1).
        stratify: keep the share alike in every class; else only the total counts.
    """
    total = int(groups.sizes.sum())
    wanted = share * total
    held = np.zeros(len(groups.ranks), dtype=bool)
    sizes, totals = groups.sizes.tolist(), groups.totals.tolist()
    left = list(totals)  # images of each class in groups that are still to come
    kept = [0] * len(totals)
    lead = [0.0] * len(totals)  # how much fuller the held-out side of a class is than the other, in shares of its goal
    on_held, on_rest = 0, 0
    for group in groups.in_order(by_size=stratify):
        size, classes, counts = sizes[group], groups.classes[group], groups.counts[group]
        here = list(zip(classes, counts, strict=True))
        for label, count in here:
            left[label] -= count
        if any(kept[label] == 0 and left[label] == 0 for label in classes):
            takes = False  # the last group of a class that has none yet
        elif not stratify:
            takes = abs(on_held + size - wanted) < abs(on_held - wanted)
        elif on_held >= wanted or on_rest >= total - wanted:
            takes = on_held < wanted
        else:
            gain = sum(
                abs(lead[label] + count / (share * totals[label]))
                - abs(lead[label] - count / ((1 - share) * totals[label]))
                for label, count in here
            )
            takes = gain < 0
        held[group] = takes
        on_held, on_rest = (on_held + size, on_rest) if takes else (on_held, on_rest + size)
        for label, count in here:
            lead[label] += count / (share * totals[label]) if takes else -count / ((1 - share) * totals[label])
            kept[label] += 0 if takes else count
    if not held.any() and share > 0:
        _hold_out_one(groups, held, kept)
    return held


def _hold_out_one(groups: GroupClassCounts, held: npt.NDArray[np.bool_], kept: list[int]) -> None:
    """Move the smallest group that every class can spare; none where there is no such group."""
    for group in sorted(range(len(held)), key=lambda one: (groups.sizes[one], groups.ranks[one])):
        here = zip(groups.classes[group], groups.counts[group], strict=True)
        if all(kept[label] > count for label, count in here):
            held[group] = True
            return


def fold_of_groups(groups: GroupClassCounts, *, folds: int) -> npt.NDArray[np.int64]:
    """Deal groups into folds, shape (G,), in 0…folds-1, so that classes spread evenly.

    Each group goes to the fold that has least of its classes, in shares of the classes' totals; among the folds that it
    would not make larger than the smallest by more than the largest group. So the sizes of any two folds differ by at
    most the size of the largest group.

    Source of the idea: scikit-learn, `StratifiedGroupKFold`, which minimises the spread of class shares over the folds
    greedily; minimising the sum of squares does so without computing the spread.
    """
    fold_of = np.zeros(len(groups.ranks), dtype=np.int64)
    sizes, totals = groups.sizes.tolist(), groups.totals.tolist()
    largest = max(sizes, default=0)
    full = [0] * folds
    has = [[0] * len(totals) for _ in range(folds)]
    for group in groups.in_order(by_size=True):
        here = list(zip(groups.classes[group], groups.counts[group], strict=True))
        limit = min(full) + largest - sizes[group]
        chosen = min(
            (fold for fold in range(folds) if full[fold] <= limit),
            key=lambda fold: (sum(has[fold][c] * k / totals[c] ** 2 for c, k in here), full[fold], fold),
        )
        fold_of[group] = chosen
        full[chosen] += sizes[group]
        for label, count in here:
            has[chosen][label] += count
    return fold_of
