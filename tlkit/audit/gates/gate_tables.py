"""Table of a `GateReport`: estimate and verdict of each gate and group."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tlkit.stats.estimate import Estimate
from tlkit.tables import Cell, Column, Mark, Table, counted
from tlkit.tables.formatting import SIGNS

if TYPE_CHECKING:
    from tlkit.audit.gates.gate_report import GateReport, GateRow


def gate_tables(report: GateReport) -> tuple[Table, ...]:
    """Return the table of the gates."""
    return (gate_table(report),)


def gate_table(report: GateReport) -> Table:
    """Return the gates: a limit is about a rate, a tolerance about a difference, "no worse" about a change.

    A wide interval is shown without its value.
    """
    level = f"{report.settings.confidence:.0%}"
    marks: dict[int, Mark] = {
        place: "better" if _is_better(row) else "worst"
        for place, row in enumerate(report.rows)
        if row.verdict == "FAIL"
    }
    return Table(
        name="gates",
        title=f"Gates of {report.source}: {SIGNS[report.verdict]}",
        columns=(
            Column("gate", "gate"),
            Column("by", "by"),
            Column("group", "group"),
            Column("n", "n" if report.objects is None else "objects", "count"),
            Column("rate", f"rate [{level}]", "estimate"),
            Column("difference", f"difference [{level}]", "estimate", signed=True),
            Column("p_holm", "p (Holm)", "p_value"),
            Column("verdict", "verdict", "verdict"),
            Column("note", "note"),
            Column("where", "line"),
        ),
        rows=tuple(map(_gate, report.rows)),
        notes=(
            f"{counts_text(report)}; {judged_text(report)}.",
            "A gate passes or fails where the whole interval lies on one side of its bound, and fails only if the "
            f"corrected test agrees (alpha {report.settings.alpha:g}). NOT ENOUGH DATA is not a pass.",
        ),
        marks=marks,
    )


def _gate(row: GateRow) -> tuple[Cell, ...]:
    found: Estimate | None = row.value if row.value.low is not None else None
    rate, difference = (found, None) if row.kind in ("at least", "at most") else (None, found)
    return (
        gate_condition(row),
        row.by,
        row.group,
        row.n,
        rate,
        difference,
        row.p_holm,
        row.verdict,
        gate_note(row),
        row.where,
    )


def counts_text(report: GateReport) -> str:
    """Return the number of gates that passed, failed and are undecided as text."""
    verdicts = [row.verdict for row in report.rows]
    undecided = verdicts.count("NOT ENOUGH DATA")
    return f"{verdicts.count('PASS')} passed, {verdicts.count('FAIL')} failed, {undecided} cannot be decided"


def judged_text(report: GateReport) -> str:
    """Return how many images, and of boxes how many objects, the gates were judged on, as text."""
    images = counted(report.images, "labelled image")
    return images if report.objects is None else f"{images} with {counted(report.objects, 'object')}"


def gate_note(row: GateRow) -> str:
    """Return in words why a gate has no verdict, why it passes without an interval, or on which side it fails."""
    return {
        "": row.direction or "",
        "no labels": "no objects" if row.counted == "object" else "no labelled images",
        "no estimate": row.value.note,
        "small complement": "the complement is too small",
        "more images": f"about {row.needed or 0:,} images would show a loss of {row.bound:g}",
        "same predictions": "both predict the same class for every image",
        "same figure": "no image changes the figure",
    }[row.reason]


def _is_better(row: GateRow) -> bool:
    """Return whether a tolerance fails because the group is better off: fewer false positives, smaller errors.

    Of a mean error, which is best at 0, the side of the complement does not say.
    """
    if row.rate.startswith("mean error"):
        return False
    lower_is_better = row.rate.startswith(("false positive rate", "mean absolute error"))
    return row.direction == ("below the rest" if lower_is_better else "above the rest")


def gate_condition(row: GateRow) -> str:
    """Return the condition of a gate in words."""
    return {
        "tolerance": f"{row.rate} within {row.bound:g} of the complement",
        "at least": f"{row.rate} at least {row.bound:g}",
        "at most": f"{row.rate} at most {row.bound:g}",
        "no worse": f"{row.rate} no worse than before by more than {row.bound:g}",
    }[row.kind]
