"""The gates that did not pass as SARIF."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tlkit.audit.gates.gate_tables import counts_text, gate_condition, gate_note
from tlkit.choices import MIN_CELL_SIZE
from tlkit.tables.sarif import Level, SarifFinding, SarifRule, to_sarif

if TYPE_CHECKING:
    from tlkit.audit.gates.gate_report import GateReport, GateRow

RULES = {
    "tolerance": "A group's rate is within the tolerance of its complement.",
    "at least": "A rate is at least a limit.",
    "at most": "A rate is at most a limit.",
    "no worse": "A rate is no worse than the baseline's by more than a margin.",
}
HELP = "See the audit (tlkit audit --details); then repair the head (tlkit repair), collect images, or change the gate."


def gate_sarif(report: GateReport) -> str:
    """Return SARIF: an error for each gate that failed and a warning for each that cannot be decided.

    Gates that pass have no result, since code scanning shows each result as an alert. The place is the line of the gate
    in its file. A group of fewer than 5 images, or objects of boxes, has neither a count nor a number.
    """
    rules = [SarifRule(_id(kind), text, HELP, "error") for kind, text in RULES.items()]
    findings = [_finding(report, row) for row in report.rows if row.verdict != "PASS"]
    properties = {"verdict": report.verdict, "gates": counts_text(report), "images": report.images}
    properties |= {} if report.objects is None else {"objects": report.objects}
    return to_sarif(rules, findings, properties=properties)


def _finding(report: GateReport, row: GateRow) -> SarifFinding:
    level: Level = "error" if row.verdict == "FAIL" else "warning"
    small = row.n < MIN_CELL_SIZE
    found = (
        "" if small or row.value.low is None else f" {row.value.format(signed=row.kind in ('tolerance', 'no worse'))}"
    )
    note = f"fewer than {MIN_CELL_SIZE} {row.counted}s" if small else gate_note(row)
    file, _, line = row.where.rpartition(":")
    place = (file, int(line)) if file and line.isdigit() else (report.source, None)
    return SarifFinding(
        _id(row.kind),
        f"{row.verdict}: {gate_condition(row)}, {row.by} = {row.group}.{found}{f' ({note})' if note else ''}",
        level,
        (place[0],),
        line=place[1],
        properties={
            "verdict": row.verdict,
            "by": row.by,
            "group": row.group,
            **({} if small else {f"{row.counted}s": row.n}),
        },
    )


def _id(kind: str) -> str:
    return f"gate-{kind.replace(' ', '-')}"
