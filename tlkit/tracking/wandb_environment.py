"""Environment variables of a W&B run, and checks of its names before training. Does not import wandb."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tlkit.errors import RecipeError

_PROJECT_FORBIDS = "/\\#?%:"


def check_names(*, project: str, tags: Sequence[str], name: str) -> None:
    """Check project, tags and name before training; W&B refuses some of them only afterwards.

    Raises:
        RecipeError: W&B would refuse one of them; the error names all problems.
    """
    problems = []
    if not 0 < len(project) <= 128 or any(letter in _PROJECT_FORBIDS for letter in project):
        problems.append(
            f"tracking.project is {project!r}. A W&B project name has 1 to 128 characters"
            f" and none of {' '.join(_PROJECT_FORBIDS)}"
        )
    problems += [
        f"tracking.tags has {tag!r}. A W&B tag has 1 to 64 characters." for tag in tags if not 0 < len(tag) <= 64
    ]
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,128}", name):
        problems.append(f"name is {name!r}. A W&B artifact's name has 1 to 128 letters, digits, dots, - and _.")
    if problems:
        raise RecipeError(*problems)


def wandb_variables(run_dir: Path) -> dict[str, str]:
    """Return the environment variables that keep all files of W&B in the run directory and disable error reports."""
    folder = run_dir.absolute() / "wandb"
    folder.mkdir(parents=True, exist_ok=True)
    return {
        "WANDB_DIR": str(run_dir.absolute()),  # W&B adds "wandb" itself
        "WANDB_DATA_DIR": str(folder / "data"),
        "WANDB_CACHE_DIR": str(folder / "cache"),
        "WANDB_CONFIG_DIR": str(folder / "config"),
        "WANDB_ERROR_REPORTING": os.environ.get("WANDB_ERROR_REPORTING", "false"),  # W&B's own crash reports
    }


@contextmanager
def environment_set(values: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables within a context and restore the previous values afterwards."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
