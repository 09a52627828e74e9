"""A repair of the head on the page: its verdict and its tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from tlkit.render.report.report_page import RepairedSection

if TYPE_CHECKING:
    from tlkit.audit.repair_result import Repair, RepairVerdict
    from tlkit.render.report.report_page import VerdictMark

_MARKS: Mapping[RepairVerdict, VerdictMark] = {
    "PASS": "good",
    "FAIL": "bad",
    "NOT ENOUGH DATA": "open",
    "NOTHING HELPED": "open",
}


def repaired_section(repair: Repair) -> RepairedSection:
    """Return what a repair found, as the page shows it."""
    return RepairedSection(repair.verdict, _MARKS[repair.verdict], repair.tables())
