"""Where a model looks: heat maps on images, the filters of the first layer, and feature maps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from tlkit.render.plots.canvas import GREY, axes_of_size, drawable
from tlkit.render.plots.contact_sheet_plot import plot_contact_sheet
from tlkit.stats.pointing_game import enlarged

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from tlkit.analysis.image_explanations import ImageExplanation

MOST_CHANNELS = 64
OPACITY = 0.65
"""Weight of the color where the heat is largest."""


def plot_explanations(
    images: Sequence[ImageExplanation],
    pictures: Sequence[npt.NDArray[np.uint8]],
    ax: Axes | None = None,
    *,
    columns: int = 6,
) -> Axes:
    """Plot the heat map of each image on its picture; yellow = counts most, clear = nothing.

    Each map is scaled by its own maximum, so colors compare places within an image, not images.

    Args:
        images: with their maps.
        pictures: the pictures as the network gets them, uint8 (H, W, 3), in the same order.
        ax: where to draw; default: a new figure.
        columns: images beside each other, at least 1.
    """
    drawn = [
        (overlay(one.heat, picture), f"{one.explained}\n{one.path.rpartition('/')[2]}")
        for one, picture in zip(images, pictures, strict=True)
    ]
    return plot_contact_sheet({"Map for the class below each image": drawn}, ax, columns=columns)


def plot_filters(filters: npt.NDArray[np.floating], ax: Axes | None = None) -> Axes:
    """Plot the filters of the first convolution as colors, each scaled to its own range; gray = 0.

    Args:
        filters: shape (F, 3, h, w).
        ax: where to draw; default: a new figure.
    """
    shown = np.asarray(filters, dtype=np.float64)[:MOST_CHANNELS].transpose(0, 2, 3, 1)
    largest = np.abs(shown).max(axis=(1, 2, 3), keepdims=True)
    tiles = 0.5 + shown / np.where(largest > 0, 2 * largest, 1.0)
    some = "" if len(shown) == len(filters) else f"the first {len(shown)} of "
    title = f"First layer: {some}{len(filters)} filters of {filters.shape[2]} x {filters.shape[3]} pixels"
    return _mosaic(tiles, ax, title=title)


def plot_channels(maps: npt.NDArray[np.floating], ax: Axes | None = None, *, title: str = "") -> Axes:
    """Plot the channels of feature maps in gray, each scaled to its own range; light = large.

    Args:
        maps: of one image, shape (C, h, w).
        ax: where to draw; default: a new figure.
        title: name of the image.
    """
    spread = np.ptp(np.asarray(maps, dtype=np.float64), axis=(1, 2))
    order = np.sort(np.argsort(-spread, kind="stable")[:MOST_CHANNELS])  # constant channels show nothing
    shown = np.asarray(maps, dtype=np.float64)[order]
    low = shown.min(axis=(1, 2), keepdims=True)
    scaled = (shown - low) / np.where(spread[order] > 0, spread[order], 1.0)[:, None, None]
    some = "" if len(order) == len(maps) else f"the {len(order)} most varied of "
    about = f"{title}: {some}{len(maps)} feature maps of {maps.shape[1]} x {maps.shape[2]} cells"
    return _mosaic(np.repeat(scaled[..., None], 3, axis=3), ax, title=about.removeprefix(": "))


def overlay(heat: npt.NDArray[np.floating], picture: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Return a picture (H, W, 3) with the positive part of a map on it, colored by matplotlib's viridis."""
    from matplotlib import colormaps

    large = np.maximum(enlarged(np.asarray(heat, dtype=np.float64), picture.shape[:2]), 0.0)
    large -= large.min()  # relevance of transformers has a floor
    top = large.max()
    share = large / top if top > 0 else large
    colors = np.asarray(colormaps["viridis"](share))[..., :3] * 255
    weight = OPACITY * share[..., None]
    return np.asarray(np.round(picture * (1 - weight) + colors * weight), dtype=np.uint8)


def _mosaic(tiles: npt.NDArray[np.float64], ax: Axes | None, *, title: str) -> Axes:
    """Draw tiles (N, h, w, 3) in [0, 1] side by side, with a border of a tenth of a tile."""
    columns = math.ceil(math.sqrt(len(tiles)))
    rows = math.ceil(len(tiles) / columns)
    ax = axes_of_size(ax, width=0.6 * columns + 0.6, height=0.6 * rows + 0.6)
    for place, tile in enumerate(tiles):
        left, top = place % columns * 1.1, place // columns * 1.1
        ax.imshow(tile, extent=(left, left + 1, top + 1, top), interpolation="nearest")
    ax.set_xlim(0, columns * 1.1)
    ax.set_ylim(rows * 1.1, 0)
    ax.set_aspect("equal")
    ax.axis("off")
    drawable(ax.set_title(title, size=8, color=GREY))
    return ax
