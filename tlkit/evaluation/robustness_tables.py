"""The tables of a `RobustnessReport`, and the sentences about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tlkit.tables import Column, Table, counted

if TYPE_CHECKING:
    from tlkit.evaluation.robustness_report import CorruptionResult, RobustnessReport


def robustness_tables(report: RobustnessReport) -> tuple[Table, ...]:
    """Return a summary by corruption, the figures of every severity, and the worst groups where there are groups."""
    groups = (_worst(report),) if report.columns else ()
    return (_summary(report), *groups, _severities(report))


def _summary(report: RobustnessReport) -> Table:
    def row(one: CorruptionResult) -> tuple[str, object, object, str, object, object]:
        middle, last = one.severities[2], one.severities[-1]
        verdict = f"LOSS from severity {one.first_loss}" if one.verdict == "LOSS" else one.verdict
        return one.name, middle.change, last.change, verdict, one.mean_change, last.consistency

    return Table(
        name="robustness",
        title=f"Robustness of {report.run} on {counted(report.n, f'{report.split} image')}: "
        f"clean accuracy {report.clean.format()}",
        columns=(
            Column("corruption", "corruption"),
            Column("change_3", "change at severity 3", "estimate", signed=True),
            Column("change_5", "change at severity 5", "estimate", signed=True),
            Column("verdict", "verdict", "word"),
            Column("mean_change", "mean change", "estimate", signed=True),
            Column("consistency_5", "same class at 5", "estimate"),
        ),
        rows=tuple(row(one) for one in report.corruptions),  # type: ignore[misc]
        notes=tuple(_notes(report)),
    )


def _notes(report: RobustnessReport) -> list[str]:
    test = f"a test that allows for clusters by {report.clusters}" if report.clusters else "McNemar's exact test"
    notes = [
        "Change: accuracy under the corruption minus clean accuracy, on the same images. "
        f"{report.confidence:.0%} intervals, each for its own figure.",
        f"LOSS: by {test}, corrected for all {report.tests} tests (Holm, {report.alpha:g}). NO LOSS BEYOND TOLERANCE: "
        f"every interval ends above −{report.tolerance:g}. A corruption that gains is not one that loses.",
    ]
    if any(one.verdict == "NOT ENOUGH DATA" for one in report.corruptions):
        notes.append(f"NOT ENOUGH DATA: neither can be said with {counted(report.n, 'image')}. {_detectable(report)}")
    if report.trained_on:
        notes.append("WARNING: the model was trained on these images.")
    if not report.columns:
        notes.append(
            "No group columns: the worst group is not known. Name them in data.groups, or join them (--groups)."
        )
    return [note.strip() for note in notes]


def _detectable(report: RobustnessReport) -> str:
    if report.clusters:
        return ""
    if report.detectable is None:
        return "Even the largest loss possible is not found if a tenth of them change sides."
    return (
        f"If a tenth of them change sides, a single test finds a loss of {report.detectable:.3f} or more in 80 % of "
        "cases."
    )


def _severities(report: RobustnessReport) -> Table:
    return Table(
        name="robustness_severities",
        title="Every corruption and severity",
        columns=(
            Column("corruption", "corruption"),
            Column("severity", "severity", "count"),
            Column("value", "value", "significant", digits=3),
            Column("accuracy", "accuracy", "estimate"),
            Column("change", "change", "estimate", signed=True),
            Column("p_holm", "p (Holm)", "p_value"),
            Column("loss", "certain loss", "word"),
            Column("consistency", "same class as clean", "estimate"),
        ),
        rows=tuple(
            (
                one.name,
                at.severity,
                at.value,
                at.accuracy,
                at.change,
                at.p_holm,
                "yes" if at.certain_loss else "no",
                at.consistency,
            )
            for one in report.corruptions
            for at in one.severities
        ),
        notes=tuple(f"{one.name}: the value is {one.parameter} ({one.source})." for one in report.corruptions),
    )


def _worst(report: RobustnessReport) -> Table:
    found = [(one.name, one.worst) for one in report.corruptions if one.worst is not None]
    return Table(
        name="robustness_groups",
        title=f"The worst group under each corruption, at severity {report.group_severity}",
        columns=(
            Column("corruption", "corruption"),
            Column("by", "by"),
            Column("group", "group"),
            Column("accuracy", "accuracy", "estimate"),
            Column("change", "change", "estimate", signed=True),
            Column("extra", "change beyond that of the rest", "estimate", signed=True),
        ),
        rows=tuple((name, worst.by, worst.group, worst.accuracy, worst.change, worst.extra) for name, worst in found),
        notes=(
            f"The lowest accuracy among the groups of {', '.join(report.columns)} with at least "
            f"{report.min_group_size} images. The worst of many is partly so by chance, which its intervals do not "
            "allow for; the last column says whether it loses more than all other images."
            if found
            else f"NOT ENOUGH DATA: no group of {', '.join(report.columns)} has {report.min_group_size} images.",
        ),
    )
