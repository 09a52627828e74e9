"""Iterative stratification: splits of images with several labels that keep the share of every label."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt


def stratify_labels(
    labels: npt.NDArray[np.int64], shares: Sequence[float], *, ranks: Sequence[str]
) -> npt.NDArray[np.int64]:
    """Return the part of each image, shape (N,), so that the parts have the shares of the images and of every label.

    Sechidis, Tsoumakas & Vlahavas 2011, "On the Stratification of Multi-Label Data", ECML PKDD, LNCS 6913:145,
    algorithm 1: the rarest label that is left is taken first. Each of its images goes to the part that lacks most
    images with this label; of equal ones to the part that lacks most images. Images without any label come last, to
    the part that lacks most images. Ties that the paper breaks at random go to the first part, and images are taken in
    the order of their ranks: so the result depends on labels, shares and ranks alone, not on the order of the images.

    Args:
        labels: 1 or 0, shape (N, L).
        shares: of each part, above 0, sum 1.
        ranks: one text for each image; smaller ones are taken first.

    Example:
        >>> labels = np.array([[1, 0], [1, 0], [1, 1], [1, 1], [0, 0], [0, 0]])
        >>> stratify_labels(labels, [0.5, 0.5], ranks="abcdef").tolist()
        [0, 1, 0, 1, 0, 1]
    """
    count = len(labels)
    part = np.full(count, -1, dtype=np.int64)
    wanted = np.array(shares, dtype=np.float64) * count  # images that each part lacks, (P,)
    lacking = np.outer(shares, labels.sum(axis=0)).astype(np.float64)  # images with each label, (P, L)
    order = np.argsort(np.array(list(ranks), dtype=object), kind="stable")
    left = labels.sum(axis=0)  # images of each label that are not assigned yet, (L,)

    def assign(row: int, chosen: int) -> None:
        part[row] = chosen
        wanted[chosen] -= 1
        lacking[chosen] -= labels[row]
        left[:] -= labels[row]

    while left.any():
        rarest = int(np.flatnonzero(left == left[left > 0].min())[0])
        for row in order[(part[order] < 0) & (labels[order, rarest] == 1)].tolist():
            most = np.flatnonzero(np.isclose(lacking[:, rarest], lacking[:, rarest].max()))
            assign(row, int(most[np.argmax(wanted[most])]))
    for row in order[part[order] < 0].tolist():
        assign(row, int(np.argmax(wanted)))
    return part
