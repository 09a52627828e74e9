"""A million paths in two tensors, which worker processes share."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch


class PathTable:
    """Paths as one run of bytes and the places where each begins, so that no process needs a copy of them.

    A list, or a column of a table, of Python strings is copied by every forked worker: counting references writes to
    each string. Numbers are only read, and their length is that of the text, not of the longest path. They are tensors,
    because torch hands a tensor to a worker that is not forked, but started anew, as shared memory, not as a copy.

    Example:
        >>> table = PathTable(["cat/1.jpg", "dog/22.jpg"])
        >>> len(table), table[1]
        (2, 'dog/22.jpg')
    """

    def __init__(self, paths: Iterable[str | Path]) -> None:
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
