"""Heat map of recall by group and class."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tlkit.audit.group_tables import DIRECTIONS, Direction
from tlkit.audit.options import AuditOptions
from tlkit.render.plots.canvas import (
    GREY,
    PURPLE,
    VERMILLION,
    axes_of_size,
    draw_matrix,
    drawable,
    is_narrow,
    label_axis,
    legend_above,
    shortened,
    write_in_cell,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from tlkit.audit.explanation import ExplainedColumn, HeatCell

MOST_GROUPS, MOST_CLASSES = 30, 30
FRAMES: dict[Direction, tuple[str, str]] = {"below the rest": (VERMILLION, "-"), "above the rest": (PURPLE, "--")}
"""Color and line style of the frames."""
MOST_WITH_NUMBERS = 16  # classes up to which a cell has room for a number


def plot_heat(
    column: ExplainedColumn,
    ax: Axes | None = None,
    *,
    alpha: float = AuditOptions.alpha,
    max_half_width: float = AuditOptions.max_half_width,
) -> Axes:
    """Plot recall by group (rows) and class (columns), in the order of the table; darker = higher recall.

    A framed cell differs from its complement (the other groups' images of the class) after Holm's correction: in one
    color where the recall lies below, in another and dashed where it lies above. Cells
    with too few images for a number show their size. Above 30 groups or classes only those with the smallest p-values
    are shown.

    Args:
        column: a column with G groups and C classes.
        ax: where to draw; default: a new figure.
        alpha: significance level of the frames, in (0, 1).
        max_half_width: a recall whose interval reaches farther to each side has no number in its cell.
    """
    heat = column.heat
    p = np.array([[1.0 if cell.p_holm is None else cell.p_holm for cell in row] for row in heat.cells])
    rows, columns = _smallest(p.min(axis=1), MOST_GROUPS), _smallest(p.min(axis=0), 8 if is_narrow() else MOST_CLASSES)
    recall = np.array([[heat.cells[g][c].recall.value for c in columns] for g in rows], dtype=np.float64)  # None = NaN
    found = {_direction(heat.cells[g][c], alpha) for g in rows for c in columns}
    framed = [direction for direction in DIRECTIONS if direction in found]
    height = min(2.8 + 0.36 * len(rows), 10.0) + 0.4 * len(framed)  # for the legend
    ax = axes_of_size(ax, width=min(4.6 + 0.5 * len(columns), 12.0), height=height)
    draw_matrix(ax, recall, label="recall (share of the cell's images)", aspect="auto", bar_size=0.9)
    names = [shortened(heat.classes[c], 20) for c in columns]
    upright = sum(map(len, names)) <= 8 * len(names) <= 64
    label_axis(ax, names, axis="x", size=9, rotation=0 if upright else 45)
    sizes = [sum(cell.recall.n for cell in heat.cells[g]) for g in rows]
    groups = [f"{shortened(heat.groups[g], 24)} (n = {n})" for g, n in zip(rows, sizes, strict=True)]
    label_axis(ax, groups, axis="y", size=9)
    for y, g in enumerate(rows):
        for x, c in enumerate(columns):
            _frame_cell(ax, heat.cells[g][c], x=x, y=y, alpha=alpha)
            if len(columns) <= MOST_WITH_NUMBERS:
                _label_cell(ax, heat.cells[g][c], x=x, y=y, max_half_width=max_half_width)
    some = "" if len(columns) == len(heat.classes) else f" ({len(columns)} of {len(heat.classes)})"
    ax.set_xlabel(f"class{some}")
    drawable(ax.set_ylabel(shortened(column.by, 40)))
    for direction in framed:
        differs = (
            f"differs: {direction}"
            if is_narrow()
            else f"differs from its complement (Holm, p < {alpha:g}):\n{direction}"
        )
        ax.plot([], [], "s", color=FRAMES[direction][0], fillstyle="none", ms=9, mew=2, label=differs)
    if framed:
        legend_above(ax)
    return ax


def _direction(cell: HeatCell, alpha: float) -> Direction | None:
    """Return on which side of its complement a cell lies; None where it does not differ from it."""
    if cell.p_holm is None or cell.p_holm >= alpha or cell.difference is None or cell.difference.value is None:
        return None
    return "above the rest" if cell.difference.value > 0 else "below the rest"


def _frame_cell(ax: Axes, cell: HeatCell, *, x: int, y: int, alpha: float) -> None:
    """Frame a cell that differs from its complement."""
    from matplotlib.patches import Rectangle

    if (direction := _direction(cell, alpha)) is not None:
        color, style = FRAMES[direction]
        frame = Rectangle((x - 0.46, y - 0.44), 0.92, 0.88, fill=False, edgecolor=color, linestyle=style, linewidth=2.2)
        ax.add_patch(frame)


def _label_cell(ax: Axes, cell: HeatCell, *, x: int, y: int, max_half_width: float) -> None:
    """Write the recall of a cell, or its size where it is too small for one."""
    if cell.recall.value is None or cell.recall.is_wide(max_half_width):
        ax.text(x, y, f"n={cell.recall.n}", ha="center", va="center", size=7, color=GREY)
    else:
        text = f"{cell.recall.value:.2f}".removeprefix("0")
        write_in_cell(ax, text, row=y, column=x, share=cell.recall.value, size=8)


def _smallest(p: np.ndarray[tuple[int, ...], np.dtype[np.float64]], most: int) -> list[int]:
    """Return the positions of the `most` smallest values, in ascending order."""
    return sorted(np.argsort(p, kind="stable")[:most].tolist())
