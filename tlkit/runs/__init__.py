"""The run directory and what rests in it."""

from tlkit.runs.directory import RunDirectory
from tlkit.runs.judgements import store_judgement, stored_judgement
from tlkit.runs.lock import judgement_lock, write_lock

__all__ = ["RunDirectory", "judgement_lock", "store_judgement", "stored_judgement", "write_lock"]
