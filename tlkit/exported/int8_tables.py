"""Tables of an `Int8Report`, and the sentences about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tlkit.audit.gates.gate_tables import gate_table
from tlkit.tables import Column, Table, counted

if TYPE_CHECKING:
    from tlkit.exported.int8_report import Int8Report

BY_GROUP = ("by", "group", "n", "difference", "p_holm", "verdict", "note")


def int8_tables(report: Int8Report) -> tuple[Table, ...]:
    """Return accuracy and size of float32 and int8, and the verdicts overall and by group."""
    level = f"{report.gate.settings.confidence:.0%}"
    columns = (
        Column("precision", "precision", "word"),
        Column("accuracy", f"accuracy [{level}]", "estimate"),
        Column("size", "network", "bytes"),
    )
    rows = (("float32", report.first, report.float_size or None), ("int8", report.second, report.size or None))
    notes = [
        f"{counted(report.changed, 'image')} of {report.gate.images:,} in the {report.split} split changed class.",
        *_made(report),
    ]
    if report.size and report.float_size:
        notes.append(f"The int8 network has {report.size / report.float_size:.2f} of the bytes.")
    if not report.written:
        notes.append(f"The file was not written: the verdict is {report.verdict}, and PASS is required.")
    costs = Table("int8", f"int8 at a tolerance of {report.tolerance:g}: {report.verdict}", columns, rows, tuple(notes))
    gate = gate_table(report.gate).selected(BY_GROUP)
    return costs, gate


def _made(report: Int8Report) -> list[str]:
    if not report.calibration:
        return []
    found = [
        f"Calibrated on {counted(report.calibration, 'training image')}, judged with {report.engine}; other processors "
        "and versions round otherwise."
    ]
    attempts = ", ".join(f"{count} in float {error:.3f}" for count, error in report.tried)
    found.append(f"Change of a probability on other training images, by nodes in float: {attempts}.")
    if report.float_nodes:
        found.append(f"Left in float: {', '.join(report.float_nodes)}.")
    return found
