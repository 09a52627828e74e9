"""`Activations`: what a frozen prefix of a backbone computes for images, mapped from the blocks of the cache."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tlkit.features.features import Provenance


@dataclass(frozen=True, eq=False)
class MappedRows:
    """Rows (N, D) that lie in several arrays mapped from disk.

    Attributes:
        blocks: arrays (n, D), float32 or float16.
        block: (N,) the array of each row.
        row: (N,) its place there.
    """

    blocks: tuple[npt.NDArray[Any], ...]
    block: npt.NDArray[np.int64]
    row: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.row)

    def take(self, places: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """Return some rows as float32, (n, D), in the order given; float16 values are widened."""
        found = np.empty((len(places), self.blocks[0].shape[1]), dtype=np.float32)
        for at, (block, row) in enumerate(zip(self.block[places].tolist(), self.row[places].tolist(), strict=True)):
            found[at] = self.blocks[block][row]
        return found


@dataclass(frozen=True, eq=False)
class Activations:
    """The activations of N images after a module of a backbone.

    Attributes:
        rows: (N, D), each the flattened activations of an image.
        path: (N,) paths as in the samples.
        digest: (N,) sha256 of each image file, hex.
        made_by: their provenance; its `layer` names the module and the shape.
    """

    rows: MappedRows
    path: npt.NDArray[np.str_]
    digest: npt.NDArray[np.str_]
    made_by: Provenance

    def __post_init__(self) -> None:
        assert len(self.rows) == len(self.path) == len(self.digest), "rows, paths and digests differ in number"

    def __len__(self) -> int:
        return len(self.path)

    def rows_in(self, paths: npt.NDArray[np.str_]) -> npt.NDArray[np.int64]:
        """Return the positions of those paths that have activations, in their order."""
        return np.flatnonzero(np.isin(paths, self.path)).astype(np.int64)

    def values(self, places: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """Return the activations of some images, (n, D)."""
        return self.rows.take(places)
