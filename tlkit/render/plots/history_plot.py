"""Training curves: loss and accuracy by epoch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tlkit.render.plots.canvas import BLUE, GREEN, GREY, ORANGE, axes_of_size, legend_above

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

_LOSSES = {"train_loss": ("training loss", ORANGE, "o"), "val_loss": ("validation loss", BLUE, "s")}
_ACCURACIES = {"val_accuracy": ("validation accuracy", GREEN, "^")}


def plot_history(metrics: pd.DataFrame, ax: Axes | None = None, *, kept: Sequence[int] = ()) -> Axes:
    """Plot loss (left axis) and accuracy (right axis) by epoch.

    Args:
        metrics: one row per epoch, as in a run's metrics.csv: the column `epoch` and any of `train_loss`, `val_loss`
            (mean cross-entropy, nats) and `val_accuracy` (share, 0–1); missing values leave a gap.
        ax: where to draw; default: a new figure.
        kept: epochs whose weights the model has; each is marked.

    Returns:
        The axes of the loss.

    Raises:
        ValueError: there is no column `epoch`.
    """
    from matplotlib.ticker import MaxNLocator, PercentFormatter

    if "epoch" not in metrics.columns:
        raise ValueError(f"metrics has no column 'epoch'; it has {list(metrics.columns)}")
    ax = axes_of_size(ax, width=7.5, height=3.4)
    lines = []
    for place, epoch in enumerate(kept):
        line = ax.axvline(epoch, color=GREY, linewidth=7, alpha=0.28, solid_capstyle="butt", label="kept epoch")
        lines += [line] if place == 0 else []

    def draw(onto: Axes, column: str, label: str, color: str, marker: str) -> None:
        rows = metrics[["epoch", column]].dropna()
        style = "--" if marker == "^" else "-"
        lines.extend(onto.plot(rows["epoch"], rows[column], style, color=color, marker=marker, ms=4, label=label))

    for column, (label, color, marker) in _LOSSES.items():
        if column in metrics.columns:
            draw(ax, column, label, color, marker)
    others = {"val_mae", "val_iou"} & set(metrics.columns)  # grades, numbers and masks have other losses
    unit = "" if others else " (cross-entropy, nats)"
    ax.set(xlabel=f"epoch (n = {metrics['epoch'].nunique()})", ylabel=f"loss{unit}")
    ax.set_ylim(bottom=0)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.grid(axis="y", linewidth=0.6)
    for column, (label, color, marker) in _ACCURACIES.items():
        if column in metrics.columns:
            right = ax.twinx()
            draw(right, column, label, color, marker)
            right.set_ylabel("accuracy (share of images)")
            right.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
            right.set_ylim(top=1.02)
            low, _ = right.get_ylim()
            right.spines["top"].set_visible(False)
            right.set_yticks([tick for tick in right.get_yticks() if low <= tick < 1.001])
    if lines:
        legend_above(ax, columns=len(lines), handles=lines)
        ax.spines["top"].set_visible(False)
    return ax
