"""`tlkit runs` and `tlkit show`: the runs of a folder with their figures, and one run in brief."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tlkit.cli.arguments import AsJson, Details, RunPath
from tlkit.cli.output import print_json, print_result, print_run, wants_details


def runs(folder: Annotated[Path, typer.Argument(help="Folder of runs.")] = Path("runs"), json: AsJson = False) -> None:
    """List runs with their accuracy, worst verdict, model, strategy, state and date; newest first."""
    from tlkit.runs.run_summary import list_runs

    print_result(list_runs(folder), as_json=json)


def show(run: RunPath, details: Details = False, json: AsJson = False) -> None:
    """Show one run in brief: what it is, its accuracy, for whom it is worse, what to do next."""
    from tlkit.runs.run import open_run
    from tlkit.runs.run_summary import summarize_run

    opened = open_run(run)
    if json:
        print_json(summarize_run(opened).to_dict())
        return
    print_run(opened, details=wants_details(details))
