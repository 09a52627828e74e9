"""Group splits and grouped folds: pure functions of counts and ranks, independent of the order of files.

A group, such as a patient or a camera, must not lie in two splits. The groups are taken in a fixed order; each goes to
the split that fits best, as in scikit-learn's StratifiedGroupKFold, with bounds on the sizes that the greedy choice
alone does not keep.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class GroupClassCounts:
    """The number of images of each class in each group.

    Attributes:
        ranks: one text per group that orders groups of similar size: a hash of seed and name.
        sizes: images per group, shape (G,).
        classes: the classes of each group.
        counts: the images of each of these classes, per group.
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
        """Return the images by group and class.

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

    @classmethod
    def of_labels(
        cls, groups: npt.NDArray[np.int64], labels: npt.NDArray[np.int64], *, ranks: Sequence[str]
    ) -> GroupClassCounts:
        """Return the images by group and label, where an image has several labels, or none.

        Args:
            groups: group of each image, shape (N,), in 0…G-1.
            labels: 1 or 0, shape (N, L).
            ranks: one text per group.
        """
        totals = np.zeros((len(ranks), labels.shape[1]), dtype=np.int64)
        np.add.at(totals, groups, labels)
        present = [np.flatnonzero(row) for row in totals]
        return cls(
            ranks=tuple(ranks),
            sizes=np.bincount(groups, minlength=len(ranks)).astype(np.int64),
            classes=tuple(tuple(found.tolist()) for found in present),
            counts=tuple(tuple(row[found].tolist()) for row, found in zip(totals, present, strict=True)),
            totals=labels.sum(axis=0),
        )

    def in_order(self, *, by_size: bool) -> list[int]:
        """Return the groups in order of assignment: by rank, or large ones first and then by rank.

        Sizes are rounded to powers of two, so that the seed matters also where all sizes differ.
        """
        scale = np.log2(np.maximum(self.sizes, 1)).astype(int).tolist() if by_size else [0] * len(self.ranks)
        return sorted(range(len(self.ranks)), key=lambda group: (-scale[group], self.ranks[group]))


def hold_out_groups(groups: GroupClassCounts, *, share: float, stratify: bool) -> npt.NDArray[np.bool_]:
    """Return which groups are held out, shape (G,), so that their images are a share of all.

    The number of images differs from the share by at most the size of the largest group, unless a class would lose all
    images: its last group stays. At least one of several groups is held out, if every class keeps images.

    Args:
        groups: the groups, their sizes and classes.
        share: share of the images, in (0, 1).
        stratify: keep the shares of the classes equal; else only the total counts.
    """
    total = int(groups.sizes.sum())
    goal = share * total
    held = np.zeros(len(groups.ranks), dtype=bool)
    sizes, totals = groups.sizes.tolist(), groups.totals.tolist()
    left = list(totals)  # images of each class in groups that are not yet assigned
    kept = [0] * len(totals)
    lead = [0.0] * len(totals)  # per class: share of the goal reached in the held-out part minus that of the kept part
    n_held, n_kept = 0, 0
    for group in groups.in_order(by_size=stratify):
        size, classes, counts = sizes[group], groups.classes[group], groups.counts[group]
        here = list(zip(classes, counts, strict=True))
        for label, count in here:
            left[label] -= count
        if any(kept[label] == 0 and left[label] == 0 for label in classes):
            takes = False  # the last group of a class without kept images
        elif not stratify:
            takes = abs(n_held + size - goal) < abs(n_held - goal)
        elif n_held >= goal or n_kept >= total - goal:
            takes = n_held < goal
        else:
            gain = sum(
                abs(lead[label] + count / (share * totals[label]))
                - abs(lead[label] - count / ((1 - share) * totals[label]))
                for label, count in here
            )
            takes = gain < 0
        held[group] = takes
        n_held, n_kept = (n_held + size, n_kept) if takes else (n_held, n_kept + size)
        for label, count in here:
            lead[label] += count / (share * totals[label]) if takes else -count / ((1 - share) * totals[label])
            kept[label] += 0 if takes else count
    if not held.any() and share > 0:
        _hold_out_one(groups, held, kept)
    return held


def _hold_out_one(groups: GroupClassCounts, held: npt.NDArray[np.bool_], kept: list[int]) -> None:
    """Hold out the smallest group without which every class keeps images, if there is one."""
    for group in sorted(range(len(held)), key=lambda one: (groups.sizes[one], groups.ranks[one])):
        here = zip(groups.classes[group], groups.counts[group], strict=True)
        if all(kept[label] > count for label, count in here):
            held[group] = True
            return


def fold_of_groups(groups: GroupClassCounts, *, folds: int) -> npt.NDArray[np.int64]:
    """Return the fold of each group, shape (G,), in 0…folds-1, with classes spread evenly.

    Each group goes to the fold with the smallest shares of its classes, among the folds that then exceed the smallest
    one by at most the size of the largest group. So the sizes of two folds differ by at most that size.

    Source: scikit-learn's `StratifiedGroupKFold`, which greedily minimizes the standard deviation of the class shares
    over the folds; here the sum of squares is minimized, which has the same purpose.
    """
    fold_of = np.zeros(len(groups.ranks), dtype=np.int64)
    sizes, totals = groups.sizes.tolist(), groups.totals.tolist()
    largest = max(sizes, default=0)
    filled = [0] * folds
    has = [[0] * len(totals) for _ in range(folds)]
    for group in groups.in_order(by_size=True):
        here = list(zip(groups.classes[group], groups.counts[group], strict=True))
        limit = min(filled) + largest - sizes[group]
        chosen = min(
            (fold for fold in range(folds) if filled[fold] <= limit),
            key=lambda fold: (sum(has[fold][c] * k / totals[c] ** 2 for c, k in here), filled[fold], fold),
        )
        fold_of[group] = chosen
        filled[chosen] += sizes[group]
        for label, count in here:
            has[chosen][label] += count
    return fold_of
