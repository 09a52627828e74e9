"""Estimates for the explanation of one group column, for independent, weighted and clustered images.

Independent images are clusters of one: their estimates come from counts. For weighted, clustered or matched images,
rates, differences and their tests are those of the audit; everything else treats a matched set as a cluster.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from tlkit.audit.estimators import RateEstimates, SamplingDesign, designed_estimates
from tlkit.audit.groups.intersections import GroupMembership
from tlkit.audit.options import AuditOptions
from tlkit.audit.row_intervals import difference_estimate, rate_estimate
from tlkit.predictions import Predictions
from tlkit.stats.association import Association, adjusted_gap, clustered_gap, clustered_v, cramers_v
from tlkit.stats.cluster_sampling import Units
from tlkit.stats.estimate import Estimate
from tlkit.stats.hypothesis_tests import fisher_exact
from tlkit.stats.intervals import newcombe, wilson
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

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Recall:
    """A group's recall of one class.

    Attributes:
        recall: with its interval.
        difference: from the recall of the complement; None where it is not tested.
        p: p-value of the difference; None where it is not tested.
    """

    recall: Estimate
    difference: Estimate | None
    p: float | None


@dataclass(frozen=True, eq=False)
class GapEstimates:
    """The counts of one column, and the estimates that follow from them.

    Attributes:
        known: labelled images.
        membership: the G groups of the column.
        design: sampling design; None = independent images of equal weight.
        options: sizes of groups and level of the intervals.
        right: right images, by group and class, shape (G, C); without those with a missing value.
        n: images, by group and class, shape (G, C).
        rng: random generator of the bootstrap.
        replicates: resamples of the bootstrap.
    """

    known: Predictions
    membership: GroupMembership
    design: SamplingDesign | None
    options: AuditOptions
    right: Ints
    n: Ints
    rng: np.random.Generator
    replicates: int

    @classmethod
    def of(
        cls,
        known: Predictions,
        membership: GroupMembership,
        design: SamplingDesign | None,
        options: AuditOptions,
        *,
        replicates: int,
    ) -> GapEstimates:
        """Count the images of one column."""
        classes, groups = len(known.classes), len(membership.values)

        def counted(mask: Mask) -> Ints:
            flat = np.bincount(membership.code[mask] * classes + known.y_true[mask], minlength=groups * classes)
            return flat.reshape(groups, classes).astype(np.int64)

        known_group = membership.code >= 0
        rng = np.random.default_rng(options.seed)
        return cls(
            known,
            membership,
            design,
            options,
            counted(known_group & known.correct),
            counted(known_group),
            rng,
            replicates,
        )

    @property
    def large_groups(self) -> list[int]:
        """Positions of the groups that are large enough, with a large enough complement."""
        size = self.n.sum(axis=1)
        smaller = np.minimum(size, size.sum() - size)
        return [int(g) for g in np.flatnonzero(smaller >= self.options.min_group_size)]

    @cached_property
    def _units(self) -> Units:
        assert self.design is not None, "independent images need no clusters"
        return self.design.units(len(self.known))

    @cached_property
    def _accuracies(self) -> RateEstimates:
        return self._estimates(np.ones(len(self.known), dtype=np.bool_))

    def _estimates(self, base: Mask) -> RateEstimates:
        assert self.design is not None, "independent images are counted"
        return designed_estimates(
            self.membership,
            self.design,
            counts=self.known.correct,
            base=base,
            code=self.membership.row_code,
            options=self.options,
        )

    def _against_complement(self, g: int) -> tuple[Ints, Ints]:
        """Return right images and all images of group g and its complement, by class, each of shape (2, C)."""
        right, n = (np.stack([counts[g], counts.sum(axis=0) - counts[g]]) for counts in (self.right, self.n))
        return right, n

    def accuracy(self, g: int) -> Estimate:
        """Return the accuracy of group g."""
        level = self.options.confidence
        if self.design is None:
            return wilson(int(self.right[g].sum()), int(self.n[g].sum()), level)
        return rate_estimate(self._accuracies, g, confidence=level)

    def difference(self, g: int) -> Estimate:
        """Return the accuracy of group g minus that of the complement."""
        level = self.options.confidence
        if self.design is None:
            (k1, k2), (n1, n2) = (counts.sum(axis=1).tolist() for counts in self._against_complement(g))
            return newcombe(k1, n1, k2, n2, level)
        return difference_estimate(self._accuracies, g, confidence=level)

    def split(self, g: int) -> GapSplit:
        """Return the difference of group g split into class mix and rate."""
        level = self.options.confidence
        if self.design is None:
            return kitagawa_split(
                *self._against_complement(g), rng=self.rng, confidence=level, replicates=self.replicates
            )
        known_group = self.membership.code >= 0
        return clustered_kitagawa_split(
            self.known.correct[known_group],
            self._units.take(known_group),
            side=(self.membership.code[known_group] != g).astype(np.int64),
            kind=self.known.y_true[known_group],
            kinds=len(self.known.classes),
            confidence=level,
        )

    def adjusted(self, g: int, stratum: Ints, others: Floats | None) -> tuple[OddsRatio, Estimate]:
        """Return the gap of group g within strata: as odds, and adjusted by logistic regression.

        Args:
            g: the group.
            stratum: of each image whose group is known, in 0…S-1.
            others: indicators of each stratum's values, shape (S, K); None = too many.
        """
        known_group, level = self.membership.code >= 0, self.options.confidence
        right, member = self.known.correct[known_group], self.membership.code[known_group] == g
        too_many = Estimate(None, None, None, n=len(right), note="too many values to hold fixed")
        if self.design is not None:
            units = self._units.take(known_group)
            odds = clustered_mantel_haenszel(
                right, units, side=(~member).astype(np.int64), stratum=stratum, confidence=level
            )
            if others is None:
                return odds, too_many
            return odds, clustered_gap(right, units, member=member, others=others, pattern=stratum, confidence=level)
        strata = int(stratum.max(initial=-1)) + 1
        cell = stratum * 2 + ~member  # members first
        n = np.bincount(cell, minlength=2 * strata).reshape(-1, 2).T
        k = np.bincount(cell, weights=right, minlength=2 * strata).reshape(-1, 2).T.astype(np.int64)
        odds = mantel_haenszel(k, n, level)
        if others is None:
            return odds, too_many
        side, place = np.nonzero(n)
        return odds, adjusted_gap(
            k[side, place], n[side, place], member=side == 0, others=others[place], confidence=level
        )

    def recalls(self, c: int, tested: Mask) -> list[Recall]:
        """Return each group's recall of class c, and its difference from that of the complement.

        Args:
            c: the class.
            tested: the groups that are compared with the complement, shape (G,).
        """
        right, n, level = self.right[:, c], self.n[:, c], self.options.confidence
        counts = [
            (int(right[g]), int(n[g]), int((right.sum() - right)[g]), int((n.sum() - n)[g])) for g in range(len(n))
        ]
        recalls = [wilson(k, size, level, nothing="no images") for k, size, *_ in counts]
        if self.design is None:
            return [
                Recall(recall, newcombe(*four, level), fisher_exact(*four)) if tested[g] else Recall(recall, None, None)
                for g, (recall, four) in enumerate(zip(recalls, counts, strict=True))
            ]
        estimates = self._estimates(self.known.y_true == c)
        found = []
        for g, counted in enumerate(recalls):
            recall = rate_estimate(estimates, g, confidence=level) if n[g] else counted
            difference = difference_estimate(estimates, g, confidence=level) if tested[g] else None
            if difference is None or difference.value is None:
                found.append(Recall(recall, None, None))
            else:
                found.append(Recall(recall, difference, estimates.p(g)))
        return found

    def ordered(self, order: Sequence[int]) -> OrderedRates | None:
        """Return shape and tests of the accuracy along ordered groups.

        Args:
            order: positions of the groups, in their order.
        """
        if self.design is None:
            right, n = self.right.sum(axis=1)[list(order)], self.n.sum(axis=1)[list(order)]
            return ordered_rates(right, n, seed=self.options.seed)
        place = np.full(len(self.n) + 1, -1, dtype=np.int64)  # the last entry serves the missing, code -1
        place[list(order)] = np.arange(len(order))
        at = place[self.membership.code]
        known_group = at >= 0
        return clustered_ordered_rates(
            self.known.correct[known_group], at[known_group], len(order), self._units.take(known_group)
        )


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
