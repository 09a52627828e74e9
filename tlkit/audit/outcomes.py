"""`Outcomes`: what an audit needs to know of any task: numerator and denominator of each image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

import numpy as np
import numpy.typing as npt

from tlkit.arrays import Floats, Ints, Mask
from tlkit.audit.estimators import RateEstimates, SamplingDesign, designed_estimates
from tlkit.audit.group_vs_rest import UntestedTable, untested_table
from tlkit.audit.groups.intersections import GroupMembership
from tlkit.audit.mean_estimates import MeanEstimates, mean_estimates
from tlkit.audit.options import AuditOptions
from tlkit.audit.rates import MeanMetric, Rate
from tlkit.audit.row_intervals import overall_rate
from tlkit.stats.estimate import Estimate


@dataclass(frozen=True, eq=False)
class Outcomes:
    """One rate or mean of N images: its value is the sum of the numerators over that of the denominators.

    Attributes:
        rate: which one it is.
        numerator: of a rate whether an image counts in it, of a mean the image's number, shape (N,).
        denominator: whether an image counts in the denominator, shape (N,).
        tolerance: of a mean, the largest difference from the complement that is tolerated, in its unit.
    """

    rate: Rate
    numerator: Mask | Floats
    denominator: Mask
    tolerance: float | None = None

    @property
    def is_mean(self) -> bool:
        """Whether it is a mean of numbers, not a rate."""
        return self.rate.metric in get_args(MeanMetric)

    def overall(self, design: SamplingDesign | None, options: AuditOptions) -> Estimate:
        """Return the rate or the mean over all images, with its interval."""
        if not self.denominator.any():
            return Estimate(None, None, None, n=0, note=self.rate.nothing)
        if not self.is_mean:
            return overall_rate(self.numerator.astype(np.bool_), self.denominator, design, options)
        everyone = GroupMembership((), ((),), np.zeros(len(self.denominator), dtype=np.int64))
        return self._means(everyone, design).estimate(0, options.confidence, least=1)

    def compare(
        self, membership: GroupMembership, design: SamplingDesign | None, options: AuditOptions
    ) -> UntestedTable[RateEstimates] | UntestedTable[MeanEstimates]:
        """Return the groups compared with their complements, before Holm's correction."""
        code = membership.row_code
        images: Ints = membership.aggregate(np.bincount(code, minlength=membership.patterns + 1)).astype(np.int64)
        if self.is_mean:
            return untested_table(
                membership, self.rate, self._means(membership, design), images=images, options=options
            )
        counts: npt.NDArray[np.bool_] = self.numerator.astype(np.bool_)
        rates = designed_estimates(membership, design, counts=counts, base=self.denominator, options=options)
        return untested_table(membership, self.rate, rates, images=images, options=options)

    def _means(self, membership: GroupMembership, design: SamplingDesign | None) -> MeanEstimates:
        assert self.tolerance is not None, "a mean has a tolerance in its unit"
        return mean_estimates(
            membership,
            design,
            numerator=self.numerator.astype(np.float64),
            denominator=self.denominator.astype(np.float64),
            tolerance=self.tolerance,
            of_losses=self.rate.metric == "mean_absolute_error",
            of_shares=self.rate.metric in ("mean_iou", "iou"),
        )
