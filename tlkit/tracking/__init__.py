"""Experiment tracking. wandb is imported only when a tracker of that kind is created."""

from __future__ import annotations

from tlkit.tracking.tracker import NullTracker, Tracker
from tlkit.tracking.tracker_creation import create_tracker

__all__ = ["NullTracker", "Tracker", "create_tracker"]
