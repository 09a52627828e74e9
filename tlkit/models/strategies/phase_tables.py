"""The table of a phase: what each block of the network does in training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tlkit.tables import Column, Table

if TYPE_CHECKING:
    from tlkit.models.strategies.phases import LayerRow


def phase_table(layers: Sequence[LayerRow], *, title: str = "", notes: tuple[str, ...] = ()) -> Table:
    """Return the blocks with their sum; the lowest rate has a column of its own where it differs within a block.

    Args:
        layers: the blocks, as `layer_table` reads them off the network.
        title: of the table.
        notes: sentences below it.
    """
    several = any(layer.lowest_rate != layer.learning_rate for layer in layers)
    columns = (
        Column("block", "block"),
        Column("mode", "mode", "word"),
        *([Column("lowest_rate", "lowest rate", "significant", digits=2)] if several else []),
        Column("learning_rate", "learning rate", "significant", digits=2),
        Column("trained", "trained parameters", "count"),
        Column("parameters", "parameters", "count"),
    )
    rows = [
        (
            layer.block,
            layer.mode,
            *([layer.lowest_rate if layer.trains else None] if several else []),
            layer.learning_rate if layer.trains else None,
            layer.trained,
            layer.parameters,
        )
        for layer in layers
    ]
    none = (None,) * (3 if several else 2)
    total = ("all", *none, sum(layer.trained for layer in layers), sum(layer.parameters for layer in layers))
    return Table("phase", title, columns, (*rows, total), notes=notes, marks={len(rows): "total"})
