"""`tlkit push`: a run as a folder of the Hugging Face hub, uploaded where a repository is named."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from tlkit.cli.arguments import RunPath, SplitOption
from tlkit.cli.output import print_lines
from tlkit.output_files import require_folder, require_folder_name


def push(
    run: RunPath,
    repository: Annotated[str | None, typer.Argument(help="ORG/NAME on the hub, to upload to.")] = None,
    to: Annotated[
        Path | None,
        typer.Option("--to", help="Write the hub folder here; nothing is uploaded, ORG/NAME is for the card."),
    ] = None,
    split: SplitOption = None,
    public: Annotated[bool, typer.Option("--public", help="A repository that is made can be read by all.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a hub folder.")] = False,
) -> None:
    """Share a run's model: timm's format, ONNX files and a card with the figures; uploaded only to a named ORG/NAME."""
    from tlkit.errors import RunError
    from tlkit.runs.run import open_run

    if repository is None and to is None:
        raise RunError("Name a repository to upload to (ORG/NAME), or a folder to write (--to FOLDER).")
    if to is not None:
        require_folder_name(to, name="--to")
        require_folder(to, name="--to")
    opened = open_run(run)
    from tlkit.inference.hub_folder import check_repository_name, write_hub_folder

    name = "ORG/NAME" if repository is None else check_repository_name(repository)
    if to is not None:
        print_lines([str(write_hub_folder(opened, to, repository=name, split=split, overwrite=overwrite))])
        return
    from tlkit.models.weights.hub import upload_folder

    folder = Path(tempfile.mkdtemp(prefix="tlkit-push-")) / name.partition("/")[2]  # it stays where the upload fails
    write_hub_folder(opened, folder, repository=name, split=split)
    print_lines([upload_folder(folder, name, public=public)])
    shutil.rmtree(folder.parent)
