"""Checks that inputs are files before they are read: a pipe waits for a writer, and a device may never end."""

from __future__ import annotations

import stat
from pathlib import Path

from tlkit.errors import TlkitError


def refuse_pipe(path: Path, *, what: str = "", error: type[TlkitError]) -> None:
    """Raise where a path, after links, is a pipe, a socket or a device; one that does not exist passes.

    Args:
        path: what is to be read.
        what: its kind, for the message, such as "The list of images".
        error: type of the error.

    Raises:
        TlkitError: of the type `error`.

    Example:
        >>> refuse_pipe(Path("/dev/null"), error=TlkitError)
        Traceback (most recent call last):
        tlkit.errors.TlkitError: /dev/null is a pipe or a device. Name a file, or save its content as one.
    """
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):  # the reader says why
        return
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise error(f"{what} {path} is a pipe or a device. Name a file, or save its content as one.".lstrip())
