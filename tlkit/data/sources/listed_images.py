"""Images that are named by paths, or by lists of paths. Loads no library for tables where there is no list."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tlkit.data.sources.entries import Entries, Entry
from tlkit.data.sources.image_files import find_images, is_image_list
from tlkit.data.sources.read_bytes import file_exists
from tlkit.errors import DataError, first_few


def find_listed_images(paths: Sequence[str | Path], *, left_out: list[Entry] | None = None) -> list[Path]:
    """Return image files as `find_images` does, also those of lists; listed files that do not exist are logged.

    Args:
        paths: folders, tar files, images, and lists as `stream_images` takes them.
        left_out: is extended by what `find_images` appends, and by the listed files that do not exist.

    Raises:
        DataError: a list is damaged, or has no column `path`; or as for `find_images`.
    """
    found: list[Path] = []
    missing: list[Entry] = []
    for path in map(Path, paths):
        if not is_image_list(path):
            found.append(path)
            continue
        from tlkit.data.sources.image_stream import names_in  # reads tables

        for name in names_in(path, []):
            if file_exists(name):
                found.append(Path(name))
            else:
                missing.append(Entry("missing-file", name, "the file does not exist"))
    Entries(read=len(found), skipped=tuple(missing)).log()
    if paths and not found:
        raise DataError(f"No image of {first_few([str(path) for path in paths])} exists.")
    files = find_images(found, left_out=left_out)
    if left_out is not None:
        left_out += missing
    return files
