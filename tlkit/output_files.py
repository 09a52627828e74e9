"""Checks that output files can be written, before the work whose result they are to hold."""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from collections.abc import Mapping
from pathlib import Path

from tlkit.disk import DISK_FULL_ERRNOS
from tlkit.errors import DataError, TlkitError

REMEDIES = {
    (errno.EACCES, errno.EPERM, errno.EROFS): "Change its permissions, or name another place.",
    (errno.ENOTDIR, errno.EEXIST): "A part of the path is a file, where a folder is needed. Name another place.",
    (errno.ENAMETOOLONG,): "Use a shorter name.",
    (errno.ELOOP,): "Its links lead in a circle. Name another place.",
    DISK_FULL_ERRNOS: "Free some space, or name another place.",
}
OF_FILES = (
    *(".csv", ".tsv", ".txt", ".parquet", ".json", ".jsonl", ".ndjson", ".xls", ".xlsx", ".yaml", ".yml", ".xml"),
    *(".html", ".md", ".pdf", ".svg", ".png", ".jpg", ".jpeg", ".npy", ".npz", ".arrow", ".feather", ".pkl", ".db"),
    *(".gz", ".zip", ".tar", ".pt", ".pth", ".ckpt", ".onnx", ".safetensors"),
)
"""Endings of files, which no folder is named by."""


def require_writable(
    outputs: Mapping[str, str | Path | None], *, in_place: bool = False, error: type[TlkitError] = DataError
) -> None:
    """Check that files can be written, and change nothing; missing folders count as writable where they can be made.

    The system is asked by a temporary file without a name in the nearest folder that exists: permissions alone do not
    tell of file systems that are read-only, full, or of the system's own kind, such as /proc.

    Args:
        outputs: path by the name that the user knows it by, such as "--out"; None = no such file.
        in_place: files that exist are written into; else they are replaced, which needs the folder.
        error: what to raise.

    Raises:
        TlkitError: of the type `error`, all problems at once: the path, the reason and what to do.
    """
    problems = [
        f"{name} {path} cannot be written: {reason}"
        for name, path in outputs.items()
        if path is not None and (reason := _why_not(Path(path), in_place=in_place))
    ]
    if problems:
        raise error(*problems)


def require_folder(folder: str | Path, *, name: str, error: type[TlkitError] = DataError) -> None:
    """Check that files can be written to a folder that exists or is to be made, and change nothing.

    Raises:
        TlkitError: of the type `error`.
    """
    reason = _why_no_file_in(Path(folder))
    if reason:
        raise error(f"{name} {folder} cannot be written: {reason}")


def require_folder_name(folder: str | Path, *, name: str, hint: str = "", error: type[TlkitError] = DataError) -> None:
    """Check that the name of a folder to be made is not that of a file, such as x.parquet; an existing one may be.

    Args:
        folder: the folder.
        name: the name that the user knows it by, such as "--out".
        hint: what else can be named; a sentence.
        error: what to raise.

    Raises:
        TlkitError: of the type `error`.
    """
    given = Path(folder)
    endings = "".join(given.suffixes[-2:])
    if not given.is_dir() and endings.lower().endswith(OF_FILES):
        raise error(
            f"{name} {folder} would be a folder with the name of a file. Name a folder, such as "
            f"{given.name.removesuffix(endings)}. {hint}".rstrip()
        )


def _why_not(path: Path, *, in_place: bool) -> str:
    """Return why a file cannot be written, and what to do; "" where it can."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return _why_no_file_in(path.absolute().parent)
    except OSError as error:
        return _reason(error)
    if stat.S_ISDIR(mode):
        return f"it is a folder. Name a file in it, such as {path / 'NAME'}."
    if in_place or not stat.S_ISREG(mode):  # a device or a pipe is never replaced
        return "" if os.access(path, os.W_OK) else _reason(PermissionError(errno.EACCES, os.strerror(errno.EACCES)))
    return _why_no_file_in(path.absolute().parent)


def _why_no_file_in(folder: Path) -> str:
    """Return why a folder, or the nearest above it that exists, takes no new file; "" where it does."""
    try:
        folder = folder.absolute()
        while not folder.exists() and folder.parent != folder:
            folder = folder.parent
        with tempfile.TemporaryFile(dir=folder):
            return ""
    except OSError as error:
        return f"the folder {folder} takes no new file. {_reason(error)}"


def _reason(error: OSError) -> str:
    known = next((text for numbers, text in REMEDIES.items() if error.errno in numbers), "Name another place.")
    return f"{error.strerror or error}. {known}"
