"""Map of images: thumbnails at points of a plane, framed in the color of their class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tlkit.render.plots.canvas import GREY, axes_of_size, drawable, shortened

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from matplotlib.axes import Axes

COLORS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#f0e442", "#000000")
"""Okabe & Ito (2008), which color-blind people can tell apart; further classes are grey."""


def plot_image_map(
    points: npt.NDArray[np.float64],
    pictures: Sequence[npt.NDArray[np.uint8] | None],
    labels: Sequence[str],
    ax: Axes | None = None,
    *,
    method: str = "",
) -> Axes:
    """Plot pictures at points, with a frame in the color of their class; the eight largest classes have a color.

    Args:
        points: coordinates, shape (N, 2).
        pictures: N arrays (H, W, 3); None is drawn as a dot.
        labels: class of each, N of them.
        ax: where to draw; default: a new figure.
        method: what made the points, for the label below.
    """
    from matplotlib.offsetbox import AnnotationBbox, OffsetImage

    ax = axes_of_size(ax, width=9, height=7)
    names = sorted(set(labels), key=lambda name: (-labels.count(name), name))
    colors = {name: COLORS[place] if place < len(COLORS) else GREY for place, name in enumerate(names)}
    for name in names:
        rows = [row for row, label in enumerate(labels) if label == name]
        ax.scatter(points[rows, 0], points[rows, 1], s=16, color=colors[name], label=f"{shortened(name)} ({len(rows)})")
    for point, picture, label in zip(points, pictures, labels, strict=True):
        if picture is None:
            continue
        image = OffsetImage(picture, zoom=26 / max(picture.shape[:2]))
        frame = {"edgecolor": colors[label], "linewidth": 1.5}
        ax.add_artist(AnnotationBbox(image, (point[0], point[1]), pad=0.08, bboxprops=frame))
    ax.margins(0.08)
    ax.set(xticks=[], yticks=[])
    ax.set_xlabel(f"n = {len(points)} images; near = similar features{f' ({method})' if method else ''}")
    for text in ax.legend(loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False, fontsize=8).get_texts()[:]:
        drawable(text)
    return ax
