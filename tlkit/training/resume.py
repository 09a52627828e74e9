"""Checks before a run is resumed: its number of processes, and the digest of its inputs."""

from __future__ import annotations

import hashlib
import json

from tlkit.errors import RunError
from tlkit.models.losses import GroupDROLoss
from tlkit.runs import RunDirectory
from tlkit.runs.lifecycle import FREE_KEYS
from tlkit.training.environment import dataset_fingerprint
from tlkit.training.prepare import Prepared


def require_same_processes(directory: RunDirectory, prepared: Prepared) -> None:
    """Check that a run is resumed with the number of processes that it was started with, which sets its batches.

    Raises:
        RunError: it is not.
    """
    if not directory.environment.is_file():
        return
    before, now = directory.read_environment().get("processes", 1), prepared.world.size
    if before != now:
        raise RunError(
            f"{directory.path} was started with {before} processes, and now there are {now}: its batches would differ. "
            f"Resume it with {before}, or start a new run under another name."
        )


def origin_of(prepared: Prepared) -> str:
    """Return the sha256 (hex) of a run's inputs: what the recipe sets, the images, initial weights and groups.

    Keys that the recipe leaves at their defaults do not count, so that keys of a later tlkit do not change it; nor do
    those that may differ when a run is resumed.
    """
    recipe = prepared.recipe.model_dump(mode="json", exclude_defaults=True)
    for section, key in (name.split(".") for name in FREE_KEYS):
        recipe.get(section, {}).pop(key, None)
    facts = {
        "recipe": recipe,
        "images": dataset_fingerprint(prepared.data.samples),
        "weights": prepared.classifier.source.weights.digest,
    }
    loss = prepared.classifier.loss
    if isinstance(loss, GroupDROLoss) and loss.group_of is not None:
        facts["groups"] = hashlib.sha256(loss.group_of.cpu().numpy().tobytes()).hexdigest()
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
