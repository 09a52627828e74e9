"""File locks on a run; the operating system releases them when the process ends."""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TextIO

from tlkit.errors import RunError

try:
    import fcntl
except ImportError:  # Windows has no flock: there is no lock against two writers
    fcntl = None  # type: ignore[assignment]

logger = logging.getLogger(__name__)

HAS_LOCKS = fcntl is not None
_open_locks: set[TextIO] = set()
_NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS)  # some network file systems


@contextmanager
def write_lock(path: Path) -> Iterator[None]:
    """Lock the run at `path` for writing while the block runs; the lock file is in the parent folder.

    Raises:
        RunError: another process writes this run.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with ExitStack() as held:
        held.callback(_remove_if_empty, path.parent)
        try:
            held.enter_context(file_lock(path.with_name(f".{path.name}.lock"), wait=False))
        except BlockingIOError:
            raise RunError(f"{path} is being written by another process. Wait for it, or use name=OTHER.") from None
        yield


def is_being_written(path: Path) -> bool | None:
    """Return whether a process writes the run at `path`; None where the system has no locks. Nothing is written."""
    return is_locked(path.with_name(f".{path.name}.lock"))


def is_locked(file: Path) -> bool | None:
    """Return whether a process holds the lock of a file; None where the system has no locks. Nothing is written."""
    if fcntl is None:
        return None
    try:
        with file.open() as handle:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)  # released when the file is closed
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    except OSError:
        return None
    return False


@contextmanager
def judgement_lock(path: Path) -> Iterator[None]:
    """Lock the stored results of the run at `path` while the block runs; waits for other processes."""
    with file_lock(path / ".judgements.lock", wait=True):
        yield


@contextmanager
def file_lock(file: Path, *, wait: bool) -> Iterator[None]:
    """Lock a file while the block runs, and delete it afterwards; the system frees it where the process is killed.

    Raises:
        BlockingIOError: another process holds it, and `wait` is false.
    """
    if fcntl is None:
        yield
        return
    while True:
        with file.open("w") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                if error.errno not in _NO_LOCKS:
                    raise
                logger.warning(
                    "%s cannot be locked here (%s); make sure that only one process writes.", file, error.strerror
                )
            if not _is_same_file(file, handle.fileno()):
                continue  # its last holder deleted it while this process waited
            _open_locks.add(handle)
            try:
                yield
            finally:
                _open_locks.discard(handle)
                file.unlink(missing_ok=True)
            return


def _close_in_child() -> None:
    """Close the lock files in a forked child, so that a worker that outlives its parent does not hold the lock."""
    for handle in _open_locks:
        handle.close()
    _open_locks.clear()


if fcntl is not None:
    os.register_at_fork(after_in_child=_close_in_child)


def _remove_if_empty(folder: Path) -> None:
    with suppress(OSError):
        folder.rmdir()


def _is_same_file(file: Path, descriptor: int) -> bool:
    """Return whether an open file is still the file at a path."""
    try:
        return os.path.samestat(file.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False
