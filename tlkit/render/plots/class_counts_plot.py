"""Bar chart of the number of images per class and split."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from tlkit.render.plots.canvas import (
    BLUE,
    GREEN,
    ORANGE,
    axes_of_size,
    horizontal_rows,
    label_axis,
    legend_above,
    shortened,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_CLASSES = 40
COLORS = {"train": BLUE, "val": ORANGE, "test": GREEN}


def plot_class_counts(counts: Mapping[str, Mapping[str, int]], ax: Axes | None = None) -> Axes:
    """Plot the number of images of each class as a bar stacked by split, the smallest class first.

    Above 40 classes only the 40 with the fewest images are shown.

    Args:
        counts: images by class and split.
        ax: where to draw; default: a new figure.
    """
    ordered = sorted(counts, key=lambda name: (sum(counts[name].values()), name))
    shown = ordered[:MOST_CLASSES]
    ax = axes_of_size(ax, width=7.5, height=1.5 + 0.27 * max(len(shown), 3))
    left = [0] * len(shown)
    for split, color in COLORS.items():
        widths = [counts[name].get(split, 0) for name in shown]
        if any(widths):
            ax.barh(range(len(shown)), widths, left=left, color=color, label=f"{split} (n = {sum(widths):,})")
            left = [start + width for start, width in zip(left, widths, strict=True)]
    label_axis(ax, [shortened(name) for name in shown], axis="y", size=9)
    horizontal_rows(ax, len(shown))
    legend_above(ax, columns=3)
    ax.set_xlabel("images")
    few = f"the {len(shown)} smallest of {len(ordered)}" if len(shown) < len(ordered) else "smallest first"
    ax.set_ylabel(f"class ({few})")
    return ax
