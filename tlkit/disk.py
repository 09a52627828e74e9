"""Atomic writing of files, and the location of the cache folder."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PARTIAL = ".partial"
DISK_FULL_ERRNOS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""`errno` values of a full disk or an exceeded quota."""


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path in the same folder; it is renamed to `path` when the block ends without an error.

    Readers never see a partial file, and the file survives a crash of the machine: it is synced before it is renamed.
    Where the block fails, `path` is unchanged. A process that is killed may leave a file whose name begins with a dot
    and ends with `PARTIAL`. The permissions are those that the umask gives to a new file, whatever the block sets. A
    device or a pipe is not replaced: what the block has written is copied into it.

    Raises:
        OSError: the file cannot be written, for instance because the disk is full; `filename` is `path`.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> with atomic_file(folder / "notes.txt") as partial:
        ...     _ = partial.write_text("all of it")
        >>> [file.name for file in folder.iterdir()]
        ['notes.txt']
    """
    if _is_special(path):
        with tempfile.TemporaryDirectory() as folder:
            copied = Path(folder, path.name)
            yield copied
            with copied.open("rb") as source, path.open("wb") as target:
                shutil.copyfileobj(source, target)
        return
    partial = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}{PARTIAL}")
    try:
        with writing(path, partial):
            partial.touch()
            mode = partial.stat().st_mode
            yield partial
            if partial.stat().st_mode != mode:
                partial.chmod(mode)  # safetensors writes with 0600
            with partial.open("rb+") as file:
                os.fsync(file.fileno())
            partial.replace(path)
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
    _sync_folder(path.parent)


@contextmanager
def writing(path: Path, partial: Path | None = None) -> Iterator[None]:
    """Name `path` in an `OSError` of the block that names no file, or names the temporary file `partial`.

    A failed write does not know its file, and users do not know the temporary name.

    Example:
        >>> import errno
        >>> with writing(Path("notes.txt")):
        ...     raise OSError(errno.ENOSPC, "No space left on device")
        Traceback (most recent call last):
        OSError: [Errno 28] No space left on device: 'notes.txt'
    """
    try:
        yield
    except OSError as error:
        if error.errno is None:
            raise
        if error.filename is None and partial is not None and partial.name in str(error):  # pyarrow's errors
            raise OSError(error.errno, os.strerror(error.errno), os.fspath(path)) from error
        if error.filename is None or (partial is not None and error.filename == os.fspath(partial)):
            error.filename = os.fspath(path)
        raise


def failed_path(error: OSError) -> str | None:
    """Return the path that an `OSError` names; of a copy, the file that it writes to."""
    name = error.filename2 if error.errno in DISK_FULL_ERRNOS and error.filename2 is not None else error.filename
    return None if name is None else os.fsdecode(name) if isinstance(name, bytes) else str(name)


def _is_special(path: Path) -> bool:
    """Return whether a path, after links, is a device, a pipe or a socket."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def write_text(path: Path, text: str) -> None:
    r"""Write a text file atomically: UTF-8, lines that end with \n."""
    with atomic_file(path) as partial:
        partial.write_text(text, encoding="utf-8", newline="\n")


def cache_folder() -> Path:
    """Return the folder of caches: `TLKIT_CACHE`, or `tlkit` in the user's cache folder."""
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
    """Sync a folder's entries to the disk; Windows can neither open nor sync a folder."""
    with suppress(OSError, AttributeError):
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
