"""When a run may be continued or replaced, and from where."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from tlkit.errors import RunError, first_few
from tlkit.pipeline.prepare import Prepared
from tlkit.recipe import Recipe, load_recipe
from tlkit.runs import RunDirectory
from tlkit.samples import DIGEST, LABEL, PATH, SPLIT

logger = logging.getLogger(__name__)


@contextmanager
def replacing(path: Path) -> Iterator[None]:
    """Set an earlier run aside while its successor starts; bring it back if that fails before its first epoch ends."""
    if not path.exists():
        yield
        return
    earlier = path.with_name(f".{path.name}.replaced")
    shutil.rmtree(earlier, ignore_errors=True)
    path.rename(earlier)
    try:
        yield
    except BaseException:
        if not any((path / "checkpoints").glob("*.ckpt")):
            shutil.rmtree(path, ignore_errors=True)
            earlier.rename(path)
            logger.warning("%s is as it was before.", path)
        raise
    finally:
        shutil.rmtree(earlier, ignore_errors=True)


def open_to_resume(path: Path, recipe: Recipe) -> RunDirectory:
    """Open a run to continue it by the recipe that it was started with.

    Raises:
        RunError: there is no such run, or its recipe differs; the message names the keys.
    """
    directory = RunDirectory.open(path)
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


def require_same_data(directory: RunDirectory, prepared: Prepared) -> None:
    """Refuse to resume on other data: a class that is renamed or a split that moves would spoil the run silently.

    Raises:
        RunError: an image, a label, a split or a file's content differs; the message counts and names them.
    """
    if not directory.split.is_file():
        return
    key = [PATH, LABEL, SPLIT, DIGEST]
    before = set(pd.read_csv(directory.split, dtype=str, keep_default_na=False)[key].itertuples(index=False, name=None))
    now = set(prepared.data.samples.table[key].astype(str).itertuples(index=False, name=None))
    changed = sorted({row[0] for row in before ^ now})
    if changed:
        raise RunError(
            f"{directory.path} was started on other data: {len(changed)} images were added, removed, changed or moved "
            f"({first_few(changed)}). Restore them, or start a new run under another name."
        )


def checkpoint_to_resume(directory: RunDirectory) -> Path | None:
    """Return the newest checkpoint that can be read; epochs after it are trained again, to the same weights."""
    for path in (directory.checkpoints / "last.ckpt", directory.checkpoints / "best.ckpt"):
        if not path.is_file():
            continue
        try:
            epoch = torch.load(path, map_location="cpu", weights_only=True)["epoch"]
        except Exception as error:  # torch raises a different kind for every damage
            logger.warning("%s is damaged (%s); looking for an earlier one.", path, type(error).__name__)
            continue
        logger.info("Resuming after epoch %d, from %s.", epoch + 1, path)
        return path
    logger.warning("%s has no checkpoint that can be read; training starts anew.", directory.path)
    return None


def stopped_early(path: Path) -> bool:
    """Return whether early stopping had ended training when a checkpoint was written."""
    states = torch.load(path, map_location="cpu", weights_only=True)["callbacks"]
    return any(state.get("stopped_epoch", 0) > 0 for key, state in states.items() if key.startswith("EarlyStopping"))


def _flat(recipe: Recipe) -> dict[str, Any]:
    """Return a recipe's values by dotted key."""
    values: dict[str, Any] = {}
    for section, content in recipe.model_dump(mode="json").items():
        values.update(
            {f"{section}.{k}": v for k, v in content.items()} if isinstance(content, dict) else {section: content}
        )
    return values
