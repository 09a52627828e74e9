"""Image files for prediction: named files, files below folders, and members of tar files, each counted."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TypeVar

from tlkit.data.decode.formats import format_by_name, readable_endings
from tlkit.data.sources.entries import Entries, Entry
from tlkit.data.sources.read_bytes import file_exists
from tlkit.data.sources.tar_files import list_members
from tlkit.data.sources.tar_samples import group_members
from tlkit.data.sources.walk import walk_images
from tlkit.errors import DataError, first_few
from tlkit.input_files import refuse_pipe

File = TypeVar("File", bound=os.PathLike[str])
UNREAD = ("unread-format", "cannot-open")
"""Kinds of entries that are images, or may be, and cannot be read."""
NAMED_IMAGES = ("broken-link", "loop", "special-file", "tar-member")
"""Kinds of entries that count as such an image where their name is that of one."""
NO_IMAGE = "No image is named. Give files or folders."
REASONS = {
    "broken-link": "a link that leads nowhere",
    "loop": "a link that leads back to itself",
    "special-file": "a pipe, a socket or a device, not a file",
}
LIST_SUFFIXES = (".csv", ".parquet", ".txt")


def find_images(paths: Sequence[str | Path], *, left_out: list[Entry] | None = None) -> list[Path]:
    """Return the image files among the paths, below folders and in tar files, in order; what is skipped is logged.

    A name counts once; two names of one file, such as two links to it, are two images. What `unread_images` returns is
    appended to `left_out` too.

    Raises:
        DataError: a path does not exist, or a folder holds no image; all such paths at once.
    """
    files, entries = find_and_count_images(paths)
    entries.log()
    if left_out is not None:
        left_out += unread_images(entries.skipped)
    return files


def unread_images(skipped: Iterable[Entry]) -> list[Entry]:
    """Return the entries that are images and cannot be read, each with the reason, for rows of their own.

    These are images in formats that are not read here, files that cannot be opened, and links that lead nowhere, pipes
    and links in tar files under the name of an image.
    """
    return [
        entry if entry.reason else entry._replace(reason=REASONS.get(entry.kind, entry.kind))
        for entry in skipped
        if entry.kind in UNREAD or (entry.kind in NAMED_IMAGES and format_by_name(entry.name) is not None)
    ]


def find_and_count_images(paths: Sequence[str | Path]) -> tuple[list[Path], Entries]:
    """Return the image files among the paths as `find_images` does, and the count of the entries.

    Raises:
        DataError: as for `find_images`.
    """
    files: list[Path] = []
    entries = Entries()
    problems = [] if paths else [NO_IMAGE]
    for path in paths:
        try:
            found, more = files_at(Path(path))
        except DataError as error:
            problems += error.problems
            continue
        files += found
        entries += more
    if problems:
        raise DataError(*problems)
    once, repeated = each_once(files)
    return once, Entries(len(once), entries.companions, entries.excluded, (*entries.skipped, *repeated))


def each_once(files: Iterable[File]) -> tuple[list[File], list[Entry]]:
    """Return the files with each name once, and the names that repeat an earlier one; images in memory all stay."""
    seen: set[str] = set()
    once, repeated = [], []
    for file in files:
        name = os.path.abspath(file) if isinstance(file, Path) else ""  # noqa: PTH100  links stay what they are named
        if name in seen:
            repeated.append(Entry("repeated", str(file)))
            continue
        once.append(file)
        if name:
            seen.add(name)
    return once, repeated


def files_at(path: Path) -> tuple[list[Path], Entries]:
    """Return the image file at a path, or those below a folder or in a tar, in order, and the count of the entries.

    Folders are walked and tars are grouped as for training.

    Raises:
        DataError: the path does not exist, or the folder or tar holds no image.
    """
    skipped: list[Entry] = []
    companions = 0
    if path.is_dir():
        found = [path / name for name in walk_images(path, "", skipped)]
    elif path.suffix.lower() == ".tar" and path.is_file():
        members, unusual = list_members(path)
        content = group_members(members, path)
        found = [path / image.member.name for image in content.images]
        skipped, companions = [*unusual, *content.skipped], content.companions
    elif file_exists(str(path)):
        found = [path]
    else:
        refuse_pipe(path, error=DataError)
        raise DataError(f"{path} {'is no file' if path.exists() else 'does not exist'}.")
    if not found:
        unread = unread_images(skipped)
        more = f" Left out: {first_few(unread)}." if unread else ""
        raise DataError(f"{path} holds no image. The formats are {', '.join(sorted(readable_endings()))}.{more}")
    named = tuple(entry._replace(name=str(path / entry.name)) for entry in skipped)
    return found, Entries(read=len(found), companions=companions, skipped=named)


def is_image_list(path: Path) -> bool:
    """Return whether a path names a list of images: a file that ends in .csv, .parquet or .txt."""
    return path.suffix.lower() in LIST_SUFFIXES and path.is_file()
