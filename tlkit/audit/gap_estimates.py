"""Estimates for the explanation of one group column, for independent, weighted and clustered images.

Rates, differences and their tests are those of the audit. Everything else treats a matched set as a cluster;
independent images are clusters of one, whose estimates come from counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tlkit.arrays import Floats, Ints, Mask
from tlkit.audit.estimators import RateEstimates, SamplingDesign
from tlkit.audit.explanation import HeatCell
from tlkit.audit.grouped_predictions import GroupedPredictions
from tlkit.audit.rates import Rate
from tlkit.audit.row_intervals import difference_estimate, rate_estimate
from tlkit.stats.association import Association, adjusted_gap, clustered_gap, clustered_v, cramers_v
from tlkit.stats.estimate import Estimate
from tlkit.stats.ordered_trend import OrderedRates, clustered_ordered_rates, ordered_rates
from tlkit.stats.strata import (
    GapSplit,
    OddsRatio,
    clustered_kitagawa_split,
    clustered_mantel_haenszel,
    kitagawa_split,
    mantel_haenszel,
)

MOST_STRATA = 200  # with more, logistic regression has too many parameters


@dataclass(frozen=True, eq=False)
class GapEstimates:
    """The counts of one column, and the estimates that follow from them.

    Attributes:
        grouped: labelled images with the G groups of the column.
        replicates: resamples of the bootstrap.
    """

    grouped: GroupedPredictions
    replicates: int

    @cached_property
    def n(self) -> Ints:
        """Images by group and class, shape (G, C); without those with a missing value."""
        return self.grouped.counts.truly[:-1]

    @cached_property
    def right(self) -> Ints:
        """Right images by group and class, shape (G, C)."""
        return self.grouped.counts.rightly[:-1]

    @cached_property
    def _rng(self) -> np.random.Generator:
        return np.random.default_rng(self.grouped.options.seed)

    @property
    def _level(self) -> float:
        return self.grouped.options.confidence

    @property
    def large_groups(self) -> list[int]:
        """Positions of the groups that are large enough, with a large enough complement."""
        size = self.n.sum(axis=1)
        smaller = np.minimum(size, size.sum() - size)
        return [int(g) for g in np.flatnonzero(smaller >= self.grouped.options.min_group_size)]

    @cached_property
    def _accuracies(self) -> RateEstimates:
        return self.grouped.rates(Rate("accuracy"))

    def _against_complement(self, g: int) -> tuple[Ints, Ints]:
        """Return right images and all images of group g and its complement, by class, each of shape (2, C)."""
        right, n = (np.stack([counts[g], counts.sum(axis=0) - counts[g]]) for counts in (self.right, self.n))
        return right, n

    def accuracy(self, g: int) -> Estimate:
        """Return the accuracy of group g."""
        return rate_estimate(self._accuracies, g, confidence=self._level)

    def difference(self, g: int) -> Estimate:
        """Return the accuracy of group g minus that of the complement."""
        return difference_estimate(self._accuracies, g, confidence=self._level)

    def split(self, g: int) -> GapSplit:
        """Return the difference of group g split into class mix and rate."""
        if self.grouped.units is None:
            return kitagawa_split(
                *self._against_complement(g), rng=self._rng, confidence=self._level, replicates=self.replicates
            )
        known, code = self.grouped.known, self.grouped.membership.code
        known_group = code >= 0
        return clustered_kitagawa_split(
            known.correct[known_group],
            self.grouped.units.take(known_group),
            side=(code[known_group] != g).astype(np.int64),
            kind=known.y_true[known_group],
            kinds=len(known.classes),
            confidence=self._level,
        )

    def adjusted(self, g: int, stratum: Ints, others: Floats | None) -> tuple[OddsRatio, Estimate]:
        """Return the gap of group g within strata: as odds, and adjusted by logistic regression.

        Args:
            g: the group.
            stratum: of each image whose group is known, in 0…S-1.
            others: indicators of each stratum's values, shape (S, K); None = too many.
        """
        code, level = self.grouped.membership.code, self._level
        known_group = code >= 0
        right, member = self.grouped.known.correct[known_group], code[known_group] == g
        gap = Estimate(None, None, None, n=len(right), note="too many values to hold fixed")
        if self.grouped.units is not None:
            units, side = self.grouped.units.take(known_group), (~member).astype(np.int64)
            odds = clustered_mantel_haenszel(right, units, side=side, stratum=stratum, confidence=level)
            if others is not None:
                gap = clustered_gap(right, units, member=member, others=others, pattern=stratum, confidence=level)
            return odds, gap
        strata = int(stratum.max(initial=-1)) + 1
        cell = stratum * 2 + ~member  # members first
        n = np.bincount(cell, minlength=2 * strata).reshape(-1, 2).T
        k = np.bincount(cell, weights=right, minlength=2 * strata).reshape(-1, 2).T.astype(np.int64)
        if others is not None:
            side, place = np.nonzero(n)
            gap = adjusted_gap(k[side, place], n[side, place], member=side == 0, others=others[place], confidence=level)
        return mantel_haenszel(k, n, level), gap

    def recalls(self, c: int, tested: Mask) -> list[HeatCell]:
        """Return each group's recall of class c, and its difference from that of the complement.

        Args:
            c: the class.
            tested: the groups that are compared with the complement, shape (G,).
        """
        estimates, found = self.grouped.rates(Rate("recall", self.grouped.known.classes[c])), []
        for g, size in enumerate(self.n[:, c].tolist()):
            recall = Estimate(None, None, None, n=0, note="no images")
            if size:
                recall = rate_estimate(estimates, g, confidence=self._level)
            difference = difference_estimate(estimates, g, confidence=self._level) if tested[g] else None
            compared = difference is not None and difference.value is not None
            found.append(HeatCell(recall, difference, estimates.p(g)) if compared else HeatCell(recall))
        return found

    def ordered(self, order: Sequence[int]) -> OrderedRates | None:
        """Return shape and tests of the accuracy along ordered groups.

        Args:
            order: positions of the groups, in their order.
        """
        if self.grouped.units is None:
            right, n = self.right.sum(axis=1)[list(order)], self.n.sum(axis=1)[list(order)]
            return ordered_rates(right, n, seed=self.grouped.options.seed)
        place = np.full(len(self.n) + 1, -1, dtype=np.int64)  # the last entry serves the missing, code -1
        place[list(order)] = np.arange(len(order))
        at = place[self.grouped.membership.code]
        inside = at >= 0
        right_images = self.grouped.known.correct[inside]
        return clustered_ordered_rates(right_images, at[inside], len(order), self.grouped.units.take(inside))


def value_indicators(values: Ints) -> Floats | None:
    """Return indicators of all values but the first of each column, shape (S, K); None where K is too large.

    Args:
        values: codes of the columns that each stratum stands for, shape (S, columns).
    """
    indicators = [(values[:, [c]] == np.unique(values[:, c])[1:]).astype(np.float64) for c in range(values.shape[1])]
    others = np.column_stack(indicators)
    return None if others.shape[1] > MOST_STRATA else others


def association(one: Ints, rows: int, two: Ints, columns: int, design: SamplingDesign | None) -> Association | None:
    """Return Cramér's V of two attributes; None where one of them has a single value.

    Args:
        one: value of each image in the first attribute, shape (N,); codes below 0 are left out.
        rows: number of values of the first attribute.
        two: value of each image in the second attribute, shape (N,).
        columns: number of values of the second attribute.
        design: sampling design; None = independent images of equal weight.
    """
    known_group = (one >= 0) & (two >= 0)
    if design is not None:
        return clustered_v(one[known_group], two[known_group], design.units(len(one)).take(known_group))
    if not known_group.any():
        return None
    return cramers_v(
        np.bincount(one[known_group] * columns + two[known_group], minlength=rows * columns).reshape(rows, columns)
    )
