"""Report section of a repair of the head."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from tlkit.render.report.report_page import RepairSection

if TYPE_CHECKING:
    from tlkit.audit.repair_result import Repair, RepairVerdict
    from tlkit.render.report.report_page import VerdictMark

_MARKS: Mapping[RepairVerdict, VerdictMark] = {
    "PASS": "good",
    "FAIL": "bad",
    "NOT ENOUGH DATA": "open",
    "NOTHING HELPED": "open",
}


def repair_section(repair: Repair) -> RepairSection:
    """Return the section of a repair."""
    return RepairSection(repair.verdict, _MARKS[repair.verdict], repair.tables())
