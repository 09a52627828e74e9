"""Non-inferiority on the same images: a model may lose no more accuracy than a margin, overall and in every group."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from tlkit.arrays import Mask
from tlkit.audit.gates.gate_cases import GateCase, with_verdicts
from tlkit.audit.gates.gate_report import GateReason, GateRow
from tlkit.audit.groups.group_columns import GroupColumn, discretize
from tlkit.audit.options import AuditOptions
from tlkit.audit.paired_predictions import Change, PairedPredictions, change_of
from tlkit.audit.redaction import redact
from tlkit.audit.sampling_design import design_of
from tlkit.predictions import Predictions
from tlkit.stats.estimate import Estimate
from tlkit.stats.paired import pairs_needed

EVERY = "all images"


def no_worse_rows(
    paired: PairedPredictions,
    predictions: Predictions,
    *,
    by: Sequence[GroupColumn],
    margin: float,
    where: str,
    options: AuditOptions,
    same_passes: bool = True,
) -> list[GateRow]:
    """Return the verdicts on "the second model loses no more accuracy than the margin", overall and for each group.

    PASS where the whole paired interval lies above minus the margin, FAIL where it lies wholly below and McNemar's
    exact test, corrected over these gates by Holm's method, agrees; else NOT ENOUGH DATA.

    Args:
        paired: both models on the same images.
        predictions: of the second model, whose groups without a common labelled image are NOT ENOUGH DATA.
        by: the group columns.
        margin: largest loss of accuracy that is tolerated, in [0, 1).
        where: the place of the gate, such as "gates.yaml:7".
        options: sizes, levels and design.
        same_passes: whether two models that predict the same class for every image pass whatever the interval. True
            says something of two versions of one deployed model on its own images; False says that few equal answers
            prove little about others.
    """
    parts: list[tuple[str, str, Mask]] = [(EVERY, EVERY, np.ones(len(paired), dtype=bool))]
    unseen: list[tuple[str, str]] = []
    for spec in by:
        groups = paired.group_masks(spec, max_values=options.max_values)
        seen = {name for _, name, rows in groups if rows.any()}
        unseen += [(column, name) for column, name in _group_names(predictions, spec, options) if name not in seen]
        parts += groups
    row = partial(GateRow, "no worse", where, rate="accuracy", bound=margin)
    design = design_of(paired.groups, options, level=logging.DEBUG)
    alike = same_passes and bool(paired.same.all())
    cases = []
    for column, name, rows in parts:
        if rows.any():
            change = change_of(paired, rows, design, options.confidence)
            make = partial(row, by=column, group=name, n=change.pairs.n)
            cases.append(_change_case(change, make, margin, alike=alike, options=options))
    for column, name in unseen:
        nothing = Estimate(None, None, None, n=0, note="no labelled image that both predicted")
        empty = row(by=column, group=name, n=0, value=nothing, reason="no estimate")
        cases.append(GateCase(empty, None, beyond=False, within=False))
    return with_verdicts(cases, options.alpha)


def _change_case(
    change: Change, row: Callable[..., GateRow], margin: float, *, alike: bool, options: AuditOptions
) -> GateCase:
    """Return the case of a change of the accuracy; `row` takes its value, its reason and the images needed."""
    pairs, difference = change.pairs, change.difference
    low, high = (-1.0 if difference.low is None else difference.low), (difference.high or 0.0)
    large = pairs.n >= options.min_group_size and difference.low is not None
    reason: GateReason = "same predictions" if alike else "" if large else "no estimate"
    needed = None
    if not reason and margin > 0 and not options.design_columns:
        images = pairs_needed(margin, pairs.discordant / pairs.n, alpha=options.alpha)
        if images is not None and images > pairs.n:
            reason, needed = "more images", images
    few = f"n = {pairs.n}, fewer than {options.min_group_size}" if pairs.n < options.min_group_size else ""
    nothing = Estimate(None, None, None, n=pairs.n, note=few or difference.note)
    found = redact(difference, options.max_half_width) if large else nothing
    return GateCase(
        row(value=found, reason=reason, needed=needed),
        change.p if large else None,
        beyond=large and high < -margin,
        within=alike or (large and low >= -margin),
    )


def _group_names(predictions: Predictions, spec: GroupColumn, options: AuditOptions) -> list[tuple[str, str]]:
    """Return column and name of the groups of a model's predictions; none of quantiles, which depend on the images."""
    level = discretize(predictions.groups[spec.column], spec, max_values=options.max_values)
    if level.kind == "continuous" and not spec.bins:
        return []
    return [(level.column, name) for name in level.values]
