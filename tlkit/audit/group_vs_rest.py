"""Each group against the rest, before the correction for many tests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tlkit.audit.estimators import RateEstimates, independent_estimates
from tlkit.audit.groups.intersections import GroupMembership
from tlkit.audit.options import AuditOptions
from tlkit.audit.rates import Rate
from tlkit.stats.hypothesis_tests import GapTest

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class UntestedTable:
    """One table before the correction for many tests.

    Arrays have one entry a row: the G groups, then the images with a missing value.

    Attributes:
        cells: who the groups are.
        rate: what is compared.
        sample: its counts for each row and for what the row is compared with.
        images: labelled images, shape (G + 1,).
        truly: images of the rate's class, shape (G + 1,); None for the accuracy.
        mean_confidence: mean probability of the predicted class, shape (G + 1,), or None.
        assessed: whether there are enough images for a rate, shape (G + 1,).
        tested: whether the row is compared with the rest, shape (G + 1,).
        judged: whether the row gets a verdict, shape (G + 1,).
        p: p-values against the rest, None where there is no test, length G + 1.
        mirrored: whether there are two groups only, so that both make the same test.
        gap: the largest gap among the groups assessed.
        shares: the share of the rate's class among weighted, clustered or matched images; None for independent ones.
    """

    cells: GroupMembership
    rate: Rate
    sample: RateEstimates
    images: Ints
    truly: Ints | None
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
        """The p-values that count as separate tests: of two mirrored ones, the first."""
        return [None if self.mirrored and i == self._seen[1] else p for i, p in enumerate(self.p)]

    @property
    def _seen(self) -> list[int]:
        return [int(i) for i in np.flatnonzero(self.sample.n[:-1])]

    def spread(self, adjusted: Sequence[float | None]) -> list[float | None]:
        """Return the adjusted values of `family`, with those of the mirrored test filled in."""
        values = list(adjusted)
        if self.mirrored:
            values[self._seen[1]] = values[self._seen[0]]
        return values


def compare_with_complement(
    cells: GroupMembership,
    rate: Rate,
    *,
    k: Ints,
    n: Ints,
    images: Ints,
    truly: Ints | None = None,
    mean_confidence: Floats | None = None,
    options: AuditOptions,
) -> UntestedTable:
    """Compare each group with the rest, from counts of independent images.

    Args:
        cells: the G groups, made of P patterns (P = G where every image is in one group).
        rate: what the counts are about.
        k: numerators, shape (P + 1,), the last entry for the images with a missing value.
        n: denominators, shape (P + 1,).
        images: labelled images, shape (P + 1,).
        truly: images of the rate's class, shape (P + 1,), or None.
        mean_confidence: mean probability of the predicted class, shape (G + 1,), or None.
        options: sizes and levels.
    """
    sample = independent_estimates(cells, k=k, n=n, options=options)
    return untested_table(
        cells,
        rate,
        sample,
        images=cells.aggregate(images),
        truly=None if truly is None else cells.aggregate(truly),
        mean_confidence=mean_confidence,
        options=options,
    )


def untested_table(
    cells: GroupMembership,
    rate: Rate,
    sample: RateEstimates,
    *,
    images: Ints,
    truly: Ints | None,
    mean_confidence: Floats | None,
    options: AuditOptions,
    shares: RateEstimates | None = None,
) -> UntestedTable:
    """Say which rows of a sample are shown, tested and judged, and test them.

    Args:
        cells: the G groups.
        rate: what the sample is about.
        sample: its counts.
        images: labelled images, shape (G + 1,).
        truly: images of the rate's class, shape (G + 1,), or None.
        mean_confidence: mean probability of the predicted class, shape (G + 1,), or None.
        options: sizes and levels.
        shares: the share of the rate's class, where images hang together, or None.
    """
    rows = len(images)
    is_group = np.arange(rows) < rows - 1
    assessed = (sample.n >= options.min_group_size) & (sample.n_eff > 0)
    # Missing values are tested once for each column; an intersection would only test them again.
    judged = (images > 0) & (is_group | (len(cells.columns) == 1))
    judged &= np.count_nonzero(images[:-1]) > is_group  # a group needs another one, the missing need any
    tested = judged & assessed & (sample.rest_n >= options.min_group_size)
    tested &= (sample.sides[1] > 0) & (sample.sides[3] > 0)
    return UntestedTable(
        cells=cells,
        rate=rate,
        sample=sample,
        images=images,
        truly=truly,
        mean_confidence=mean_confidence,
        assessed=assessed,
        tested=tested,
        judged=judged,
        p=tuple(sample.p(i) if tested[i] else None for i in range(rows)),
        mirrored=bool(np.count_nonzero(sample.n[:-1]) == 2) and cells.member is None,
        gap=sample.gap(assessed[:-1]),
        shares=shares,
    )
