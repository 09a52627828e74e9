"""Each group against the rest, from counts, before the correction for many tests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tlkit.audit.cells import Cells
from tlkit.audit.rates import Rate
from tlkit.audit.result import AuditSettings
from tlkit.stats.tests import GapTest, fisher_exact, max_gap

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Draft:
    """One table before the correction for many tests.

    Arrays have one entry a row: the G groups, then the images with a missing value.

    Attributes:
        cells: who the groups are.
        rate: what is compared.
        k: numerators of the rate, shape (G + 1,).
        n: denominators of the rate, shape (G + 1,).
        images: labelled images, shape (G + 1,).
        rest_k: numerators of the rest, shape (G + 1,).
        rest_n: denominators of the rest, shape (G + 1,).
        mean_confidence: mean probability of the predicted class, shape (G + 1,), or None.
        assessed: whether there are enough images for a rate, shape (G + 1,).
        tested: whether the row is compared with the rest, shape (G + 1,).
        judged: whether the row gets a verdict, shape (G + 1,).
        p: Fisher's p-values, None where there is no test, length G + 1.
        mirrored: whether there are two groups only, so that both make the same test.
        gap: the largest gap among the groups assessed.
    """

    cells: Cells
    rate: Rate
    k: Ints
    n: Ints
    images: Ints
    rest_k: Ints
    rest_n: Ints
    mean_confidence: Floats | None
    assessed: Mask
    tested: Mask
    judged: Mask
    p: tuple[float | None, ...]
    mirrored: bool
    gap: GapTest | None

    @property
    def family(self) -> list[float | None]:
        """The p-values that count as separate tests: of two mirrored ones, the first."""
        return [None if self.mirrored and i == self._second else p for i, p in enumerate(self.p)]

    @property
    def _second(self) -> int:
        return int(np.flatnonzero(self.n[:-1])[1])

    def spread(self, adjusted: Sequence[float | None]) -> list[float | None]:
        """Return the adjusted values of `family`, with those of the mirrored test filled in."""
        values = list(adjusted)
        if self.mirrored:
            values[self._second] = values[int(np.flatnonzero(self.n[:-1])[0])]
        return values


def compare(
    cells: Cells,
    rate: Rate,
    *,
    k: Ints,
    n: Ints,
    images: Ints,
    mean_confidence: Floats | None = None,
    settings: AuditSettings,
) -> Draft:
    """Compare each group with the rest, from counts.

    Args:
        cells: the G groups.
        rate: what the counts are about.
        k: numerators, shape (G + 1,), the last entry for the images with a missing value.
        n: denominators, shape (G + 1,).
        images: labelled images, shape (G + 1,).
        mean_confidence: mean probability of the predicted class, shape (G + 1,), or None.
        settings: sizes and levels.
    """
    is_group = np.arange(len(n)) < len(n) - 1
    rest_k = k[:-1].sum() - np.where(is_group, k, 0)
    rest_n = n[:-1].sum() - np.where(is_group, n, 0)
    assessed = n >= settings.min_group_size
    # Missing values are tested once for each column; an intersection would only test them again.
    judged = (images > 0) & (is_group | (len(cells.columns) == 1))
    judged &= np.count_nonzero(images[:-1]) > is_group  # a group needs another one, the missing need any
    tested = judged & assessed & (rest_n >= settings.min_group_size)
    p = tuple(
        fisher_exact(int(k[i]), int(n[i]), int(rest_k[i]), int(rest_n[i])) if tested[i] else None for i in range(len(n))
    )
    shown = assessed[:-1]
    return Draft(
        cells=cells,
        rate=rate,
        k=k,
        n=n,
        images=images,
        rest_k=rest_k,
        rest_n=rest_n,
        mean_confidence=mean_confidence,
        assessed=assessed,
        tested=tested,
        judged=judged,
        p=p,
        mirrored=bool(np.count_nonzero(n[:-1]) == 2),
        gap=max_gap(k[:-1][shown], n[:-1][shown], seed=settings.seed),
    )
