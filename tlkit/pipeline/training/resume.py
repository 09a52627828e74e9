"""When a run may be continued or replaced, and from where."""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd

from tlkit.errors import RunError, first_few
from tlkit.models.losses import GroupDROLoss
from tlkit.pipeline.training.environment import fingerprint
from tlkit.pipeline.training.prepare import Prepared
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


def require_same_world(directory: RunDirectory, prepared: Prepared) -> None:
    """Refuse to resume with another number of processes: the batches would be others.

    Raises:
        RunError: the run was started with more or fewer.
    """
    if not directory.environment.is_file():
        return
    before, now = directory.read_json(directory.environment).get("processes", 1), prepared.world.size
    if before != now:
        raise RunError(
            f"{directory.path} was started in {before} processes, and now there are {now}: the batches would be "
            f"others. Resume it with {before}, or start a new run under another name."
        )


def origin_of(prepared: Prepared) -> str:
    """Return what a run's results follow from, as one sha256: what the recipe sets, images, starting weights, groups.

    Keys that the recipe leaves at their defaults do not count, so that a later tlkit with more keys finds the same.
    """
    facts = {
        "recipe": prepared.recipe.model_dump(mode="json", exclude_defaults=True),
        "images": fingerprint(prepared.data.samples),
        "weights": prepared.classifier.source.weights.digest,
    }
    loss = prepared.classifier.loss
    if isinstance(loss, GroupDROLoss) and loss.group_of is not None:
        facts["groups"] = hashlib.sha256(loss.group_of.cpu().numpy().tobytes()).hexdigest()
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _set_aside(path: Path) -> Path:
    return path.with_name(f".{path.name}.replaced")


def _has_checkpoint(path: Path) -> bool:
    return any((path / "checkpoints").glob("*.ckpt"))


def _flat(recipe: Recipe) -> dict[str, Any]:
    """Return a recipe's values by dotted key."""
    values: dict[str, Any] = {}
    for section, content in recipe.model_dump(mode="json").items():
        values.update(
            {f"{section}.{k}": v for k, v in content.items()} if isinstance(content, dict) else {section: content}
        )
    return values
