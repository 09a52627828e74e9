"""What becomes of a run that is there already: it is continued, or set aside until its successor stands. No torch."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd

from tlkit.errors import RunError, first_few
from tlkit.recipe import Recipe, load_recipe
from tlkit.runs import RunDirectory
from tlkit.samples import DIGEST, LABEL, PATH, SPLIT, Samples

logger = logging.getLogger(__name__)


@contextmanager
def replacing(path: Path) -> Iterator[None]:
    """Set an earlier run aside while its successor starts; bring it back if that fails before its first epoch ends."""
    if not path.exists():
        yield
        return
    earlier = _set_aside(path)
    begun = _has_checkpoint(path) or RunDirectory.open(path).status == "finished"
    if earlier.exists() and not begun:  # a successor that was killed at its start is no run to keep
        shutil.rmtree(path)
    else:
        shutil.rmtree(earlier, ignore_errors=True)
        path.rename(earlier)
    try:
        yield
    except BaseException:
        if not _has_checkpoint(path):
            shutil.rmtree(path, ignore_errors=True)
            earlier.rename(path)
            logger.warning("%s is as it was before.", path)
        raise
    finally:
        shutil.rmtree(earlier, ignore_errors=True)


def bring_back(path: Path) -> None:
    """Put a run that was set aside back into its place, where what was to replace it was killed before it was there."""
    earlier = _set_aside(path)
    if earlier.exists() and not path.exists():
        earlier.rename(path)
        logger.warning("%s was to be replaced by a run that was killed; it is as it was before.", path)


def forget_replaced(path: Path) -> None:
    """Delete a run that was set aside for one that was killed, now that this one has ended."""
    shutil.rmtree(_set_aside(path), ignore_errors=True)


def open_to_resume(path: Path, recipe: Recipe) -> RunDirectory:
    """Open a run to continue it by the recipe that it was started with.

    Raises:
        RunError: there is no such run, or its recipe differs; the message names the keys.
    """
    directory = RunDirectory.open(path)
    for partial in path.rglob(".*.partial"):  # writes that were cut
        partial.unlink(missing_ok=True)
    if not directory.recipe.is_file():
        return directory
    before, now = _flat(load_recipe(directory.recipe)), _flat(recipe)
    changed = sorted(key for key in {*before, *now} if before.get(key) != now.get(key))
    if changed:
        raise RunError(
            f"{path} was started with another recipe: {', '.join(changed)} differ. Resume it with its own "
            f"(tlkit fit {directory.recipe} --resume), or start a new run under another name."
        )
    return directory


def require_same_data(directory: RunDirectory, samples: Samples) -> None:
    """Refuse to resume on other data: a class that is renamed or a split that moves would spoil the run silently.

    Raises:
        RunError: an image, a label, a split or a file's content differs; the message counts and names them.
    """
    if not directory.split.is_file():
        return
    key = [PATH, LABEL, SPLIT, DIGEST]
    before = set(pd.read_csv(directory.split, dtype=str, keep_default_na=False)[key].itertuples(index=False, name=None))
    now = set(samples.table[key].astype(str).itertuples(index=False, name=None))
    changed = sorted({row[0] for row in before ^ now})
    if changed:
        raise RunError(
            f"{directory.path} was started on other data: {len(changed)} images were added, removed, changed or moved "
            f"({first_few(changed)}). Restore them, or start a new run under another name."
        )


def _flat(recipe: Recipe) -> dict[str, Any]:
    """Return a recipe's values by dotted key."""
    values: dict[str, Any] = {}
    for section, content in recipe.model_dump(mode="json").items():
        values.update(
            {f"{section}.{k}": v for k, v in content.items()} if isinstance(content, dict) else {section: content}
        )
    return values


def _set_aside(path: Path) -> Path:
    return path.with_name(f".{path.name}.replaced")


def _has_checkpoint(path: Path) -> bool:
    return any((path / "checkpoints").glob("*.ckpt"))
