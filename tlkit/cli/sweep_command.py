"""`tlkit sweep`: search values of recipe keys, and judge the winner against the default recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tlkit.cli.arguments import AsJson
from tlkit.cli.output import print_lines, print_result

MOST_TRIALS = 100_000
MOST_WORKERS = 1024


def sweep(
    sweep: Annotated[Path, typer.Argument(help="A sweep file, such as recipes/sweeps/heads.yaml.")],
    trials: Annotated[
        int | None, typer.Option(min=1, max=MOST_TRIALS, help="Number of trials, in place of the file's.")
    ] = None,
    workers: Annotated[
        int, typer.Option(min=1, max=MOST_WORKERS, help="Processes that work on the trials at once.")
    ] = 1,
    runs_dir: Annotated[Path, typer.Option(help="Folder of the sweep's folder.")] = Path("runs"),
    json: AsJson = False,
) -> None:
    """Search values of recipe keys by their figure on val; judge the winner on test against the default recipe.

    The same command goes on after a kill, and may run several times at once.
    """
    from tlkit.cli.allocator import keep_freed_memory
    from tlkit.output_files import require_folder
    from tlkit.sweeps.sweep import run_sweep

    keep_freed_memory()
    require_folder(runs_dir, name="--runs-dir")
    result = run_sweep(sweep, trials=trials, workers=workers, runs_dir=runs_dir)
    print_result(result, as_json=json)
    if not json:
        print_lines(["", str(runs_dir / result.name / "sweep")])
