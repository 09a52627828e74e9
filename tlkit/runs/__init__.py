"""Run directories, their locks and stored results."""

from tlkit.runs.directory import RunDirectory
from tlkit.runs.find_run import find_model, folder_of_run
from tlkit.runs.lock import judgement_lock, write_lock
from tlkit.runs.stored_judgements import store_judgements, stored_result

__all__ = [
    "RunDirectory",
    "find_model",
    "folder_of_run",
    "judgement_lock",
    "store_judgements",
    "stored_result",
    "write_lock",
]
