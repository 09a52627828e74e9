"""Opens trackers by plain options, as the tests vary them."""

from __future__ import annotations

from typing import Any

from tlkit.recipe import TrackingSection
from tlkit.tracking import Tracker, create_tracker


def open_tracker(*, name: str, run_dir: Any, config: dict[str, Any], **section: Any) -> Tracker:
    """Return the tracker of a `tracking` section with these keys, which is not validated."""
    return create_tracker(TrackingSection.model_construct(**section), name=name, run_dir=run_dir, config=config)
