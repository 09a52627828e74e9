"""Whether a run is continued in the world it was started in, and what its results follow from."""

from __future__ import annotations

import hashlib
import json

from tlkit.errors import RunError
from tlkit.models.losses import GroupDROLoss
from tlkit.runs import RunDirectory
from tlkit.training.environment import fingerprint
from tlkit.training.prepare import Prepared


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
