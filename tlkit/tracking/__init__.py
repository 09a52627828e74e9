"""Where a run is recorded while it happens. Importing this room loads no wandb; it comes in only when asked for."""

from __future__ import annotations

from tlkit.tracking.tracker import NullTracker, Tracker
from tlkit.tracking.tracker_creation import create_tracker

__all__ = ["NullTracker", "Tracker", "create_tracker"]
