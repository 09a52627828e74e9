"""The table of a phase: the blocks of the network with mode, learning rate and parameters."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tlkit.tables import Column, Table, to_lines

if TYPE_CHECKING:
    from tlkit.models.strategies.apply_phase import LayerRow
    from tlkit.models.strategies.plan_phases import Phase

logger = logging.getLogger(__name__)


def phase_table(layers: Sequence[LayerRow], *, title: str = "", notes: tuple[str, ...] = ()) -> Table:
    """Return the table of the blocks with their total; the lowest rate gets a column if it differs within a block."""
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


def log_phase(phase: Phase, layers: Sequence[LayerRow], *, is_last: bool) -> None:
    """Log the table of a phase that begins."""
    last = "on" if is_last else f"to {phase.first_epoch + phase.epochs}"
    text = "\n".join(f"  {line}" for line in to_lines([phase_table(layers)]))
    logger.debug("Training %s from epoch %d %s:\n%s", phase.name, phase.first_epoch + 1, last, text)
