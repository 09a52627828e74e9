"""Standard streams that are closed, whose reader has ended, or whose encoding lacks letters."""

from __future__ import annotations

import io
import os
import sys
from typing import TextIO

READER_GONE = 141
"""Exit code where the reader of the output ends first, as `head` does: 128 + SIGPIPE, as in a shell."""


def open_missing_streams() -> None:
    """Open `os.devnull` for a stream that the process was started without, such as by `>&-`."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_WRONLY), "w", encoding="utf-8"))


def escape_unwritable_letters() -> None:
    """Write letters that the encoding of a stream lacks as escapes, where they would end the command."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="backslashreplace")


def writes_unicode(stream: TextIO) -> bool:
    """Return whether a stream can write every letter."""
    return (stream.encoding or "utf-8").lower().startswith("utf")


def flush_stdout() -> None:
    """Flush stdout; where its reader has ended, discard the output silently."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        devnull = os.open(os.devnull, os.O_WRONLY)
        os.dup2(devnull, sys.stdout.fileno())
