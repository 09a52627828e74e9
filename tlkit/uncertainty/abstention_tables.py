"""The tables of an `Abstention`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tlkit.tables import Cell, Column, Table, counted
from tlkit.uncertainty.sampling import sampling_note

if TYPE_CHECKING:
    from tlkit.stats.selective_risk import RiskThreshold
    from tlkit.uncertainty.abstention_result import Abstention, GroupAbstention, JudgedThreshold

EPOCH_NOTE = "The validation images also chose the epoch, so thresholds are a little too favourable."


def abstention_tables(abstention: Abstention) -> tuple[Table, ...]:
    """Return the curve, then the thresholds and the groups where there are any."""
    thresholds = (thresholds_table(abstention),) if abstention.thresholds else ()
    groups = (coverage_by_group_table(abstention), risk_by_group_table(abstention)) if abstention.groups else ()
    return (curve_table(abstention), *thresholds, *groups)


def curve_table(abstention: Abstention) -> Table:
    """Return risk by coverage; the notes give the area under the curve."""
    level = f"{abstention.confidence:.0%}"
    notes = [
        f"Area under the curve (AURC): {abstention.aurc.format()}; a ranking by chance has "
        f"{abstention.error.value:.3f}, the best possible one {abstention.smallest_aurc:.3f}."
    ]
    notes += sampling_note(abstention.cluster_by, abstention.clusters, abstention.weights)
    if abstention.n_unlabelled:
        notes.append(f"Left out: {counted(abstention.n_unlabelled, 'image')} without a label.")
    return Table(
        name="risk_coverage",
        title=f"Risk by coverage, {counted(abstention.n, 'image')}; intervals at {level}",
        columns=(
            Column("coverage", "answered share", "percent"),
            Column("answered", "answered", "count"),
            Column("confidence", "confidence from", "number"),
            Column("risk", f"risk [{level}]", "estimate"),
        ),
        rows=tuple((one.coverage, one.risk.n, one.confidence, one.risk) for one in abstention.curve),
        notes=tuple(notes),
    )


def thresholds_table(abstention: Abstention) -> Table:
    """Return the thresholds with their counts on val, and coverage and risk on the judged images."""
    level = f"{abstention.confidence:.0%}"
    notes = [guarantee_sentence(abstention.thresholds[0].chosen)]
    notes += [EPOCH_NOTE] * abstention.val_chose_epoch
    notes += [missing_sentence(one.chosen) for one in abstention.thresholds if one.chosen.threshold is None]
    return Table(
        name="thresholds",
        title=f"Thresholds for a wanted risk, chosen on {counted(abstention.n_val or 0, 'validation image')}",
        columns=(
            Column("risk", "wanted risk", "number"),
            Column("threshold", "answer above confidence", "number", digits=4),
            Column("val_answered", "answered, val", "count"),
            Column("val_errors", "wrong, val", "count"),
            Column("coverage", f"answered share here [{level}]", "estimate"),
            Column("measured", f"risk here [{level}]", "estimate"),
        ),
        rows=tuple(_threshold_cells(one) for one in abstention.thresholds),
        notes=tuple(notes),
    )


def guarantee_sentence(chosen: RiskThreshold) -> str:
    """Return what a threshold guarantees, and when."""
    return (
        f"Guarantee: with {1 - chosen.delta:.0%} confidence over the draw of the validation images, the risk among "
        "answered images of the same distribution is at most the wanted one. It takes for granted that images are "
        "independent and that errors do not become rarer as confidence falls. It does not hold group by group."
    )


def missing_sentence(chosen: RiskThreshold) -> str:
    """Return why there is no threshold for a risk."""
    return (
        f"NOT ENOUGH DATA for a risk of {chosen.risk:g}: no threshold can be guaranteed with "
        f"{counted(chosen.n, 'validation image')}. It takes {chosen.needed:,} answered ones without an error, or more "
        "with some. Add validation images, or allow a higher risk."
    )


def _threshold_cells(one: JudgedThreshold) -> tuple[Cell, ...]:
    chosen = one.chosen
    threshold = None if chosen.threshold is None else max(0.0, chosen.threshold)
    return (chosen.risk, threshold, chosen.answered, chosen.errors, one.coverage, one.risk)


def coverage_by_group_table(abstention: Abstention) -> Table:
    """Return how often each group is answered."""
    level = f"{abstention.confidence:.0%}"
    return Table(
        name="coverage_by_group",
        title=f"Who is answered, at the threshold for a risk of {abstention.by_group_at:g}",
        columns=(
            Column("group", "group"),
            Column("n", "n", "count"),
            Column("answered", "answered", "count"),
            Column("coverage", f"answered share [{level}]", "estimate"),
            Column("gap", f"minus the complement [{level}]", "estimate", signed=True),
            Column("verdict", "verdict", "verdict"),
        ),
        rows=tuple(
            (_name(one), one.n, one.answered, one.coverage, one.coverage_gap, one.coverage_verdict)
            for one in abstention.groups
        ),
        notes=(f"Tolerance {abstention.tolerance:g}; Holm's correction over all groups.",),
    )


def risk_by_group_table(abstention: Abstention) -> Table:
    """Return the risk of each group without and with abstention, and whether its disadvantage grows."""
    level = f"{abstention.confidence:.0%}"
    return Table(
        name="risk_by_group",
        title="Risk by group, without and with abstention",
        columns=(
            Column("group", "group"),
            Column("error", f"everything answered [{level}]", "estimate"),
            Column("risk", f"among the answered [{level}]", "estimate"),
            Column("gap", f"minus the complement [{level}]", "estimate", signed=True),
            Column("verdict", "verdict", "verdict"),
            Column("change", f"growth of its disadvantage [{level}]", "estimate", signed=True),
            Column("widens", "does the gap widen?", "verdict"),
        ),
        rows=tuple(
            (_name(one), one.error, one.risk, one.risk_gap, one.risk_verdict, one.gap_change, one.change_verdict)
            for one in abstention.groups
        ),
        notes=(
            "Disadvantage: risk minus the complement's where that is above 0. Its growth: among the answered, less "
            "with all answered. FAIL: abstention widens it (Bonferroni over the groups); "
            "PASS: it grows by less than the tolerance.",
        ),
    )


def _name(one: GroupAbstention) -> str:
    return f"{one.column}: {one.group}"
