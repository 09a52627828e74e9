"""Figures of a robustness report, from the clean and the corrupted predictions of the same images. Needs no torch."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from tlkit.arrays import Floats, Ints, Mask
from tlkit.audit.group_tables import CROSS
from tlkit.audit.groups.group_columns import GroupColumn
from tlkit.audit.groups.intersections import intersections, membership_of
from tlkit.audit.options import AuditOptions
from tlkit.data.augment.corruption_kinds import CORRUPTIONS, SEVERITIES
from tlkit.evaluation.clustered_figures import clustered_rate
from tlkit.evaluation.robustness_report import CorruptionResult, RobustnessVerdict, SeverityFigures, WorstCorruptedGroup
from tlkit.predictions import Predictions
from tlkit.stats.cluster_sampling import Units
from tlkit.stats.corrections import holm
from tlkit.stats.estimate import Estimate
from tlkit.stats.hypothesis_tests import mcnemar
from tlkit.stats.intervals import wilson
from tlkit.stats.means import clustered_mean, mean_estimate
from tlkit.stats.paired import Pairs, clustered_difference, paired_difference


@dataclass(frozen=True, eq=False)
class PairedImages:
    """What figures of one set of images need.

    Attributes:
        right: whether each clean image is predicted right, shape (M,).
        units: clusters of the images; None = independent.
        confidence: two-sided level of the intervals.
    """

    right: Mask
    units: Units | None
    confidence: float

    def take(self, inside: Mask) -> PairedImages:
        """Return the same of some images."""
        return PairedImages(
            self.right[inside], None if self.units is None else self.units.take(inside), self.confidence
        )

    def rate(self, counted: Mask) -> Estimate:
        """Return the share of images that are counted, with Wilson's interval, allowing for clusters."""
        if self.units is not None:
            return clustered_rate(counted, self.units, self.confidence)
        return wilson(int(counted.sum()), len(counted), self.confidence)

    def change(self, right: Mask) -> tuple[Estimate, float | None]:
        """Return the accuracy of `right` minus that of the clean images, and the p-value of no change.

        Newcombe's interval for paired rates and McNemar's exact test; with clusters `clustered_difference`.
        """
        if self.units is not None:
            difference, p = clustered_difference(right, self.right, self.units, self.confidence)
            return difference, p
        pairs = Pairs.from_correct(self.right, right)
        test = mcnemar(pairs.first, pairs.second)
        return paired_difference(pairs, self.confidence), None if test is None else test.p

    def mean(self, values: Floats) -> Estimate:
        """Return the mean of one number in [-1, 1] per image with Student's t interval."""
        if self.units is not None:
            return clustered_mean(values, self.units, self.confidence, lowest=-1.0, highest=1.0)
        return mean_estimate(values, self.confidence, lowest=-1.0, highest=1.0)


def corruption_results(
    clean: Predictions,
    corrupted: Mapping[str, Ints],
    *,
    units: Units | None,
    options: AuditOptions,
    group_severity: int,
) -> tuple[CorruptionResult, ...]:
    """Return the results of all corruptions, with p-values corrected for all of them.

    Args:
        clean: predictions of M labelled images.
        corrupted: predicted classes by corruption, shape (5, M), codes in `clean.classes`.
        units: clusters of the images; None = independent.
        options: columns, sizes and levels of the audit.
        group_severity: severity, 1 to 5, at which the worst group is searched.
    """
    images = PairedImages(clean.correct, units, options.confidence)
    memberships = list(_groups(clean, options))
    uncorrected = {name: _figures(name, clean, codes, images) for name, codes in corrupted.items()}
    adjusted = iter(holm([one.p for figures in uncorrected.values() for one in figures]))
    results = []
    for name, figures in uncorrected.items():
        severities = tuple(_with_holm(one, next(adjusted), options.alpha) for one in figures)
        right = corrupted[name] == clean.y_true
        first = next((one.severity for one in severities if one.certain_loss), None)
        facts = CORRUPTIONS[name]
        results.append(
            CorruptionResult(
                name=name,
                parameter=facts.parameter,
                source=facts.source,
                severities=severities,
                mean_change=images.mean(right.mean(axis=0) - images.right),
                first_loss=first,
                verdict=_verdict(severities, options.tolerance),
                worst=_worst(memberships, right[group_severity - 1], images, options.min_group_size),
            )
        )
    return tuple(results)


def _figures(name: str, clean: Predictions, codes: Ints, images: PairedImages) -> list[SeverityFigures]:
    found = []
    for severity, value, predicted in zip(SEVERITIES, CORRUPTIONS[name].values, codes, strict=True):
        right = np.asarray(predicted == clean.y_true)
        change, p = images.change(right)
        found.append(
            SeverityFigures(
                severity=severity,
                value=value,
                accuracy=images.rate(right),
                change=change,
                p=p,
                p_holm=None,
                certain_loss=False,
                consistency=images.rate(np.asarray(predicted == clean.y_pred)),
            )
        )
    return found


def _with_holm(one: SeverityFigures, p_holm: float | None, alpha: float) -> SeverityFigures:
    lower = one.change.value is not None and one.change.value < 0
    return replace(one, p_holm=p_holm, certain_loss=lower and p_holm is not None and p_holm <= alpha)


def _verdict(severities: Sequence[SeverityFigures], tolerance: float) -> RobustnessVerdict:
    if any(one.certain_loss for one in severities):
        return "LOSS"
    small = all(one.change.is_above(-tolerance) for one in severities)
    return "NO LOSS BEYOND TOLERANCE" if small else "NOT ENOUGH DATA"


def _groups(clean: Predictions, options: AuditOptions) -> Iterator[tuple[str, str, Mask]]:
    """Yield column, name and images of every group of the audit's columns and their intersections."""
    by_name = {spec.column: spec for spec in options.columns}
    singles: list[tuple[str, ...]] = [(name,) for name in by_name]
    for columns in singles + intersections(list(by_name), options.max_intersection_order):
        specs: tuple[GroupColumn, ...] = tuple(by_name[name] for name in columns)
        membership = membership_of(clean.groups, specs, max_values=options.max_values)
        for place, values in enumerate(membership.values):
            yield CROSS.join(columns), CROSS.join(values), membership.inside(place)


def _worst(
    memberships: Sequence[tuple[str, str, Mask]], right: Mask, images: PairedImages, least: int
) -> WorstCorruptedGroup | None:
    """Return the group with the lowest accuracy among those that are large enough; the larger one of equals."""
    large = [(by, group, inside) for by, group, inside in memberships if inside.sum() >= least]
    if not large:
        return None
    by, group, inside = min(large, key=lambda one: (right[one[2]].mean(), -one[2].sum(), one[0], one[1]))
    own, others = images.take(inside), images.take(~inside)
    change, _ = own.change(right[inside])
    if (~inside).any():
        rest, _ = others.change(right[~inside])
    else:
        rest = Estimate(None, None, None, n=0, note="no other images")
    return WorstCorruptedGroup(
        by=by,
        group=group,
        groups=len(large),
        accuracy=own.rate(right[inside]),
        change=change,
        extra=difference_of_changes(change, rest),
    )


def difference_of_changes(first: Estimate, second: Estimate) -> Estimate:
    """Return the difference of two independent estimates by the squared distances of their ends (MOVER).

    Zou & Donner (2008), Statistics in Medicine 27:1693, equation 6. Where the two share clusters, whose images go wrong
    together, the interval is too wide rather than too narrow.
    """
    n = first.n + second.n
    ends = (first.low, first.high, second.low, second.high)
    if first.value is None or second.value is None or None in ends:
        return Estimate(None, None, None, n=n, note=first.note or second.note or "no interval")
    low1, high1, low2, high2 = (float(end) for end in ends if end is not None)
    value = first.value - second.value
    down = math.hypot(first.value - low1, high2 - second.value)
    up = math.hypot(high1 - first.value, second.value - low2)
    return Estimate(value, value - down, value + up, n=n)
