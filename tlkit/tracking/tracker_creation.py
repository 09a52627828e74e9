"""`create_tracker`: the tracker that a recipe's `tracking` section asks for; its library is imported only then."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tlkit.tracking.attempts import missing_extra
from tlkit.tracking.tracker import NullTracker, Tracker
from tlkit.tracking.wandb_environment import check_names

if TYPE_CHECKING:
    from tlkit.recipe import TrackingSection

logger = logging.getLogger(__name__)


def require_tracker(section: TrackingSection, *, name: str) -> None:
    """Check what can be known of a recipe's tracker before images are read: its package, names, key or address.

    Args:
        section: kind, mode and names of the tracker.
        name: name of the run.

    Raises:
        RecipeError: the tracker is not installed or refuses a name or a tag, or `online` is asked for without a key or
            an address.
    """
    if section.kind == "mlflow":
        from tlkit.tracking.mlflow_tracker import require_mlflow

        require_mlflow(section)
    elif section.kind == "tensorboard" and find_spec("tensorboard") is None:
        raise missing_extra("tensorboard", ModuleNotFoundError("No module named 'tensorboard'"))
    elif section.kind == "wandb":
        check_names(project=section.project, tags=section.tags, name=name)
        if any(one.startswith("WANDB_") for one in os.environ):
            from tlkit.tracking.wandb_tracker import require_variables

            require_variables()
        if section.mode == "online":
            from tlkit.tracking.wandb_tracker import require_key

            require_key()


def create_tracker(section: TrackingSection, *, name: str, run_dir: Path, config: Mapping[str, Any]) -> Tracker:
    """Open the tracker that a recipe's `tracking` section asks for.

    Args:
        section: kind, mode and names of the tracker. `online` needs W&B's API key, or MLFLOW_TRACKING_URI; `offline`
            needs neither these nor network; `auto` is online where they are configured and offline elsewhere.
        name: name of the run, also of its model artifact.
        run_dir: the run directory; everything that a tracker writes lies in its folder `wandb/`, `mlruns/`
            or `tensorboard/`.
        config: what the run was asked to do: the resolved recipe.

    Raises:
        RecipeError: the tracker is not installed or refuses a name or a tag, or `online` is asked for without a key or
            an address.

    Example:
        >>> from tlkit.recipe import TrackingSection
        >>> with create_tracker(TrackingSection(), name="pets", run_dir=Path("runs/pets"), config={}) as tracker:
        ...     tracker.log_metrics({"val_loss": 0.3}, epoch=0)
    """
    if section.kind == "none":
        return NullTracker()
    if section.kind == "mlflow":
        from tlkit.tracking.mlflow_tracker import open_mlflow

        return open_mlflow(section, name=name, run_dir=run_dir, config=config)
    if section.kind == "tensorboard":
        from tlkit.tracking.tensorboard_tracker import open_tensorboard

        return open_tensorboard(run_dir, config=config)
    if section.mode == "auto" and os.environ.get("WANDB_MODE") == "disabled":
        logger.info("WANDB_MODE=disabled: nothing is tracked.")
        return NullTracker()
    from tlkit.tracking.wandb_tracker import open_wandb

    return open_wandb(section, name=name, run_dir=run_dir, config=config)
