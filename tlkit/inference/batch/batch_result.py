"""`BatchResult`: what one process of a batch prediction has done, and the parts that are still missing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tlkit.plain_values import from_plain, to_plain
from tlkit.tables import Table


@dataclass(frozen=True)
class BatchResult:
    """The parts of one shard after a batch prediction.

    Attributes:
        out: folder of the parts.
        shard: place of this process among `shards`, from 0.
        shards: number of processes that share the parts.
        parts: parts of this shard.
        written: parts that were predicted now; the others were done before and verified.
        images: images of this shard.
        unreadable: images of this shard that have a reason in place of a prediction.
        all_images: images of all shards.
        all_parts: parts of all shards.
        all_done: files of parts in the folder, of all shards; those of other shards are counted, not verified.
    """

    out: str
    shard: int
    shards: int
    parts: int
    written: int
    images: int
    unreadable: int
    all_images: int
    all_parts: int
    all_done: int

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values; `from_dict` reads them back."""
        values: dict[str, Any] = to_plain(self)
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> BatchResult:
        """Read what `to_dict` wrote."""
        return from_plain(cls, values)

    def tables(self) -> list[Table]:
        """Return the table of counts."""
        from tlkit.inference.batch.batch_tables import batch_table

        return [batch_table(self)]
