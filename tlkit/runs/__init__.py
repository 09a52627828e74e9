"""The run directory and what rests in it."""

from tlkit.runs.directory import RunDirectory

__all__ = ["RunDirectory"]
