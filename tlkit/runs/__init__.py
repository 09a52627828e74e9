"""The run directory and what rests in it."""

from tlkit.runs.directory import RunDirectory
from tlkit.runs.lock import judgement_lock, write_lock

__all__ = ["RunDirectory", "judgement_lock", "write_lock"]
