"""`tlkit init`: writes a recipe for a folder of images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tlkit.cli.output import print_lines, print_paragraphs


def init(
    folder: Annotated[Path, typer.Argument(help="A folder of images, one folder per class.")],
    out: Annotated[Path | None, typer.Option(help="The recipe to write; default: NAME.yaml. Never replaced.")] = None,
    name: Annotated[str | None, typer.Option(help="Name of the run; default: the folder's.")] = None,
) -> None:
    """Look at a folder of images, and write a recipe for it with the reason for each choice."""
    from tlkit.preflight.draft_recipe import draft_recipe, require_new_recipe, write_draft

    if out is not None:
        require_new_recipe(out)
    draft = draft_recipe(folder, name=name)
    written = write_draft(draft, out or Path(f"{draft.name}.yaml"))
    print_paragraphs(draft.findings)
    also = f" (and {written[1]}, by which editors complete and check it)" if len(written) > 1 else ""
    print_lines(["", f"Wrote {written[0]}{also}.", f"Next: read it, then tlkit fit {written[0]}"])
