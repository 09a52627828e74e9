"""Paths stored in two tensors, which worker processes share."""

from __future__ import annotations

import os
from collections.abc import Iterable

import numpy as np
import torch


class PathTable:
    """A list of paths as one array of bytes and the end of each path, so that worker processes need no copy.

    Every forked worker copies a list of Python strings, because counting references writes to each string. It only
    reads numbers. They are tensors, because torch passes tensors to spawned workers as shared memory.

    Example:
        >>> table = PathTable(["cat/1.jpg", "dog/22.jpg"])
        >>> len(table), table[1]
        (2, 'dog/22.jpg')
    """

    def __init__(self, paths: Iterable[str | os.PathLike[str]]) -> None:
        encoded = [os.fsencode(path) for path in paths]
        self._ends = torch.from_numpy(np.cumsum([len(path) for path in encoded], dtype=np.int64))
        self._bytes = torch.from_numpy(np.frombuffer(bytearray().join(encoded), dtype=np.uint8))

    def __len__(self) -> int:
        return len(self._ends)

    def __getitem__(self, index: int) -> str:
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        index %= len(self)
        ends = self._ends.numpy()
        start = int(ends[index - 1]) if index else 0
        return os.fsdecode(self._bytes.numpy()[start : int(ends[index])].tobytes())
