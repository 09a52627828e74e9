"""Experiment tracking. A library is imported only when a tracker of its kind is created."""

from __future__ import annotations

from tlkit.tracking.tracker import NullTracker, Tracker
from tlkit.tracking.tracker_creation import create_tracker

__all__ = ["NullTracker", "Tracker", "create_tracker"]
