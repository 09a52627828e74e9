"""The evaluation geometry of `tlkit.data.decode.resizing` as nodes of a graph: for each axis what is scaled to what.

All numbers are computed in the same types and the same order as there, so that they are equal to the last bit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from onnx import TensorProto

from tlkit.inference.export.graph_builder import GraphBuilder
from tlkit.preprocess import Preprocess

MOST_SCALED = 4
"""A crop whose scaled image would have more than this many times the pixels of its cover is scaled from a box."""


@dataclass(frozen=True)
class Axis:
    """What happens along one axis; the values are names of scalars in the graph.

    Attributes:
        length: length of the image, int64.
        start: where the scaled part begins in the image, float32 as Pillow takes it.
        end: where it ends, float32.
        scaled: length that the part is scaled to, int64.
        first: position in the scaled image of the first output pixel, int64; below 0 where the output is padded.
        size: length of the output, a constant.
    """

    length: str
    start: str
    end: str
    scaled: str
    first: str
    size: int


def axes_of(g: GraphBuilder, images: str, preprocess: Preprocess) -> tuple[Axis, Axis]:
    """Return the vertical and the horizontal axis of images (N, H, W, 3)."""
    shape = g("Shape", images)
    tall, wide = (g("Gather", shape, g.constant(place, np.int64)) for place in (1, 2))
    height, width = preprocess.image_size
    zero, full_tall, full_wide = g.constant(0, np.float32), _float32(g, tall), _float32(g, wide)
    if preprocess.resize == "squash":
        none, sizes = g.constant(0, np.int64), (g.constant(height, np.int64), g.constant(width, np.int64))
        return Axis(tall, zero, full_tall, sizes[0], none, height), Axis(wide, zero, full_wide, sizes[1], none, width)
    down, across = _double(g, tall), _double(g, wide)
    if preprocess.resize == "letterbox":
        factor = g("Min", g("Div", g.constant(height), down), g("Div", g.constant(width), across))
        inner = []
        for length, size in ((down, height), (across, width)):
            rounded = g("Max", g("Round", g("Mul", length, factor)), g.constant(1))
            inner.append(_int64(g, g("Min", rounded, g.constant(size))))
        first = [
            g("Neg", g("Div", g("Sub", g.constant(size, np.int64), part), g.constant(2, np.int64)))
            for part, size in zip(inner, (height, width), strict=True)
        ]
        return (
            Axis(tall, zero, full_tall, inner[0], first[0], height),
            Axis(wide, zero, full_wide, inner[1], first[1], width),
        )
    return _crop_axes(g, (tall, wide), (down, across), preprocess)


def _crop_axes(
    g: GraphBuilder, lengths: tuple[str, str], exact: tuple[str, str], preprocess: Preprocess
) -> tuple[Axis, Axis]:
    """Return the axes of a center crop; see `tlkit.data.decode.resizing._center_crop`."""
    sizes = preprocess.image_size
    cover = [max(size, math.floor(size / preprocess.crop_pct)) for size in sizes]
    if cover[0] == cover[1]:
        short = g("Min", *exact)
        scaled = [
            _int64(g, g("Div", g("Mul", g.constant(side), length), short))
            for side, length in zip(cover, exact, strict=True)
        ]
    else:
        ratio = g("Min", *(g("Div", length, g.constant(side)) for side, length in zip(cover, exact, strict=True)))
        scaled = [_int64(g, g("Round", g("Div", length, ratio))) for length in exact]
    most = g.constant(MOST_SCALED * cover[0] * cover[1], np.int64)
    elongated = g("Greater", g("Mul", *scaled), most)
    axes = []
    for length, part, side, size in zip(lengths, exact, scaled, sizes, strict=True):
        first = g("Round", g("Div", _double(g, g("Sub", side, g.constant(size, np.int64))), g.constant(2)))
        step = g("Div", part, _double(g, side))
        start = g("Mul", first, step)
        end = g("Mul", g("Add", first, g.constant(size)), step)
        axes.append(
            Axis(
                length,
                g("Where", elongated, _float32(g, start), g.constant(0, np.float32)),
                g("Where", elongated, _float32(g, end), _float32(g, length)),
                g("Where", elongated, g.constant(size, np.int64), side),
                g("Where", elongated, g.constant(0, np.int64), _int64(g, first)),
                size,
            )
        )
    return axes[0], axes[1]


def positions(g: GraphBuilder, axis: Axis) -> tuple[str, str]:
    """Return for each output pixel its position in the scaled image, int64 (size,), and whether it is inside."""
    places = g("Add", g.constant(np.arange(axis.size), np.int64), axis.first)
    zero = g.constant(0, np.int64)
    last = g("Sub", axis.scaled, g.constant(1, np.int64))
    inside = g("And", g("GreaterOrEqual", places, zero), g("LessOrEqual", places, last))
    return g("Max", g("Min", places, last), zero), inside


def _double(g: GraphBuilder, value: str) -> str:
    return g.cast(value, TensorProto.DOUBLE)


def _float32(g: GraphBuilder, value: str) -> str:
    return g.cast(value, TensorProto.FLOAT)


def _int64(g: GraphBuilder, value: str) -> str:
    return g.cast(value, TensorProto.INT64)
