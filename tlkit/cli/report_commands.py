"""`tlkit report` and `tlkit card`: the HTML report and the model card of a run."""

from __future__ import annotations

from typing import Annotated

import typer

from tlkit.cli.arguments import RunPath, SplitOption
from tlkit.cli.output import print_lines


def report(run: RunPath, split: SplitOption = None) -> None:
    """Write a run's report: one HTML file that needs nothing else."""
    from tlkit.runs.run import open_run

    print_lines([str(open_run(run).report(split))])


def card(
    run: RunPath,
    split: SplitOption = None,
    intended_use: Annotated[str | None, typer.Option(help="What the model is for; default: the recipe's.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a card that was edited.")] = False,
) -> None:
    """Write a run's model card: MODEL_CARD.md, with limits filled from the audit."""
    from tlkit.runs.run import open_run

    print_lines([str(open_run(run).card(split, intended_use=intended_use, overwrite=overwrite))])
