"""What lies behind a gap where images are weighted, in clusters or matched: the same pieces as for independent ones."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from tlkit.audit.cells import Cells
from tlkit.audit.sample import Design, Sample, designed
from tlkit.audit.sample_intervals import difference_estimate, rate_estimate
from tlkit.predictions import Predictions
from tlkit.stats.association import Association, clustered_gap, clustered_v
from tlkit.stats.estimate import Estimate
from tlkit.stats.ordered import OrderedRates, clustered_rates
from tlkit.stats.strata import GapSplit, OddsRatio, clustered_odds, clustered_split

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


class DesignedExplainer:
    """What explains the gaps of one column whose images hang together.

    Rates, differences and their tests are the audit's own. What has no counterpart there takes a matched set for a
    cluster.

    Args:
        known: labelled images.
        cells: the groups of the column.
        design: how the images hang together.
        confidence: two-sided level of the intervals, in (0, 1).
    """

    def __init__(self, known: Predictions, cells: Cells, design: Design, *, confidence: float) -> None:
        self._known, self._design, self._confidence = known, design, confidence
        self._code, self._groups = cells.code, len(cells.values)
        self._units = design.units(len(known))
        self._there = cells.code >= 0
        self._cells = cells
        self._accuracy = self._sample(np.ones(len(known), dtype=np.bool_))

    def _sample(self, base: Mask) -> Sample:
        code = np.where(self._code < 0, self._cells.patterns, self._code)
        return designed(
            self._cells, self._design, counts=self._known.correct, base=base, code=code, draws=1, seed=0,
            confidence=self._confidence,
        )  # fmt: skip

    def accuracy(self, g: int) -> Estimate:
        """Return the accuracy of group g."""
        return rate_estimate(self._accuracy, g, confidence=self._confidence)

    def difference(self, g: int) -> Estimate:
        """Return the accuracy of group g minus that of the rest."""
        return difference_estimate(self._accuracy, g, confidence=self._confidence)

    def split(self, g: int) -> GapSplit:
        """Return the difference of group g split into class mix and rate."""
        there = self._there
        return clustered_split(
            self._known.correct[there], self._units.take(there), side=(self._code[there] != g).astype(np.int64),
            kind=self._known.y_true[there], kinds=len(self._known.classes), confidence=self._confidence,
        )  # fmt: skip

    def adjusted(self, g: int, stratum: Ints, others: Floats | None) -> tuple[OddsRatio, Estimate]:
        """Return the gap of group g within strata: as odds, and adjusted by logistic regression.

        Args:
            g: the group.
            stratum: of each image whose group is known.
            others: indicators of each stratum's values, shape (S, K); None = too many of them.
        """
        there = self._there
        right, units, member = self._known.correct[there], self._units.take(there), self._code[there] == g
        odds = clustered_odds(
            right, units, side=(~member).astype(np.int64), stratum=stratum, confidence=self._confidence
        )  # fmt: skip
        if others is None:
            return odds, Estimate(None, None, None, n=len(right), note="too many values to hold fixed")
        return odds, clustered_gap(
            right, units, member=member, others=others, pattern=stratum, confidence=self._confidence
        )  # fmt: skip

    def recalls(self, c: int) -> list[tuple[Estimate, Estimate, float | None]]:
        """Return each group's recall of class c, its difference from the rest's, and the p-value of that."""
        sample = self._sample(self._known.y_true == c)
        found = []
        for g in range(self._groups):
            difference = difference_estimate(sample, g, confidence=self._confidence)
            p = None if difference.value is None else sample.p(g)
            found.append((rate_estimate(sample, g, confidence=self._confidence), difference, p))
        return found

    def ordered(self, order: Sequence[int]) -> OrderedRates | None:
        """Return how the accuracy goes along the groups of an order.

        Args:
            order: positions of the groups, in their order.
        """
        place = np.full(self._groups + 1, -1, dtype=np.int64)  # the last entry serves the missing, code -1
        place[list(order)] = np.arange(len(order))
        at = place[self._code]
        there = at >= 0
        return clustered_rates(self._known.correct[there], at[there], len(order), self._units.take(there))


def designed_association(one: Ints, two: Ints, design: Design) -> Association | None:
    """Return how strongly two attributes go together; images with a code below 0 take no part."""
    there = (one >= 0) & (two >= 0)
    return clustered_v(one[there], two[there], design.units(len(one)).take(there))
