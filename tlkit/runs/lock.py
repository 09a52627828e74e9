"""Locks on a run, which the system drops when the process that holds one ends, however it ends."""

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
except ImportError:  # Windows has no flock; there two writers are not kept apart
    fcntl = None  # type: ignore[assignment]

logger = logging.getLogger(__name__)

_held: set[TextIO] = set()
_NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS)  # some network file systems


@contextmanager
def write_lock(path: Path) -> Iterator[None]:
    """Be the one writer of the run at `path` while the block runs; the lock lies beside its directory.

    Raises:
        RunError: another process writes this run.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with ExitStack() as held:
        held.callback(_remove_if_empty, path.parent)
        try:
            held.enter_context(_locked(path.with_name(f".{path.name}.lock"), wait=False))
        except BlockingIOError:
            raise RunError(f"{path} is being written by another process. Wait for it, or use name=OTHER.") from None
        yield


@contextmanager
def judgement_lock(path: Path) -> Iterator[None]:
    """Wait for the other processes that store a judgement of the run at `path`, then keep them waiting."""
    with _locked(path / ".judgements.lock", wait=True):
        yield


@contextmanager
def _locked(file: Path, *, wait: bool) -> Iterator[None]:
    """Hold a lock file; it is gone afterwards.

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
                    "%s cannot be locked here (%s); see to it that one process writes.", file, error.strerror
                )
            if not _is(file, handle.fileno()):
                continue  # its last holder removed it while this process waited; what is there now is another file
            _held.add(handle)
            try:
                yield
            finally:
                _held.discard(handle)
                file.unlink(missing_ok=True)
            return


def _let_go() -> None:
    """Close the lock files in a forked child: a worker that outlives its killed parent must not hold the run."""
    for handle in _held:
        handle.close()
    _held.clear()


if fcntl is not None:
    os.register_at_fork(after_in_child=_let_go)


def _remove_if_empty(folder: Path) -> None:
    with suppress(OSError):
        folder.rmdir()


def _is(file: Path, descriptor: int) -> bool:
    """Return whether an open file is still the one of that name."""
    try:
        return os.path.samestat(file.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False
