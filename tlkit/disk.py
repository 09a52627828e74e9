"""Files that appear whole or not at all, and the folder for what can be made anew."""

from __future__ import annotations

import errno
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PARTIAL = ".partial"
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""Numbers of the errors that say there is no room for more."""


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Hand out another path in the same folder; what is written there becomes `path` when the block ends well.

    Nobody ever sees half a file, and the file stays through a crash of the machine: it is forced to the disk before it
    gets its name. Where the block fails, `path` is as it was before. A process that is killed may leave a file behind
    whose name begins with a dot and ends with `PARTIAL`.

    Raises:
        OSError: the disk is full, say.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> with whole_file(folder / "notes.txt") as partial:
        ...     _ = partial.write_text("all of it")
        >>> [file.name for file in folder.iterdir()]
        ['notes.txt']
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}{PARTIAL}")
    try:
        yield partial
        with partial.open("rb+") as file:
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        if error.filename == os.fspath(partial):
            error.filename = os.fspath(path)  # nobody knows the other name
        elif error.errno is not None and partial.name in str(error):  # pyarrow's have it in their words
            raise OSError(error.errno, os.strerror(error.errno), os.fspath(path)) from error
        raise
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
    _sync_folder(path.parent)


def write_text(path: Path, text: str) -> None:
    r"""Write a text file, whole or not at all: UTF-8, lines that end with \n."""
    with whole_file(path) as partial:
        partial.write_text(text, encoding="utf-8", newline="\n")


def cache_folder() -> Path:
    """Return the folder for what can be made anew: `TLKIT_CACHE`, or tlkit's own in the user's cache folder."""
    given = os.environ.get("TLKIT_CACHE")
    if given:
        return Path(given).expanduser()
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "tlkit"


def _sync_folder(folder: Path) -> None:
    """Force a folder's new names to the disk; Windows can neither open nor sync a folder."""
    with suppress(OSError, AttributeError):
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
