"""What W&B is told through the environment, and the words that it would refuse. Imports nothing of W&B."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tlkit.errors import RecipeError

_PROJECT_FORBIDS = "/\\#?%:"


def check_words(*, project: str, tags: Sequence[str], name: str) -> None:
    """Check before training what W&B would refuse, partly only after training.

    Raises:
        RecipeError: with every problem found.
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


def environment_inside(run_dir: Path) -> dict[str, str]:
    """Return the environment that keeps every byte of W&B in the run and an offline run off the network."""
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
def surrounded_by(values: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables for the duration of one call of W&B, then put back what was there."""
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
