"""Standard streams that are closed, or whose reader has ended."""

from __future__ import annotations

import os
import sys

READER_GONE = 141
"""Exit code where the reader of the output ends first, as `head` does: 128 + SIGPIPE, as in a shell."""


def open_missing_streams() -> None:
    """Open `os.devnull` for a stream that the process was started without, such as by `>&-`."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_WRONLY), "w", encoding="utf-8"))


def flush_stdout() -> None:
    """Flush stdout; where its reader has ended, discard the output silently."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        devnull = os.open(os.devnull, os.O_WRONLY)
        os.dup2(devnull, sys.stdout.fileno())
