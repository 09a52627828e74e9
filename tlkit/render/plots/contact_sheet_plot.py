"""Contact sheet: images in titled rows with captions, such as the errors of each class or the most foreign images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from tlkit.render.plots.canvas import GREY, axes_of_size, drawable, shortened

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from matplotlib.axes import Axes

GAP, TITLE, CAPTION = 0.06, 0.22, 0.30
"""Space between images, above a row and below an image, in widths of an image."""
MOST_ROWS = 25


def plot_contact_sheet(
    rows: Mapping[str, Sequence[tuple[npt.NDArray[np.uint8], str]]], ax: Axes | None = None, *, columns: int = 8
) -> Axes:
    """Plot images with captions, in rows with titles; a row with more images than columns goes on below.

    Args:
        rows: by title the images of a row, each an array (H, W, 3) with its caption of up to two lines. The first 25
            rows are drawn.
        ax: where to draw; default: a new figure.
        columns: images beside each other, at least 1.
    """
    step = 1 + CAPTION + GAP
    shown = list(rows.items())[:MOST_ROWS]
    lines = [-(-len(images) // columns) for _, images in shown]
    height = sum(TITLE + step * count for count in lines) or 1.0
    width = columns * (1 + GAP)
    ax = axes_of_size(ax, width=1.1 * width, height=1.1 * height + 0.1)
    top = 0.0
    for (title, images), count in zip(shown, lines, strict=True):
        drawable(ax.text(0, top + TITLE / 2, shortened(title, 80), va="center", size=9, weight="bold"))
        for place, (pixels, caption) in enumerate(images):
            left, above = place % columns * (1 + GAP), top + TITLE + place // columns * step
            tall, wide = pixels.shape[:2]
            scale = 1 / max(tall, wide)
            x, y = left + (1 - wide * scale) / 2, above + (1 - tall * scale) / 2
            ax.imshow(pixels, extent=(x, x + wide * scale, y + tall * scale, y), interpolation="antialiased", zorder=2)
            text = "\n".join(shortened(line, 22) for line in caption.split("\n")[:2])
            drawable(ax.text(left, above + 1.02, text, va="top", size=5.5, color=GREY))
        top += TITLE + step * count
    if not shown:
        ax.text(0.5, 0.5, "no images", ha="center", va="center", color=GREY)
    ax.set_xlim(0, width)
    ax.set_ylim(height, 0)
    ax.set_aspect("equal")
    ax.axis("off")
    return ax
