"""`tlkit repair`: another head for the worst group's sake."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tlkit.cli.output import print_lines, print_table

if TYPE_CHECKING:
    from tlkit.audit.repair_result import Repair


def print_repair(result: Repair) -> None:
    """Print a repair: its verdict, before and after on test, the candidates on val."""
    from tlkit.audit.repair_words import brief_rows

    print_lines(result.sentences())
    if brief := brief_rows(result):
        print_lines(["", "On test"])
        print_table(brief, header=False)
        print_lines([""])
        print_table(result.summary_rows())
    if trials := result.trial_rows():
        print_lines(["", "Candidates"])
        print_table(trials)
