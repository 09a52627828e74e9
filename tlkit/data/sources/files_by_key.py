"""Finds the files of a folder by any spelling of their paths; their names are never rewritten."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from tlkit.data.sources.delimited_files import relative_path
from tlkit.data.sources.read_bytes import file_exists
from tlkit.spelling import path_key


class FilesByKey:
    """The files below a folder, by any spelling of their paths.

    Args:
        root: the folder.

    Attributes:
        found: the files that `path_of` has returned.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self.found: set[str] = set()
        self._entries: dict[str, dict[str, list[str]]] = {}

    def path_of(self, text: str, *, beside: bool = False) -> str:
        """Return the path of a file, relative to the root, as the file is called on the disk.

        A path that names no file, or that several files could mean, is returned as `relative_path` returns it.

        Args:
            text: the path.
            beside: look outside of the root as well, as for a folder of masks beside that of the images.
        """
        path = relative_path(text, self._root)
        if beside and path.startswith("../"):
            self._is_file(path)
            return path
        if not path or path.startswith(("/", "../")) or path == "..":
            return path
        if path in self.found or self._is_file(path):
            return path
        for other in (text, self._on_disk(path)):  # a name may hold a "\\" on systems other than Windows
            if other != path and self._is_file(other):
                return other
        return path

    def _is_file(self, path: str) -> bool:
        there = file_exists(os.path.join(self._root, path))  # noqa: PTH118  called a million times
        if there:
            self.found.add(path)
        return there

    def _on_disk(self, path: str) -> str:
        folder = ""
        for part in path.split("/"):
            names = self._names(folder).get(path_key(part), [])
            if part not in names and len(names) != 1:
                return path
            folder = os.path.join(folder, part if part in names else names[0])  # noqa: PTH118
        return folder

    def _names(self, folder: str) -> dict[str, list[str]]:
        """Return the names in a folder by key; none where it cannot be listed."""
        if folder not in self._entries:
            by_key: dict[str, list[str]] = {}
            with suppress(OSError):
                for entry in (self._root / folder).iterdir():
                    by_key.setdefault(path_key(entry.name), []).append(entry.name)
            self._entries[folder] = by_key
        return self._entries[folder]
