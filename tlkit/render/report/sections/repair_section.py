"""The repair of the head: what it changes for the worst group and for all images."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tlkit.render.report.page_section import Fold, Grid, PageSection, VerdictBadge
from tlkit.render.report.plain_words import MARKS
from tlkit.tables.formatting import SIGNS

if TYPE_CHECKING:
    from tlkit.render.report.page_section import Block
    from tlkit.render.report.run_contents import RunContents


def repair_section(run: RunContents) -> PageSection | None:
    """Return the section of a repair; None if there is none."""
    repair = run.repair
    if repair is None:
        return None
    outcome, *others = repair.tables()
    claim = "Another head for the same backbone, chosen on val for its worst group and judged once on test."
    blocks: tuple[Block, ...] = (
        Grid(outcome),
        *([Fold("Changes by group and class, and all candidates", tuple(others))] if others else []),
    )
    verdict = VerdictBadge(SIGNS.get(repair.verdict, repair.verdict), MARKS[repair.verdict])
    return PageSection("repair", "Repair of the head", claim, blocks, verdict)
