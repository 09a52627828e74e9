"""Walks folders for images: the entries of a folder by what they are, and the images below it.

The name of a file says whether it is an image. Only a file whose ending says nothing (`scan`, `IM0001`, `cat.jpg~`) is
opened, for its first bytes: an image that is left out is named as one.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Literal, NamedTuple

from tlkit.data.decode.formats import detect_format, format_by_name
from tlkit.data.decode.known_formats import known_by_content, known_by_name
from tlkit.data.sources.entries import Entry
from tlkit.errors import DataError

JUNK_FOLDERS = {"__macosx", "@eadir", "$recycle.bin", "system volume information", "lost+found", "__pycache__"}
JUNK_FILES = {"thumbs.db", "desktop.ini", "icon\r"}
PLAIN_ENDING = re.compile(r"\.[A-Za-z]{1,5}")
"""An ending that says what a file is: text, a table, a program."""
FIRST_BYTES = 4096
ARCHIVES = (
    *(".zip", ".tar", ".7z", ".rar", ".tgz", ".tbz", ".tbz2", ".txz", ".tzst"),
    *(".tar.gz", ".tar.bz2", ".tar.xz", ".tar.zst"),
)


class FolderEntry(NamedTuple):
    """An entry of a folder; links are followed.

    Attributes:
        name: its name.
        kind: what it is; "file" and "folder" can be used.
        reason: why it cannot be opened.
    """

    name: str
    kind: Literal["file", "folder", "loop", "broken-link", "special-file", "cannot-open"]
    reason: str = ""


def list_folder(folder: Path) -> list[FolderEntry]:
    """Return the entries of a folder by name.

    Raises:
        DataError: it cannot be listed.
    """
    try:
        with os.scandir(folder) as entries:
            return sorted(map(_entry, entries))
    except OSError as error:
        raise DataError(f"The folder {folder} cannot be read: {error.strerror}.") from error


def _entry(entry: os.DirEntry[str]) -> FolderEntry:
    try:
        if entry.is_dir():
            return FolderEntry(entry.name, "folder")
        if entry.is_file():
            return FolderEntry(entry.name, "file")
        entry.stat()
    except FileNotFoundError:
        return FolderEntry(entry.name, "broken-link")
    except OSError as error:  # a link that leads to itself, a folder without permission, a drive that is gone
        if error.errno == errno.ELOOP:
            return FolderEntry(entry.name, "loop")
        return FolderEntry(entry.name, "cannot-open", error.strerror or str(error))
    return FolderEntry(entry.name, "special-file")


def skip_reason(entry: FolderEntry, path: str) -> Entry | None:
    """Return why an entry is skipped; None for a folder to enter and for an image by its name."""
    is_folder = entry.kind == "folder"
    place = f"{path}/" if is_folder else path
    if is_junk(entry.name, folder=is_folder):
        return Entry("junk", place)
    if not is_utf8(entry.name):
        return Entry("not-utf8", ascii(path))
    if entry.kind not in ("file", "folder"):
        return Entry(entry.kind, path, entry.reason)
    return None if is_folder else skip_by_name(path)


def skip_by_name(path: str) -> Entry | None:
    """Return why a file is skipped by its name; None for an image that is read."""
    if format_by_name(path) is not None:
        return None
    known = known_by_name(path)
    if known is not None:
        return Entry("unread-format", path, f"{known.name}: {known.advice}")
    return Entry("archive" if is_archive(path) else "not-by-name", path)


def unnamed_image(entry: Entry, root: Path) -> Entry:
    """Return the entry of a file that is no image by its name as one left out where its content is an image."""
    try:
        with (root / entry.name).open("rb") as file:
            return named_by_content(entry, file.read(FIRST_BYTES))
    except OSError:
        return entry


def has_unknown_ending(name: str) -> bool:
    """Return whether a file's ending names no known type, so that only its content can."""
    return not PLAIN_ENDING.fullmatch(PurePosixPath(name).suffix)


def named_by_content(entry: Entry, start: bytes) -> Entry:
    """Return the entry of a file that is no image by its name as one left out where its first bytes are an image's."""
    kind, known = detect_format(start), known_by_content(start)
    if kind is not None and kind not in ("BMP", "PNM"):  # whose two letters begin many texts
        return Entry("unread-format", entry.name, f"{kind} by its content: give its name the ending of that format")
    if known is not None:
        return Entry("unread-format", entry.name, f"{known.name} by its content: {known.advice}")
    return entry


def is_archive(path: str) -> bool:
    """Return whether a file is an archive by its name, in which images may lie."""
    return path.lower().endswith(ARCHIVES)


def is_junk(name: str, *, folder: bool) -> bool:
    """Return whether a file or folder is hidden, or one that an operating system leaves behind."""
    return name.startswith(".") or name.lower() in (JUNK_FOLDERS if folder else JUNK_FILES)


def is_utf8(name: str) -> bool:
    """Return whether the name of a file is valid UTF-8."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def walk_images(
    root: Path, place: str, skipped: list[Entry], above: frozenset[tuple[int, int]] | None = None
) -> Iterator[str]:
    """Yield the images below a folder, in order; links to folders are followed, but not back to one above them.

    Args:
        root: folder that paths are relative to.
        place: the folder below `root`; "" for the root itself.
        skipped: receives every entry that is not yielded, and each folder that is not entered.
        above: device and inode of the folders above; found by the first call.
    """
    try:
        if above is None:
            above = frozenset(_identity(root / parent) for parent in Path(place).parents)
        identity = _identity(root / place)
        if identity in above:
            skipped.append(Entry("loop", f"{place}/"))
            return
        entries = list_folder(root / place)
    except OSError as error:
        skipped.append(Entry("cannot-open", f"{place}/", error.strerror or str(error)))
        return
    except DataError as error:
        cause = error.__cause__
        skipped.append(Entry("cannot-open", f"{place}/", getattr(cause, "strerror", None) or str(cause)))
        return
    for entry in entries:
        path = f"{place}/{entry.name}" if place else entry.name
        reason = skip_reason(entry, path)
        if reason is not None:
            is_unknown = reason.kind == "not-by-name" and has_unknown_ending(path)
            skipped.append(unnamed_image(reason, root) if is_unknown else reason)
        elif entry.kind == "folder":
            yield from walk_images(root, path, skipped, above | {identity})
        else:
            yield path


def _identity(folder: Path) -> tuple[int, int]:
    status = folder.stat()
    return status.st_dev, status.st_ino
