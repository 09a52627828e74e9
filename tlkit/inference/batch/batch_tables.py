"""The table of a batch prediction's counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tlkit.tables import Column, Table

if TYPE_CHECKING:
    from tlkit.inference.batch.batch_result import BatchResult


def batch_table(result: BatchResult) -> Table:
    """Return the counts of a shard and of the whole folder, and what is missing still."""
    left = result.all_parts - result.all_done
    notes = [
        f"{left} of {result.all_parts} parts are not written yet. Run the other shards, and again those that stopped."
        if left
        else f"All parts are written. Read the folder as one table: tlkit evaluate {result.out} --groups LABELS.csv"
    ]
    if result.unreadable:
        notes.append(f"{result.unreadable} images have no prediction; the column `error` says why.")
    columns = (Column("what", ""), Column("parts", "parts", "count"), Column("images", "images", "count"))
    rows = (
        (f"shard {result.shard}/{result.shards}", result.parts, result.images),
        ("of these written now", result.written, None),
        ("all shards", result.all_parts, result.all_images),
    )
    return Table("batch", str(result.out), columns, rows, notes=tuple(notes))
