"""Training: loss and accuracy by epoch, with the kept epoch marked."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tlkit.render.plots import plot_history
from tlkit.render.report.page_section import Figure, Fold, PageSection
from tlkit.tables import Cell, Column, Mark, Table

if TYPE_CHECKING:
    import pandas as pd

    from tlkit.render.report.run_contents import RunContents

_SERIES = (  # columns of metrics.csv
    Column("epoch", "epoch", "number", digits=0),
    Column("train_loss", "training loss", "number", digits=4),
    Column("val_loss", "validation loss", "number", digits=4),
    Column("val_accuracy", "validation accuracy", "number", digits=4),
    Column("val_mae", "validation mean absolute error", "significant"),
    Column("val_iou", "validation mean IoU of images", "number", digits=4),
    Column("val_worst_group_accuracy", "accuracy of the worst group", "number", digits=4),
    Column("learning_rate", "learning rate", "significant"),
)


def training_section(run: RunContents) -> PageSection | None:
    """Return the training history; None if it is not known."""
    return history_section(run.history, run.kept_epochs)


def history_section(history: pd.DataFrame | None, kept: Sequence[int]) -> PageSection | None:
    """Return the training history, with the kept epochs marked; None if it is not known.

    Args:
        history: one row per epoch, as in metrics.csv.
        kept: epochs whose weights the model has.
    """
    if history is None or history.empty:
        return None
    has_accuracy = "val_accuracy" in history.columns
    what = "Loss and accuracy" if has_accuracy or "val_loss" not in history.columns else "Loss"
    axes = "Loss on the left axis, accuracy on the right one." if what != "Loss" else "Loss."
    figure = Figure.draw(
        lambda: plot_history(history, kept=kept),
        alt=f"{what} over {len(history)} epochs. {kept_sentence(kept)} The numbers are in the table below.",
        caption=f"{axes} A validation loss that rises while the training loss falls means overfitting.",
    )
    claim = f"{len(history)} epoch{'' if len(history) == 1 else 's'}. {kept_sentence(kept)}".strip()
    return PageSection("training", "Training", claim, (figure, Fold("All epochs in numbers", (_table(history, kept),))))


def kept_sentence(kept: Sequence[int]) -> str:
    """Return which epochs' weights the model has, as a sentence; "" where that is not known."""
    if not kept:
        return ""
    if len(kept) == 1:
        return f"The model has the weights of epoch {kept[0]}."
    return f"The model has the mean of the weights of epochs {', '.join(map(str, kept))}."


def _table(history: pd.DataFrame, kept: Sequence[int]) -> Table:
    columns = [column for column in _SERIES if column.name in history.columns]
    numbers = history[[column.name for column in columns]].to_numpy(dtype=float).tolist()
    rows: list[tuple[Cell, ...]] = [tuple(None if math.isnan(value) else value for value in row) for row in numbers]
    if kept:
        columns.append(Column("kept", "kept", "flag"))
        rows = [(*row, row[0] in kept) for row in rows]
    marks: dict[int, Mark] = {place: "total" for place, row in enumerate(rows) if row[0] in kept}
    return Table("epochs", "Epochs", tuple(columns), tuple(rows), marks=marks)
