"""Completion of arguments in shells: runs, models, recipe keys; `tlkit completion SHELL`. Loads no torch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

PROGRAM, VARIABLE = "tlkit", "_TLKIT_COMPLETE"
MOST = 200  # suggestions, above which a shell shows none usefully


def complete_run(incomplete: str) -> list[str]:
    """Return the run directories whose path begins so; a name alone is taken as one below runs/."""
    from tlkit.runs.directory import MARKER, RUNS

    head, _, _ = incomplete.rpartition("/")
    folders = [Path(head or "/")] if "/" in incomplete else [RUNS]
    found = []
    for folder in folders:
        if folder.is_dir():
            found += [path.as_posix() for path in folder.glob(f"*/{MARKER}")]
    paths = sorted(path.removesuffix(f"/{MARKER}") for path in found)
    return [path for path in paths if path.startswith(incomplete) or Path(path).name.startswith(incomplete)][:MOST]


def complete_override(incomplete: str) -> list[str]:
    """Return recipe keys with the values to choose from, or with their default: train.schedule=cosine."""
    from tlkit.recipe.field_tree import all_keys, choices

    found = []
    for key, field in all_keys().items():
        options = choices(field) if not field.is_required() else ()
        default = "" if field.is_required() or not isinstance(field.default, str | int | float) else field.default
        values = options or (str(default).lower() if isinstance(default, bool) else default,)
        found += [f"{key}={value}" for value in values]
    return [text for text in found if text.startswith(incomplete)][:MOST]


def complete_model(incomplete: str) -> list[str]:
    """Return the names of timm's models that begin so."""
    from tlkit.models.model_names import known_names

    return sorted(name for name in known_names() if name.startswith(incomplete))[:MOST]


def completion(
    context: typer.Context,
    shell: Annotated[Literal["bash", "zsh", "fish"], typer.Argument(help="The shell to complete in.")],
) -> None:
    """Print the script that completes commands, runs, models and recipe keys in a shell; see --install-completion."""
    from typer.completion import shell_complete

    shell_complete(context.find_root().command, {}, PROGRAM, VARIABLE, f"source_{shell}")
