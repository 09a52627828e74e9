"""`tlkit track push`: send a finished run to an experiment tracker."""

from __future__ import annotations

from typing import Annotated

import typer

from tlkit.choices import TrackerKind, TrackerMode
from tlkit.cli.arguments import RunPath
from tlkit.cli.output import print_lines

app = typer.Typer(help="Send a finished run to Weights & Biases, MLflow or TensorBoard.", no_args_is_help=True)


@app.callback()
def group() -> None:
    """Send a finished run to Weights & Biases, MLflow or TensorBoard."""


@app.command()
def push(
    run: RunPath,
    to: Annotated[
        TrackerKind | None, typer.Option(help="The tracker; default: that of the run's recipe.", show_default=False)
    ] = None,
    mode: Annotated[TrackerMode | None, typer.Option(help="Default: the recipe's.", show_default=False)] = None,
    project: Annotated[str | None, typer.Option(help="Default: the recipe's.", show_default=False)] = None,
) -> None:
    """Record a run on disk in a tracker: metrics, figures, predictions, report, model."""
    from tlkit.runs.run import open_run
    from tlkit.training.push_run import push_run

    opened = open_run(run)
    location = push_run(opened, kind=to, mode=mode, project=project)
    print_lines([f"recorded in {to or opened.recipe.tracking.kind}: {location}"])
