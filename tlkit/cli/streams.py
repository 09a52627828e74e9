"""What the command line does where nobody reads what it prints: the streams are closed, or the reader has gone."""

from __future__ import annotations

import os
import sys

READER_GONE = 141
"""Exit code where the reader of the output ends first, as `head` does: 128 + SIGPIPE, as a shell says it."""


def open_missing_streams() -> None:
    """Let what is printed go nowhere where the process was started without a stream, such as by `>&-`."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_WRONLY), "w", encoding="utf-8"))


def drop_unread() -> None:
    """Write out what is left of the output; where nobody reads it any more, drop it without a word."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
