"""Resumes or replaces an earlier run of the same name.

A run that is to be replaced is renamed to `.NAME.replaced`. It is deleted when the new run ends, and renamed back where
the new run fails before its first checkpoint.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tlkit.data.sources.delimited_files import read_table
from tlkit.errors import RunError, first_few
from tlkit.recipe import Recipe, load_recipe
from tlkit.runs import RunDirectory
from tlkit.samples import DIGEST, LABEL, PATH, SPLIT, Samples

logger = logging.getLogger(__name__)

FREE_KEYS = {"data.num_workers"}
"""Recipe keys that may have another value when a run is resumed."""


@contextmanager
def replaced_run(path: Path) -> Iterator[None]:
    """Keep an earlier run while the block runs; restore it if the block raises before the new run has a checkpoint."""
    if not path.exists():
        yield
        return
    earlier = _replaced_path(path)
    begun = _has_checkpoint(path) or RunDirectory.open(path).status == "finished"
    if earlier.exists() and not begun:  # a new run was killed before its first checkpoint: keep the earlier one
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
            logger.warning("%s is unchanged.", path)
        raise
    finally:
        shutil.rmtree(earlier, ignore_errors=True)


def restore_replaced_run(path: Path) -> None:
    """Rename an earlier run back if the process that was to replace it was killed before it made the new directory."""
    earlier = _replaced_path(path)
    if earlier.exists() and not path.exists():
        earlier.rename(path)
        logger.warning("%s was to be replaced by a run that was killed; it is unchanged.", path)


def delete_replaced_run(path: Path) -> None:
    """Delete the earlier run that a killed run had replaced; called when the new run has been resumed to its end."""
    shutil.rmtree(_replaced_path(path), ignore_errors=True)


def open_to_resume(path: Path, recipe: Recipe) -> RunDirectory:
    """Return the directory of a run that is to be resumed with the recipe it was started with.

    The number of processes that load images may differ: no result depends on it.

    Raises:
        RunError: there is no such run, or its recipe differs; the message names the keys that do.
    """
    directory = RunDirectory.open(path)
    for partial in path.rglob(".*.partial"):  # writes that a kill cut short
        partial.unlink(missing_ok=True)
    if not directory.recipe.is_file():
        return directory
    before, now = _flat(load_recipe(directory.recipe)), _flat(recipe)
    changed = sorted(key for key in {*before, *now} - FREE_KEYS if before.get(key) != now.get(key))
    if changed:
        raise RunError(
            f"{path} was started with another recipe: {', '.join(changed)} differ. Resume it with its own "
            f"(tlkit fit {directory.recipe} --resume), or start a new run under another name."
        )
    return directory


def require_same_data(directory: RunDirectory, samples: Samples) -> None:
    """Check that a run is resumed on the data it was started with.

    Raises:
        RunError: an image, a label, a split or a file's content differs; the message counts and names them.
    """
    if not directory.split.is_file():
        return
    key = [PATH, LABEL, SPLIT, DIGEST]
    stored = read_table(directory.split, columns=key, what="split of the run")
    before = set(stored[key].itertuples(index=False, name=None))
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


def _replaced_path(path: Path) -> Path:
    return path.with_name(f".{path.name}.replaced")


def _has_checkpoint(path: Path) -> bool:
    return any((path / "checkpoints").glob("*.ckpt"))
