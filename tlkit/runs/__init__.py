"""The run directory and what rests in it."""

from tlkit.runs.directory import RunDirectory
from tlkit.runs.lock import write_lock

__all__ = ["RunDirectory", "write_lock"]
