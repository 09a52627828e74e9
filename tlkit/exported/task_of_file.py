"""The task of an exported file, without running it."""

from __future__ import annotations

from pathlib import Path

from tlkit.choices import Task, TrainedTask
from tlkit.exported.model import is_exported, open_exported

OTHERS: tuple[TrainedTask, ...] = ("multilabel", "ordinal", "regression", "segmentation")


def task_of_exported(path: str | Path) -> Task | None:
    """Return the task of an exported file; None for other paths.

    Opening a file loads its network, so a file is opened only where its bytes name another task than one class for
    each image.

    Raises:
        ModelError: the file was changed, or cannot be run.
    """
    path = Path(path)
    if not is_exported(path) or not path.is_file():
        return None
    content = path.read_bytes()
    if not any(task.encode() in content for task in OTHERS):
        return "multiclass"
    return open_exported(path, threads=1).facts.task
