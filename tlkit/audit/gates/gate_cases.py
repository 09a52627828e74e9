"""`GateCase`: a gate before Holm's correction, and the verdicts of the gates of one kind after it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from tlkit.audit.gates.gate_report import GateRow
from tlkit.choices import Verdict
from tlkit.stats.corrections import holm


@dataclass(frozen=True)
class GateCase:
    """A row before Holm's correction: its p-value, and whether its interval lies beyond or within the bound."""

    row: GateRow
    p: float | None
    beyond: bool
    within: bool


def with_verdicts(cases: Sequence[GateCase], alpha: float) -> list[GateRow]:
    """Return the rows of one kind of gate with p-values after Holm's correction and verdicts."""
    rows = []
    for case, p_holm in zip(cases, holm([case.p for case in cases]), strict=True):
        gate_verdict: Verdict = "PASS" if case.within else "NOT ENOUGH DATA"
        if case.beyond and p_holm is not None and p_holm < alpha:
            gate_verdict = "FAIL"
        row = replace(case.row, p_holm=p_holm, verdict=gate_verdict)
        told = gate_verdict == "NOT ENOUGH DATA" or (gate_verdict == "PASS" and row.reason.startswith("same "))
        rows.append(row if told else replace(row, reason="", needed=None))
    return rows
