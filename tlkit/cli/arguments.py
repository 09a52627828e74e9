"""Arguments and options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

PASS_ON = {"allow_extra_args": True, "ignore_unknown_options": True}
"""Context settings of commands that take overrides: `--data.batch_size=64` is one."""

RecipePath = Annotated[Path, typer.Argument(help="A recipe, such as recipes/quickstart.yaml.")]
OverrideArguments = Annotated[list[str] | None, typer.Argument(help="Changes to the recipe, such as train.epochs=3.")]
RunPath = Annotated[Path, typer.Argument(help="A run directory, such as runs/quickstart.")]
FrozenRunPath = Annotated[Path, typer.Argument(metavar="RUN", help="A run directory, preferably of a frozen backbone.")]
RunOrFile = Annotated[
    Path, typer.Argument(metavar="RUN_OR_FILE", help="A run directory, or a CSV or Parquet file of predictions.")
]
SplitOption = Annotated[str | None, typer.Option(help="Split to judge; default: test, or val where there is no test.")]
GroupsFile = Annotated[
    Path | None, typer.Option("--groups", help="CSV of group columns, and of y_true, keyed by path, to join.")
]
TrueColumn = Annotated[
    str, typer.Option("--y-true", help="Column of the true classes, in a file of predictions or of --groups.")
]
PredColumn = Annotated[str, typer.Option("--y-pred", help="Column of the predicted classes.")]
DeviceOption = Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")]
FoldsOption = Annotated[int, typer.Option(min=2, help="Folds of the cross-validation.")]
OverwriteRun = Annotated[bool, typer.Option("--overwrite", help="Replace an earlier run of this name.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")]
