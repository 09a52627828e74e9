"""`tlkit report` and `tlkit card`: the HTML report and the model card of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tlkit.cli.arguments import RunPath, SplitOption
from tlkit.cli.output import print_lines
from tlkit.output_files import require_writable


def report(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="A run directory, or several side by side.")],
    split: SplitOption = None,
    out: Annotated[
        Path | None, typer.Option(help="File of several runs; default: report_RUN_RUN.html in the working directory.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a file that is no such report.")] = False,
) -> None:
    """Write a run's report, or several runs side by side: one HTML file that needs nothing else."""
    from tlkit.errors import RunError
    from tlkit.runs.run import open_run
    from tlkit.runs.runs_side_by_side import report_side_by_side

    if len(runs) > 1:
        require_writable({"--out": out})
        opened = [open_run(run) for run in runs]
        print_lines([str(report_side_by_side(opened, split=split, path=out, overwrite=overwrite))])
        return
    if out is not None:
        raise RunError("--out is for several runs: the report of one run is written into its directory.")
    print_lines([str(open_run(runs[0]).report(split))])


def card(
    run: RunPath,
    split: SplitOption = None,
    intended_use: Annotated[str | None, typer.Option(help="What the model is for; default: the recipe's.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a card that was edited.")] = False,
) -> None:
    """Write a run's model card: MODEL_CARD.md, with limits filled from the audit."""
    from tlkit.runs.run import open_run

    print_lines([str(open_run(run).card(split, intended_use=intended_use, overwrite=overwrite))])
