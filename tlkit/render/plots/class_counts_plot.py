"""How many images each class has, and in which split."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from tlkit.render.plots.canvas import BLUE, GREEN, ORANGE, axes_of_size, label_axis, shortened

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_CLASSES = 40
COLOURS = {"train": BLUE, "val": ORANGE, "test": GREEN}


def plot_class_counts(counts: Mapping[str, Mapping[str, int]], ax: Axes | None = None) -> Axes:
    """Plot the images of each class as one bar, its splits end to end, the smallest class first.

    Above 40 classes, the 40 with the fewest images are shown.

    Args:
        counts: images by class and split.
        ax: where to draw; default: a new figure.
    """
    ordered = sorted(counts, key=lambda name: (sum(counts[name].values()), name))
    shown = ordered[:MOST_CLASSES]
    ax = axes_of_size(ax, width=7.5, height=1.5 + 0.27 * max(len(shown), 3))
    left = [0] * len(shown)
    for split, colour in COLOURS.items():
        widths = [counts[name].get(split, 0) for name in shown]
        if any(widths):
            ax.barh(range(len(shown)), widths, left=left, color=colour, label=f"{split} (n = {sum(widths):,})")
            left = [start + width for start, width in zip(left, widths, strict=True)]
    label_axis(ax, [shortened(name) for name in shown], axis="y", size=9)
    ax.set_ylim(len(shown) - 0.4, -0.6)
    ax.legend(loc="lower left", bbox_to_anchor=(0, 1.0), frameon=False, borderaxespad=0.2, ncols=3)
    ax.set_xlabel("images")
    few = f"the {len(shown)} smallest of {len(ordered)}" if len(shown) < len(ordered) else "smallest first"
    ax.set_ylabel(f"class ({few})")
    ax.grid(axis="x", linewidth=0.6)
    ax.set_axisbelow(True)
    ax.spines[["top", "right"]].set_visible(False)
    return ax
