"""A repair of the head, on the page: before and after on test, and the candidates on val."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal

from tlkit.audit.repair_words import brief_rows
from tlkit.render.report.report_page import RepairedSection, Row, TextColumn, TextTable

if TYPE_CHECKING:
    from tlkit.audit.repair_result import Repair, RepairVerdict

_MARKS: Mapping[RepairVerdict, Literal["good", "bad", "open"]] = {
    "PASS": "good",
    "FAIL": "bad",
    "NOT ENOUGH DATA": "open",
    "NOTHING HELPED": "open",
}


def repaired_section(repair: Repair) -> RepairedSection:
    """Return what a repair found, as the page shows it."""
    brief = brief_rows(repair)
    level = f"{repair.settings.confidence:.0%}"
    verdict, *lines = repair.sentences()
    worst = None
    if brief:
        columns = (TextColumn("on test", "text"), TextColumn(f"value [{level}]"))
        worst = TextTable("Before and after the repair", columns, tuple(Row(row) for row in brief))
    return RepairedSection(
        verdict=repair.verdict,
        mark=_MARKS[repair.verdict],
        lines=(verdict.removeprefix(f"{repair.verdict}: "), *lines),
        worst=worst,
        changes=_table("Changes on test, image by image", repair.summary_rows()),
        trials=_table("Candidates on val", repair.trial_rows()),
    )


def _table(caption: str, rows: Sequence[tuple[str, ...]]) -> TextTable | None:
    """Return a table from rows of text, the header first: names are text, the rest numbers; None without rows."""
    if not rows:
        return None
    head, *body = rows
    words = {"", "by", "images of", "candidate", "which", "change"}
    columns = tuple(TextColumn(name, "text" if name in words else "number") for name in head)
    return TextTable(caption, columns, tuple(Row(row) for row in body))
