"""One writer per run: a lock beside its directory, which the system drops when the process ends, however it ends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tlkit.errors import RunError

try:
    import fcntl
except ImportError:  # Windows has no flock; there two writers are not kept apart
    fcntl = None  # type: ignore[assignment]


@contextmanager
def write_lock(path: Path) -> Iterator[None]:
    """Hold the lock of the run at `path` while the block runs.

    Raises:
        RunError: another process writes this run.
    """
    if fcntl is None:
        yield
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    file = path.with_name(f".{path.name}.lock")
    with file.open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RunError(f"{path} is being written by another process. Wait for it, or use name=OTHER.") from None
        try:
            yield
        finally:
            file.unlink(missing_ok=True)
            with suppress(OSError):  # leave no empty folder behind where nothing was written
                path.parent.rmdir()
