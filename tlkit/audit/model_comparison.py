"""`Comparison`: the paired difference of two models on the same images, overall, by class and by group."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from tlkit.arrays import Mask
from tlkit.audit.comparison_tables import comparison_tables
from tlkit.audit.estimators import SamplingDesign
from tlkit.audit.group_tables import ALL, CLASS
from tlkit.audit.groups.group_columns import By
from tlkit.audit.groups.intersections import usable_columns, validate_columns
from tlkit.audit.options import AuditOptions
from tlkit.audit.paired_predictions import Change, PairedPredictions, change_of, pair_predictions
from tlkit.audit.redaction import refuse_redacted
from tlkit.audit.row_intervals import overall_accuracy
from tlkit.audit.sampling_design import design_of, design_problems
from tlkit.choices import RESOLVED_DIFFERENCE, ChangeDirection
from tlkit.errors import PredictionsError, refuse_newer
from tlkit.plain_values import from_plain, to_plain
from tlkit.predictions import Predictions
from tlkit.spelling import warn_of_lookalikes
from tlkit.stats.corrections import holm
from tlkit.stats.estimate import Estimate
from tlkit.stats.paired import Pairs, detectable_paired_difference, pairs_needed
from tlkit.tables import Table, to_html

FORMAT_VERSION = 1


@dataclass(frozen=True)
class ChangeRow:
    """The change from the first to the second model on some of the images.

    Attributes:
        by: "(all)", "(class)", or a group column.
        name: the class or group; "all images" for all.
        pairs: counts of images by which model is right.
        first: accuracy of the first model with a Wilson interval.
        second: accuracy of the second model with a Wilson interval.
        difference: second minus first, with Newcombe's interval for pairs, or that of clusters or weights; undefined
            where all images are of one cluster.
        p: exact McNemar p-value, or that of the t test on clusters; None where there is no test.
        p_holm: corrected over all classes and groups of the comparison; for all images it equals p.
        change: better or worse where p_holm is below alpha; "not distinguishable" does not mean equal.
        detectable: the smallest difference that so many independent pairs could have shown (80 % power); None = no
            difference, or weighted or clustered images.
        needed: about how many independent pairs a difference as large as the one seen would need; None where the
            difference is 0 or significant, or for weighted or clustered images.
        resolving: about how many independent pairs would show a difference of `RESOLVED_DIFFERENCE`; None where
            `needed` would be, save for a difference of 0, and where no image differs.
        small: whether tables show only its size: a group of fewer images than `min_group_size`, or no difference is
            defined.
    """

    by: str
    name: str
    pairs: Pairs
    first: Estimate
    second: Estimate
    difference: Estimate
    p: float | None
    p_holm: float | None
    change: ChangeDirection
    detectable: float | None
    needed: int | None
    small: bool
    resolving: int | None = None


@dataclass(frozen=True)
class Comparison:
    """The paired difference of two models on the same images. `compare_predictions` makes it.

    Attributes:
        first: name of the first model.
        second: name of the second model.
        images: labelled images that both predicted.
        only_first: images that only the first predicted; left out.
        only_second: images that only the second predicted; left out.
        unlabelled: images of both without a label; left out.
        settings: the options that it was made with.
        tests: tests of classes and groups that Holm's correction counts.
        rows: all images, then each class, then the groups of each column.
        leaked: how many of the images were in a model's training data; they are in all rows.
        without_leaks: the row of all other images, with a test of its own; None where none leaked, or all did.
    """

    first: str
    second: str
    images: int
    only_first: int
    only_second: int
    unlabelled: int
    settings: AuditOptions
    tests: int
    rows: tuple[ChangeRow, ...]
    leaked: int = 0
    without_leaks: ChangeRow | None = None

    @property
    def test_name(self) -> str:
        """The test of a change, as text."""
        if not self.settings.design_columns:
            return "McNemar"
        return "weighted t" if self.settings.unit_column is None else "t on clusters"

    @property
    def overall(self) -> ChangeRow:
        """The row of all images."""
        return self.rows[0]

    def table(self) -> pd.DataFrame:
        """Return one row per class, group, and all images, as a DataFrame."""
        return pd.DataFrame(
            [
                {
                    "by": row.by,
                    "name": row.name,
                    "n": row.pairs.n,
                    "first": row.first.value,
                    "second": row.second.value,
                    "difference": row.difference.value,
                    "low": row.difference.low,
                    "high": row.difference.high,
                    "only_first_right": row.pairs.first,
                    "only_second_right": row.pairs.second,
                    "p": row.p,
                    "p_holm": row.p_holm,
                    "change": row.change,
                }
                for row in self.rows
            ]
        )

    def tables(self) -> tuple[Table, ...]:
        """Return the table of changes for readers; its notes say what changed, and what is not distinguishable."""
        return comparison_tables(self)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values with every number, also those of small groups; `from_dict` reads them back."""
        return {"version": FORMAT_VERSION, "complete": True, **to_plain(self)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Comparison:
        """Read what `to_dict` wrote.

        Raises:
            TlkitError: it was written by a newer tlkit, or is redacted.
        """
        refuse_redacted("This comparison", values, "what `Comparison.to_dict` returns")
        refuse_newer("This comparison was", values["version"], known=FORMAT_VERSION)
        return from_plain(cls, values)

    def __repr__(self) -> str:
        one = self.overall
        change = f"accuracy {one.first.format()} → {one.second.format()}, {one.change}"
        return f"Comparison({self.first} with {self.second}: {self.images} images, {change})"

    def _repr_html_(self) -> str:
        return to_html(self.tables())


def compare_predictions(
    first: Predictions,
    second: Predictions,
    *,
    by: By | Sequence[By] | None = None,
    names: tuple[str, str] = ("first", "second"),
    leaked: Collection[str] = (),
    min_group_size: int | None = None,
    confidence: float | None = None,
    alpha: float | None = None,
    weights: str | None = None,
    cluster_by: str | None = None,
    pair_by: str | None = None,
) -> Comparison:
    """Compare two models on the images that both predicted: overall, for each class, and for each group.

    Every comparison is paired, image by image, so that the difficulty of images cancels out: exact McNemar tests,
    corrected by Holm's method over classes and groups, and Newcombe's interval for pairs. Weighted or clustered images
    have Student's t on the clusters instead. An argument that is None takes the default of `AuditOptions`.

    Args:
        first: predictions of one model, such as the one in use.
        second: predictions of another one on the same images; matched by path, classes by name.
        by: group columns, as `audit_groups` takes them; default: all columns of either table that do not look like
            identifiers.
        names: what to call the two.
        leaked: paths of images in the training data of either model: kept in all rows, and left out of a row of its
            own.
        min_group_size: smaller groups show their size and nothing else.
        confidence: two-sided level of the intervals, in (0, 1).
        alpha: chance of any false alarm among classes and groups, in (0, 1).
        weights: group column of numbers of at least 0 that weight the images.
        cluster_by: group column of the clusters, such as the subject.
        pair_by: group column of matched sets, each of which counts as a cluster.

    Raises:
        PredictionsError: no image is common to both, they disagree about a label, or a column is not there.

    Example:
        >>> images = {"classes": ["cat", "dog"], "path": [str(i) for i in range(100)], "y_true": [0] * 100}
        >>> old = Predictions.build(**images, y_pred=[1] * 30 + [0] * 70)
        >>> new = Predictions.build(**images, y_pred=[1] * 15 + [0] * 85)
        >>> found = compare_predictions(old, new)
        >>> found.overall.difference.format(), found.overall.change
        ('0.150 [0.078, 0.226]', 'better')
    """
    options = AuditOptions().with_overrides(
        by=by,
        min_group_size=min_group_size,
        confidence=confidence,
        alpha=alpha,
        weights=weights,
        cluster_by=cluster_by,
        pair_by=pair_by,
    )
    return compare_models(first, second, options, names=names, leaked=leaked, all_columns=by is None)


def compare_models(
    first: Predictions,
    second: Predictions,
    options: AuditOptions,
    *,
    names: tuple[str, str] = ("first", "second"),
    leaked: Collection[str] = (),
    all_columns: bool = False,
) -> Comparison:
    """Return the comparison of two models on the images that both predicted; see `compare_predictions`.

    Args:
        first: predictions of one model.
        second: predictions of another one.
        options: group columns, sizes, levels and design.
        names: what to call the two.
        leaked: paths of images in the training data of either model.
        all_columns: compare by all columns that do not look like identifiers, instead of those of the options.

    Raises:
        PredictionsError: no image is common to both, they disagree about a label, a column is not there, or an option
            is out of its range.
    """
    paired = pair_predictions(first, second, names=names)
    if all_columns:
        options = replace(
            options, columns=usable_columns(paired.groups, used=options.design_columns, max_values=options.max_values)
        )
    problems = options.problems(second.classes)
    if options.columns:
        problems += validate_columns(paired.groups, options.columns, max_values=options.max_values)
    problems += design_problems(paired.groups, options)
    if problems:
        raise PredictionsError(*problems)
    for spec in options.columns:
        values = map(str, paired.groups[spec.column].dropna().unique())
        warn_of_lookalikes(values, what=f"Group column {spec.column}", hint=lambda _: "They count as different groups.")
    design = design_of(paired.groups, options, level=logging.DEBUG)
    everything = np.ones(len(paired), dtype=bool)
    seen = np.isin(paired.path.astype(str), list(leaked)) if leaked else ~everything
    parts = [(ALL, "all images", everything)]
    parts += [(CLASS, str(name), np.asarray(paired.label == name)) for name in sorted(set(paired.label.tolist()))]
    for spec in options.columns:
        parts += paired.group_masks(spec, max_values=options.max_values)
    parts = [part for part in parts if part[2].any()]
    changes = [change_of(paired, rows, design, options.confidence) for *_, rows in parts]
    adjusted = [changes[0].p, *holm([change.p for change in changes[1:]])]
    rows = [
        _row(kind, name, paired, inside, change, p_holm=p_holm, design=design, options=options)
        for (kind, name, inside), change, p_holm in zip(parts, changes, adjusted, strict=True)
    ]
    clean = None
    if seen.any() and not seen.all():
        change = change_of(paired, ~seen, design, options.confidence)
        clean = _row(ALL, "without leaks", paired, ~seen, change, p_holm=change.p, design=design, options=options)
    return Comparison(
        first=names[0],
        second=names[1],
        images=len(paired),
        only_first=paired.only_first,
        only_second=paired.only_second,
        unlabelled=paired.unlabelled,
        settings=options,
        tests=sum(change.p is not None for change in changes[1:]),
        rows=tuple(rows),
        leaked=int(seen.sum()),
        without_leaks=clean,
    )


def _row(
    kind: str,
    name: str,
    paired: PairedPredictions,
    inside: Mask,
    change: Change,
    *,
    p_holm: float | None,
    design: SamplingDesign | None,
    options: AuditOptions,
) -> ChangeRow:
    pairs, difference = change.pairs, change.difference
    direction: ChangeDirection = "not distinguishable"
    if p_holm is not None and p_holm < options.alpha:
        direction = "better" if (difference.value or 0.0) > 0 else "worse"
    own = None if design is None else design.take(inside)
    first, second = (
        overall_accuracy(right[inside], own, options) for right in (paired.first_right, paired.second_right)
    )
    share, detectable, needed = pairs.discordant / pairs.n, None, None
    resolving = None
    if design is None:
        assert difference.value is not None, "a row has images"
        detectable = detectable_paired_difference(pairs.n, share, alpha=options.alpha)
        if direction == "not distinguishable":
            needed = pairs_needed(difference.value, share, alpha=options.alpha)
            if pairs.discordant:
                resolving = pairs_needed(RESOLVED_DIFFERENCE, share, alpha=options.alpha)
    few = kind not in (ALL, CLASS) and pairs.n < options.min_group_size
    return ChangeRow(
        by=kind,
        name=name,
        pairs=pairs,
        first=first,
        second=second,
        difference=difference,
        p=change.p,
        p_holm=p_holm,
        change=direction,
        detectable=detectable,
        needed=needed,
        small=few or difference.value is None,
        resolving=resolving,
    )
