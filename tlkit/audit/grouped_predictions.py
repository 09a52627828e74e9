"""Labelled predictions with the groups of one combination of columns, and the rates of those groups."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from tlkit.arrays import Ints
from tlkit.audit.estimators import RateEstimates, SamplingDesign, designed_estimates, independent_estimates
from tlkit.audit.groups.intersections import GroupMembership
from tlkit.audit.options import AuditOptions
from tlkit.audit.rates import GroupCounts, Rate
from tlkit.predictions import Predictions
from tlkit.stats.cluster_sampling import Units


@dataclass(frozen=True, eq=False)
class GroupedPredictions:
    """Labelled predictions with their groups.

    Attributes:
        known: the labelled images, N of them.
        membership: the groups of these images: G groups, made of P patterns.
        design: sampling design; None = independent images of equal weight.
        options: sizes and levels.
    """

    known: Predictions
    membership: GroupMembership
    design: SamplingDesign | None
    options: AuditOptions

    @cached_property
    def code(self) -> Ints:
        """The pattern of each image, shape (N,), in 0…P; P = a value is missing."""
        return self.membership.row_code

    @cached_property
    def pattern_counts(self) -> GroupCounts:
        """Counts of the patterns, then of the images with a missing value."""
        return GroupCounts.count(
            y_true=self.known.y_true,
            y_pred=self.known.y_pred,
            group=self.code,
            classes=len(self.known.classes),
            groups=self.membership.patterns + 1,
        )

    @cached_property
    def counts(self) -> GroupCounts:
        """Counts of the groups, then of the images with a missing value."""
        parts = self.pattern_counts
        return GroupCounts(*map(self.membership.aggregate, (parts.n, parts.truly, parts.called, parts.rightly)))

    @cached_property
    def units(self) -> Units | None:
        """Weights and clusters of the images, a matched set as a cluster; None for independent images."""
        return None if self.design is None else self.design.units(len(self.known))

    def rates(self, rate: Rate, *, matched: bool = True) -> RateEstimates:
        """Return a rate of each group and of its complement; not `matched` = a matched set counts as a cluster."""
        of = None if rate.class_name is None else self.known.classes.index(rate.class_name)
        if self.design is None:
            k, n = self.pattern_counts.of(rate.metric, of)
            return independent_estimates(self.membership, k=k, n=n, options=self.options)
        counts, base = rate.outcomes(self.known.y_true, self.known.y_pred, of)
        design = self.design if matched else replace(self.design, paired=False)
        return designed_estimates(self.membership, design, counts=counts, base=base, options=self.options)

    def shares(self, class_name: str) -> RateEstimates:
        """Return the share of the images that are of a class; a matched set counts as a cluster."""
        c, counts = self.known.classes.index(class_name), self.pattern_counts
        if self.design is None:
            return independent_estimates(self.membership, k=counts.truly[:, c], n=counts.n, options=self.options)
        every, design = np.ones(len(self.known), dtype=np.bool_), replace(self.design, paired=False)
        return designed_estimates(
            self.membership, design, counts=self.known.y_true == c, base=every, options=self.options
        )
