"""`create_tracker`: the tracker that a recipe's `tracking` section asks for; wandb is imported only for its own."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tlkit.choices import TrackerKind, TrackerMode
from tlkit.tracking.tracker import NullTracker, Tracker

logger = logging.getLogger(__name__)


def create_tracker(
    *,
    kind: TrackerKind,
    mode: TrackerMode,
    project: str,
    entity: str | None,
    tags: Sequence[str],
    log_model: bool,
    name: str,
    run_dir: Path,
    config: Mapping[str, Any],
    group: str | None = None,
) -> Tracker:
    """Open the tracker that a recipe's `tracking` section asks for.

    Args:
        kind: `none` keeps nothing and imports nothing; `wandb` is Weights & Biases.
        mode: `online` needs an API key; `offline` needs neither key nor network and can be uploaded later; `auto` is
            online where a key is configured and offline elsewhere.
        project: W&B project.
        entity: W&B user or team; None is the account's default.
        tags: words to find the run by.
        log_model: whether the stored model is recorded as an artifact.
        name: name of the run, also of its model artifact.
        run_dir: the run directory; everything that the tracker writes goes to its folder `wandb/`.
        config: what the run was asked to do: the resolved recipe.
        group: runs that belong together, such as the folds of a cross-validation.

    Raises:
        RecipeError: the tracker refuses a name or a tag, or `online` is asked for without an API key.

    Example:
        >>> with create_tracker(kind="none", mode="auto", project="tlkit", entity=None, tags=[], log_model=True,
        ...                     name="pets", run_dir=Path("runs/pets"), config={}) as tracker:
        ...     tracker.log_metrics({"val_loss": 0.3}, epoch=0)
    """
    if kind == "none":
        return NullTracker()
    if mode == "auto" and os.environ.get("WANDB_MODE") == "disabled":
        logger.info("WANDB_MODE=disabled: nothing is tracked.")
        return NullTracker()
    from tlkit.tracking.wandb_tracker import open_wandb

    return open_wandb(
        mode=mode,
        project=project,
        entity=entity,
        tags=tags,
        log_model=log_model,
        name=name,
        run_dir=run_dir,
        config=config,
        group=group,
    )
