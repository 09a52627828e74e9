"""Compares each group with its complement, before Holm's correction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import numpy as np

from tlkit.arrays import Floats, Ints, Mask
from tlkit.audit.estimators import RateEstimates, Sides
from tlkit.audit.groups.intersections import GroupMembership
from tlkit.audit.options import AuditOptions
from tlkit.audit.rates import Rate
from tlkit.stats.hypothesis_tests import GapTest


class Estimates(Protocol):
    """What `RateEstimates` and `MeanEstimates` have in common; see the former for the attributes."""

    @property
    def n(self) -> Ints: ...  # noqa: D102
    @property
    def complement_n(self) -> Ints: ...  # noqa: D102
    @property
    def n_eff(self) -> Floats: ...  # noqa: D102
    @property
    def sides(self) -> Sides: ...  # noqa: D102
    @property
    def p(self) -> Callable[[int], float | None]: ...  # noqa: D102
    @property
    def gap(self) -> Callable[[Mask], GapTest | None]: ...  # noqa: D102


Estimated = TypeVar("Estimated", bound=Estimates)


@dataclass(frozen=True)
class UntestedTable(Generic[Estimated]):
    """One table of comparisons before Holm's correction.

    Arrays have one entry per row: the G groups, then the images with a missing value.

    Attributes:
        membership: the groups.
        rate: the rate.
        estimates: the rate of each row and of its complement.
        images: labelled images, shape (G + 1,).
        mean_confidence: mean probability of the predicted class, shape (G + 1,), or None.
        assessed: whether there are enough images for a rate, shape (G + 1,).
        tested: whether the row is compared with the complement, shape (G + 1,).
        judged: whether the row gets a verdict, shape (G + 1,).
        p: p-values against the complement, None where there is no test, length G + 1.
        mirrored: whether there are only two groups, whose two tests are the same.
        gap: test of the largest gap among the assessed groups.
        shares: share of the rate's class by row; None for the accuracy.
    """

    membership: GroupMembership
    rate: Rate
    estimates: Estimated
    images: Ints
    mean_confidence: Floats | None
    assessed: Mask
    tested: Mask
    judged: Mask
    p: tuple[float | None, ...]
    mirrored: bool
    gap: GapTest | None
    shares: RateEstimates | None = None

    @property
    def family(self) -> list[float | None]:
        """The p-values that count as tests of their own: of two mirrored ones, the first."""
        return [None if self.mirrored and i == self._groups_with_images[1] else p for i, p in enumerate(self.p)]

    @property
    def _groups_with_images(self) -> list[int]:
        return [int(i) for i in np.flatnonzero(self.estimates.n[:-1])]

    def fill_mirrored(self, adjusted: Sequence[float | None]) -> list[float | None]:
        """Return the corrected p-values of `family` with that of the mirrored test filled in."""
        values = list(adjusted)
        if self.mirrored:
            values[self._groups_with_images[1]] = values[self._groups_with_images[0]]
        return values


def untested_table(
    membership: GroupMembership,
    rate: Rate,
    estimates: Estimated,
    *,
    images: Ints,
    options: AuditOptions,
    mean_confidence: Floats | None = None,
    shares: RateEstimates | None = None,
) -> UntestedTable[Estimated]:
    """Return which rows have a rate, a test and a verdict, with their p-values; arguments as in `UntestedTable`."""
    rows = len(images)
    is_group = np.arange(rows) < rows - 1
    assessed = (estimates.n >= options.min_group_size) & (estimates.n_eff > 0)
    # Missing values are tested once for each column, not again in an intersection.
    judged = (images > 0) & (is_group | (len(membership.columns) == 1))
    judged &= (
        np.count_nonzero(images[:-1]) > is_group
    )  # needs another group to compare with; missing values need any group
    tested = judged & assessed & (estimates.complement_n >= options.min_group_size)
    tested &= (estimates.sides[1] > 0) & (estimates.sides[3] > 0)
    return UntestedTable(
        membership=membership,
        rate=rate,
        estimates=estimates,
        images=images,
        mean_confidence=mean_confidence,
        assessed=assessed,
        tested=tested,
        judged=judged,
        p=tuple(estimates.p(i) if tested[i] else None for i in range(rows)),
        mirrored=bool(np.count_nonzero(estimates.n[:-1]) == 2) and membership.member is None,
        gap=estimates.gap(assessed[:-1]),
        shares=shares,
    )
