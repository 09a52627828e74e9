"""Recall by group and class."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tlkit.audit.options import AuditOptions
from tlkit.render.plots.canvas import BLUE, GREY, VERMILLION, axes_of_size, label_axis, plain, shortened

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from tlkit.audit.explanation import ExplainedColumn, HeatCell

MOST_GROUPS, MOST_CLASSES = 30, 30
MOST_WITH_NUMBERS = 16  # classes whose cells still have room for a number


def plot_heat(
    column: ExplainedColumn,
    ax: Axes | None = None,
    *,
    alpha: float = AuditOptions.alpha,
    max_half_width: float = AuditOptions.max_half_width,
) -> Axes:
    """Plot recall by group (down) and class (across), in the order of the table; darker = more is recognised.

    A framed cell differs from the rest of its class after Holm's correction. Cells with too few images for a
    number show their size. Above 30 groups or classes, those with the smallest p-values are shown.

    Args:
        column: with G groups and C classes.
        ax: where to draw; default: a new figure.
        alpha: level of the frames, in (0, 1).
        max_half_width: a recall whose interval reaches farther to each side has no number in its cell.
    """
    from matplotlib.colors import ListedColormap, to_rgba
    from matplotlib.ticker import PercentFormatter

    heat = column.heat
    p = np.array([[1.0 if cell.p_holm is None else cell.p_holm for cell in row] for row in heat.cells])
    rows, columns = _fewest(p.min(axis=1), MOST_GROUPS), _fewest(p.min(axis=0), MOST_CLASSES)
    recall = np.array(
        [[np.nan if (value := heat.cells[g][c].recall.value) is None else value for c in columns] for g in rows]
    )
    ax = axes_of_size(ax, width=min(4.6 + 0.5 * len(columns), 12.0), height=min(2.8 + 0.36 * len(rows), 10.0))
    shades = ListedColormap(
        [to_rgba(BLUE, shade) for shade in np.linspace(0.1, 1, 256)]
    )  # on light pages and dark ones
    image = ax.imshow(np.ma.masked_invalid(recall), cmap=shades, vmin=0, vmax=1, aspect="auto")
    names = [shortened(heat.classes[c], 20) for c in columns]
    upright = sum(map(len, names)) <= 8 * len(names) <= 64
    label_axis(ax, names, axis="x", size=9, rotation=0 if upright else 45)
    sizes = [sum(cell.recall.n for cell in heat.cells[g]) for g in rows]
    label_axis(
        ax, [f"{shortened(heat.groups[g], 24)} (n = {n})" for g, n in zip(rows, sizes, strict=True)], axis="y", size=9
    )
    for y, g in enumerate(rows):
        for x, c in enumerate(columns):
            _frame_cell(ax, heat.cells[g][c], x=x, y=y, alpha=alpha)
            if len(columns) <= MOST_WITH_NUMBERS:
                _label_cell(ax, heat.cells[g][c], x=x, y=y, max_half_width=max_half_width)
    plain(
        ax.set_xlabel(
            "class" if len(columns) == len(heat.classes) else f"class ({len(columns)} of {len(heat.classes)})"
        )
    )
    plain(ax.set_ylabel(shortened(column.by, 40)))
    ax.set_xticks(np.arange(len(columns) + 1) - 0.5, minor=True)
    ax.set_yticks(np.arange(len(rows) + 1) - 0.5, minor=True)
    ax.grid(which="minor", linewidth=0.6)
    ax.tick_params(which="minor", length=0)
    figure = ax.get_figure()
    assert figure is not None
    bar = figure.colorbar(image, ax=ax, shrink=0.9, label="recall (share of the cell's images)")
    bar.ax.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    if any(p[g, c] < alpha for g in rows for c in columns):
        ax.plot(
            [],
            [],
            "s",
            color=VERMILLION,
            fillstyle="none",
            markersize=9,
            markeredgewidth=2,
            label=f"differs from the rest (Holm, p < {alpha:g})",
        )
        ax.legend(loc="lower left", bbox_to_anchor=(0, 1.0), frameon=False, borderaxespad=0.2)
    return ax


def _frame_cell(ax: Axes, cell: HeatCell, *, x: int, y: int, alpha: float) -> None:
    """Frame a cell that differs from the rest of its class."""
    from matplotlib.patches import Rectangle

    if cell.p_holm is not None and cell.p_holm < alpha:
        ax.add_patch(Rectangle((x - 0.46, y - 0.44), 0.92, 0.88, fill=False, edgecolor=VERMILLION, linewidth=2.2))


def _label_cell(ax: Axes, cell: HeatCell, *, x: int, y: int, max_half_width: float) -> None:
    """Write the recall of a cell, or its size where it is too small for one."""
    if cell.recall.value is None or cell.recall.is_wide(max_half_width):
        ax.text(x, y, f"n={cell.recall.n}", ha="center", va="center", size=7, color=GREY)
    else:
        text = ax.text(x, y, f"{cell.recall.value:.2f}".removeprefix("0"), ha="center", va="center", size=8)
        if cell.recall.value > 0.75:  # contrast with both page colours
            text.set_color("white")


def _fewest(p: np.ndarray[tuple[int, ...], np.dtype[np.float64]], most: int) -> list[int]:
    """Return positions in their order, those with the smallest values where there are more than `most`."""
    return sorted(np.argsort(p, kind="stable")[:most].tolist())
