"""`judge_gates`: the verdict on each gate of a file: PASS, FAIL or NOT ENOUGH DATA."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, TypeVar, cast

import pandas as pd
from scipy.special import betainc, stdtr, stdtrit

from tlkit.arrays import Mask
from tlkit.audit.audit import rate_tables
from tlkit.audit.gates.gate_cases import GateCase, with_verdicts
from tlkit.audit.gates.gate_report import GateReason, GateReport, GateRow
from tlkit.audit.gates.gate_tables import counts_text
from tlkit.audit.gates.no_worse import no_worse_rows
from tlkit.audit.group_tables import CROSS, GroupRow, GroupTable, direction_of
from tlkit.audit.groups.group_columns import GroupColumn, columns_of
from tlkit.audit.groups.intersections import validate_columns
from tlkit.audit.options import AuditOptions
from tlkit.audit.paired_predictions import pair_predictions
from tlkit.audit.rates import MEANS, AnyMetric, Metric, Rate, rates_of
from tlkit.audit.redaction import redact
from tlkit.audit.sampling_design import design_problems
from tlkit.audit.verdicts import verdict
from tlkit.choices import Counted
from tlkit.errors import PredictionsError, did_you_mean, first_few
from tlkit.predictions import Predictions
from tlkit.predictions.validation import no_label
from tlkit.spelling import known_name
from tlkit.stats.estimate import Estimate

if TYPE_CHECKING:
    from tlkit.recipe.gates_file import Gates, GatesFile, Limit, Tolerance

logger = logging.getLogger(__name__)

Gate = TypeVar("Gate", "Tolerance", "Limit")


def judge_gates(
    predictions: Predictions,
    file: GatesFile,
    *,
    baseline: Predictions | None = None,
    options: AuditOptions | None = None,
) -> GateReport:
    """Return the verdict on every gate of a file for a model's predictions; none rests on a point estimate alone.

    A tolerance has the verdict of the audit, corrected over all tolerances. In a single column the images without a
    value are a group; intersections leave them out. A limit fails where the whole interval lies on its wrong side and
    an exact binomial test, corrected over all limits, agrees; it passes where the whole interval lies on its right
    side. "No worse" fails where the paired interval lies wholly below the margin and McNemar's exact test, corrected,
    agrees; it passes where the whole interval lies above it, or where both models predict the same class for every
    image. All of them allow for weights and clusters; "no worse" does by Student's t, and a matched set is a cluster. A
    gate that names no class is about every class, also of two; a group without a labelled image is NOT ENOUGH DATA.

    Args:
        predictions: with the group columns.
        file: the gates.
        baseline: predictions of the model to compare with; needed where the gates name one.
        options: of the audit behind the gates, such as those of a run's recipe; the file overrides them. A
            column that a gate gives by name alone is discretized as they say. Default: `AuditOptions()`.

    Raises:
        PredictionsError: a column or class is not there, or the baseline has no image in common.
    """
    file = _with_own_classes(file, predictions.classes)
    gates = file.gates
    options = gate_options(file, options or AuditOptions())
    labelled = predictions.y_true >= 0
    problems = list(gate_problems(predictions.groups, predictions.classes, labelled, file, options))
    if (worse := gates.no_worse_than) is not None and worse.metric not in (None, "accuracy"):
        where = file.where("no_worse_than", "metric")
        problems.append(f"{where}  Models of classes are no worse by their accuracy. Leave out {worse.metric}.")
    if problems:
        raise PredictionsError(*problems)
    rows: list[GateRow] = []
    images = int(labelled.sum())
    pairs = [tested_rates(predictions.classes, gates, of, options) for of in (gates.tolerances, gates.limits)]
    rows += tolerance_rows(rate_tables(predictions, pairs[0], options), file, options)
    rows += limit_rows(rate_tables(predictions, pairs[1], options), file, options)
    if gates.no_worse_than is not None:
        assert baseline is not None, "the caller reads the baseline of the file"
        paired = pair_predictions(baseline, predictions, names=(gates.no_worse_than.baseline, "these predictions"))
        rows += no_worse_rows(
            paired,
            predictions,
            by=options.cut(gates.no_worse_than.by),
            margin=gates.no_worse_than.margin,
            where=file.where("no_worse_than"),
            options=options,
        )
    report = GateReport(file.source, images, options, tuple(rows))
    logger.info("Gates of %s: %s.", file.source, counts_text(report))
    return report


def _with_own_classes(file: GatesFile, classes: Sequence[str]) -> GatesFile:
    """Return the gates with names of classes as the predictions write them, where they are other spellings."""

    def own(gate: Gate) -> Gate:
        name = None if gate.class_name is None else known_name(gate.class_name, classes)
        return gate.model_copy(update={"class_name": name})

    tolerances, limits = tuple(map(own, file.gates.tolerances)), tuple(map(own, file.gates.limits))
    return replace(file, gates=file.gates.model_copy(update={"tolerances": tolerances, "limits": limits}))


def gate_options(file: GatesFile, options: AuditOptions) -> AuditOptions:
    """Return the given options with the overrides of the file; each gate has its own tolerance."""
    gates = file.gates
    options = options.with_overrides(
        confidence=gates.confidence,
        alpha=gates.alpha,
        min_group_size=gates.min_group_size,
        weights=gates.weights,
        cluster_by=gates.cluster_by,
        pair_by=gates.pair_by,
    )
    worse = () if gates.no_worse_than is None else gates.no_worse_than.by
    try:
        columns = {spec.column: spec for spec in reversed(options.cut((*gates.columns, *worse)))}
    except PredictionsError as error:
        raise PredictionsError(*(f"{file.source}  {problem}" for problem in error.problems)) from None
    return replace(
        options, columns=tuple(reversed(columns.values())), metrics=("accuracy",), criteria=(), positive=None
    )


def gate_problems(
    groups: pd.DataFrame, classes: Sequence[str], labelled: Mask, file: GatesFile, options: AuditOptions
) -> Iterator[str]:
    """Yield a message, with its place in the file, for each column, class or option that is invalid.

    Args:
        groups: group columns of the images.
        classes: names of the classes or labels; none for numbers.
        labelled: which images have a known truth.
        file: the gates.
        options: those of `gate_options`.
    """
    for kind, gates in (("tolerances", file.gates.tolerances), ("limits", file.gates.limits)):
        for index, gate in enumerate(cast("Sequence[Tolerance | Limit]", gates)):
            where = file.where(kind, index, "by")
            found = validate_columns(groups, options.cut(gate.by), max_values=options.max_values)
            yield from (f"{where}  {problem}" for problem in found)
            if gate.class_name is not None and gate.class_name not in classes:
                yield (
                    f"{file.where(kind, index, 'class_name')}  There is no class {gate.class_name!r}."
                    f"{did_you_mean(gate.class_name, classes)} The classes are: {first_few(classes, most=20)}."
                )
    cuts: dict[str, str] = {}
    for column in file.gates.columns:
        for spec in columns_of(column):
            if cuts.setdefault(spec.column, column) != column:
                yield (
                    f"{file.source}  The gates cut {spec.column!r} in two ways: {cuts[spec.column]!r} and {column!r}. "
                    "Use one of them."
                )
    worse = file.gates.no_worse_than
    if not labelled.any():
        yield f"{file.source}  {no_label(len(labelled), consequence='no gate can be judged')}"
    wrong = options.problems(classes) + design_problems(groups, options, labelled=labelled)
    yield from (f"{file.source}  {problem}" for problem in wrong)
    if worse is not None and worse.by:
        where = file.where("no_worse_than", "by")
        found = validate_columns(groups, options.cut(worse.by), max_values=options.max_values)
        yield from (f"{where}  {problem}" for problem in found)


def tested_rates(
    classes: Sequence[str], gates: Gates, of: Sequence[Tolerance | Limit], options: AuditOptions
) -> list[tuple[tuple[GroupColumn, ...], Rate]]:
    """Return the columns and rates of gates of one kind; a gate that names no class is about every class."""
    found = []
    for gate in of:
        columns = options.cut([column for column in gates.columns if column in gate.by])  # in one order
        metric = cast("AnyMetric", gate.metric)
        found += [(columns, rate) for rate in rates_of((metric,), classes, gate.class_name)]
    return found


def _tables(tables: Sequence[GroupTable], gate: Tolerance | Limit) -> list[GroupTable]:
    names = {spec.column for spec in columns_of(gate.by)}  # "age:quantiles=4" is about the column age
    return [
        table
        for table in tables
        if set(table.columns) == names and table.metric == gate.metric and gate.class_name in (None, table.class_name)
    ]


def tolerance_rows(
    found: Sequence[GroupTable], file: GatesFile, options: AuditOptions, *, counted: Counted = "image"
) -> list[GateRow]:
    """Return the verdicts on the tolerances, from the tables of their rates, corrected together.

    Args:
        found: the tables.
        file: the gates.
        options: those of `gate_options`.
        counted: what the rates count.
    """
    rows = []
    for index, gate in enumerate(file.gates.tolerances):
        tables = _tables(found, gate)
        empty = partial(
            _gate_without_groups, "tolerance", file.where("tolerances", index), gate, gate.tolerance, counted
        )
        if not tables:
            rows.append(empty())
        for table in tables:
            judged = [row for row in table.rows if row.verdict is not None or _is_group_without_images(table, row)]
            for row in judged:
                gate_verdict = verdict(row.difference, row.p_holm, tolerance=gate.tolerance, alpha=options.alpha)
                nothing = Estimate(None, None, None, n=row.rate.n, note=row.rate.note)
                value = redact(row.difference or nothing, widest(table, options))
                rows.append(
                    GateRow(
                        kind="tolerance",
                        where=file.where("tolerances", index),
                        by=table.by,
                        group=row.name,
                        rate=table.rate_name,
                        bound=gate.tolerance,
                        n=row.rate.n,
                        value=value,
                        p_holm=row.p_holm,
                        verdict=gate_verdict,
                        reason=_undecided(row) or ("" if row.difference else "small complement"),
                        direction=direction_of(gate_verdict, row.difference),
                        counted=counted,
                    )
                )
            if not judged:
                rows.append(empty())
    return rows


def _is_group_without_images(table: GroupTable, row: GroupRow) -> bool:
    """Return whether a group of a single column, which must exist, has no labelled image: its gate must not pass."""
    return row.group is not None and row.images == 0 and len(table.columns) == 1


def limit_rows(
    found: Sequence[GroupTable], file: GatesFile, options: AuditOptions, *, counted: Counted = "image"
) -> list[GateRow]:
    """Return the verdicts on the limits, from the tables of their rates, corrected together; see `tolerance_rows`."""
    cases: list[GateCase] = []
    for index, gate in enumerate(file.gates.limits):
        where, tables = file.where("limits", index), _tables(found, gate)
        for bound, kind in ((gate.at_least, "at least"), (gate.at_most, "at most")):
            if bound is None:
                continue
            rows = [
                case
                for table in tables
                for case in _limit_cases(
                    table, bound, where=where, floor=kind == "at least", options=options, counted=counted
                )
            ]
            cases += rows or [
                GateCase(_gate_without_groups(kind, where, gate, bound, counted), None, beyond=False, within=False)
            ]
    return with_verdicts(cases, options.alpha)


def _limit_cases(
    table: GroupTable, bound: float, *, where: str, floor: bool, options: AuditOptions, counted: Counted
) -> Iterator[GateCase]:
    for row in table.rows:
        if row.images == 0 and not _is_group_without_images(table, row):
            continue
        if row.group is None and len(table.columns) > 1:  # missing values are tested in the table of their column
            continue
        rate, p, beyond, within = row.rate, None, False, False
        if rate.value is not None and rate.low is not None and rate.high is not None:
            size = rate.n if row.n_eff is None else row.n_eff
            size = size if row.clusters is None or not is_mean(table) else row.clusters
            p = (
                limit_p(rate, size, bound, floor=floor, confidence=options.confidence, of_losses=of_losses(table))
                if is_mean(table)
                else _binomial_p(rate.value * size, size, bound, floor=floor)
            )
            beyond = rate.high < bound if floor else rate.low > bound
            within = rate.low >= bound if floor else rate.high <= bound
        yield GateCase(
            GateRow(
                kind="at least" if floor else "at most",
                where=where,
                by=table.by,
                group=row.name,
                rate=table.rate_name,
                bound=bound,
                n=rate.n,
                value=redact(rate, widest(table, options)),
                reason=_undecided(row),
                counted=counted,
            ),
            p,
            beyond,
            within,
        )


def _binomial_p(k: float, n: float, bound: float, *, floor: bool) -> float:
    """Return the exact one-sided binomial p-value of k of n, which may be effective, against a rate of `bound`."""
    if floor:
        return 1.0 if k >= n else float(1 - betainc(k + 1, n - k, bound))
    return 1.0 if k <= 0 else float(betainc(k, n - k + 1, bound))


def is_mean(table: GroupTable) -> bool:
    """Return whether a table is about a mean of numbers, in their unit."""
    return table.metric in MEANS


def of_losses(table: GroupTable) -> bool:
    """Return whether a table is about a mean of at least 0, whose interval is on the log scale."""
    return table.metric == "mean_absolute_error"


def widest(table: GroupTable, options: AuditOptions) -> float:
    """Return half the width up to which an interval shows its value: any, of means in a unit of their own."""
    return math.inf if is_mean(table) else options.max_half_width


def limit_p(
    mean: Estimate, size: float, bound: float, *, floor: bool, confidence: float, of_losses: bool
) -> float | None:
    """Return the one-sided p-value of a mean against a bound: the test whose interval is that of the mean.

    Student's t with size − 1 degrees of freedom and the standard error that the interval has; of losses on the log
    scale. None without an interval.

    Args:
        mean: with its interval.
        size: images, or clusters.
        bound: the limit.
        floor: whether the mean should be at least the bound; else at most.
        confidence: level of the interval.
        of_losses: whether the interval is on the log scale.
    """
    value, high = mean.value, mean.high
    if value is None or high is None or size < 2:
        return None
    width = high - value
    if of_losses:
        if not bound > 0:
            return 1.0 if floor else 0.0
        value, width, bound = math.log(value), math.log(high) - math.log(value), math.log(bound)
    elif mean.low is not None:
        width = max(width, value - mean.low)  # an interval of shares ends at 0 and 1
    error = width / float(stdtrit(size - 1, 0.5 + confidence / 2.0))
    return float(stdtr(size - 1, (value - bound) / error * (1 if floor else -1)))


def _undecided(row: GroupRow) -> GateReason:
    return "no labels" if row.images == 0 else "no estimate" if row.rate.value is None else ""


def _gate_without_groups(kind: str, where: str, gate: Tolerance | Limit, bound: float, counted: Counted) -> GateRow:
    """Return the row of a gate without any group: NOT ENOUGH DATA."""
    nothing = Estimate(None, None, None, n=0, note="no two groups to compare" if kind == "tolerance" else "no groups")
    rate = Rate(cast("Metric", gate.metric), gate.class_name).name
    by = CROSS.join(gate.by)
    return GateRow(kind, where, by, "(none)", rate, bound, 0, nothing, reason="no estimate", counted=counted)
