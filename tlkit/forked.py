"""Work in another process, forked from this one: it knows at once all that this one knows, and the cores share it."""

from __future__ import annotations

import ctypes
import gc
import multiprocessing
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from types import TracebackType
from typing import Any, Self

SAID, FAILED = "said", "failed"
ENDED = "it has ended"
PR_SET_PDEATHSIG = 1


class ForkedError(Exception):
    """The other process has ended without doing its work, or says nothing; the message says why."""


def can_fork() -> bool:
    """Tell whether this process may be forked: threads, of which a fork has none, could hold what it waits for.

    Whoever has computed with torch must not fork either: the threads of its OpenMP would be waited for, too.
    """
    alone = threading.active_count() == 1
    return sys.platform == "linux" and alone and not multiprocessing.current_process().daemon  # a pool's may not


class Forked:
    """Another process at its work; a context, at the end of which it has ended.

    It has a process group of its own: Ctrl-C reaches this process alone, which ends the other one and its workers.

    Args:
        work: called there with the connection to this process; it sends by `tell`. It ends when this process is gone.

    Raises:
        ForkedError: the system allows no further process.
    """

    def __init__(self, work: Callable[[Connection], None]) -> None:
        fork = multiprocessing.get_context("fork")
        try:
            self._home, there = fork.Pipe()
            self._process = fork.Process(target=_work, args=(work, self._home, there, os.getpid()))
            with warnings.catch_warnings():  # from Python 3.12 on, of threads; numpy's are made for it
                warnings.simplefilter("ignore", DeprecationWarning)
                self._process.start()
        except OSError as error:
            raise ForkedError(f"it cannot be started: {error.strerror or error}") from error
        there.close()
        self.pid = self._process.pid

    def __enter__(self) -> Self:
        return self

    def say(self, what: object) -> None:
        """Send something picklable to the other process; nothing happens where it has ended."""
        with suppress(OSError):
            self._home.send(what)

    def hear(self, patience_s: float | None = None) -> Any:
        """Return the next thing that the other process tells.

        Args:
            patience_s: how long to wait for it; None = as long as that process lives.

        Raises:
            ForkedError: it has failed, ended or said nothing for so long.
        """
        if not wait([self._home, self._process.sentinel], patience_s):
            raise ForkedError(f"it has said nothing for {patience_s:.0f} s")
        try:
            kind, what = self._home.recv() if self._home.poll() else (FAILED, ENDED)
        except (EOFError, OSError):
            kind, what = FAILED, ENDED
        if kind == FAILED:
            raise ForkedError(what)
        return what

    def end(self) -> None:
        """End the other process and the processes that it has started, where they still run."""
        if self._home.closed:
            return
        assert self.pid is not None
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.kill()  # where it has not got a group of its own yet
        self._process.join()
        with suppress(ValueError):  # where SIGCHLD is ignored, nobody knows that it has ended
            self._process.close()
        self._home.close()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()


def tell(home: Connection, what: object) -> None:
    """Send something picklable from a forked process to the one that it was forked from."""
    home.send((SAID, what))


def _work(work: Callable[[Connection], None], theirs: Connection, home: Connection, parent: int) -> None:
    os.setpgid(0, 0)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    with suppress(OSError, AttributeError):  # prctl(2): end with the parent, whatever keeps this process waiting
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        return
    theirs.close()  # else its end would not show that they are gone
    gc.disable()  # a search for rubbish would copy the memory that both share
    try:
        work(home)
    except (ConnectionError, EOFError):  # they are gone
        return
    except Exception as error:  # whatever it is, they do the work themselves
        with suppress(OSError):
            home.send((FAILED, f"{type(error).__name__}: {error}"))
