"""Scaling of uint8 images in an ONNX graph: with Pillow's pixels to the bit, or by ONNX's own Resize.

Pillow's resampling (`src/libImaging/Resample.c`, 13.0) makes weights in float64, rounds them to multiples of 2^-22, and
rounds and clips the pixels to bytes after each of its two passes. The weights here are whole numbers in float64 and the
passes matrix products. The sums stay below 2^53, so they are exact in any order.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from onnx import TensorProto

from tlkit.errors import ModelError
from tlkit.inference.export.geometry_graph import Axis, axes_of, positions
from tlkit.inference.export.graph_builder import GraphBuilder
from tlkit.preprocess import Preprocess

SUPPORT = {"area": 0.5, "bilinear": 1.0, "bicubic": 2.0, "lanczos": 3.0}
"""Half the width of Pillow's filters, in pixels of the target."""
CUBIC = -0.5
"""The parameter a of Pillow's bicubic filter."""
PRECISION = 2.0**22
"""Pillow's weights of 8-bit images are multiples of 1 / PRECISION."""
ONNX_MODES = {"bilinear": "linear", "bicubic": "cubic"}
"""Filters that ONNX's Resize has, and that are worth it: nearest is cheap and exact without it."""


def exact_pixels(g: GraphBuilder, images: str, preprocess: Preprocess) -> str:
    """Return images uint8 (N, H, W, 3), scaled by `resize_image`: float64 (N, 3, *image_size), whole, 0–255."""
    vertical, horizontal = axes_of(g, images, preprocess)
    planes = g("Transpose", images, perm=[0, 3, 1, 2])
    rows, rows_inside = positions(g, vertical)
    columns, columns_inside = positions(g, horizontal)
    scaled = _exact(g, planes, (vertical, horizontal), (rows, columns), preprocess.interpolation)
    return _framed(g, scaled, rows_inside, columns_inside, preprocess)


def close_pixels(g: GraphBuilder, images: str, preprocess: Preprocess) -> str:
    """Return what `exact_pixels` returns, made by one Resize on bytes: a gray level off in about 0.01 % of the values.

    Very elongated images, of which only a box is scaled, are scaled exactly.

    Raises:
        ModelError: ONNX's Resize has no such filter.
    """
    mode = ONNX_MODES.get(preprocess.interpolation)
    if mode is None:
        raise ModelError(
            f"--fast scales by ONNX's Resize, which has no {preprocess.interpolation} filter. Leave --fast out: the "
            "exact model has it."
        )
    vertical, horizontal = axes_of(g, images, preprocess)
    planes = g("Transpose", images, perm=[0, 3, 1, 2])
    rows, rows_inside = positions(g, vertical)
    columns, columns_inside = positions(g, horizontal)
    whole = [
        g("And", g("Equal", axis.start, g.constant(0, np.float32)), g("Equal", axis.end, _as_float(g, axis.length)))
        for axis in (vertical, horizontal)
    ]
    zero = g.constant([0], np.int64)
    sizes = g("Concat", *(g("Unsqueeze", axis.scaled, zero) for axis in (vertical, horizontal)), axis=0)

    def by_resize(b: GraphBuilder) -> str:
        cubic: dict[str, Any] = {"cubic_coeff_a": CUBIC} if mode == "cubic" else {}
        resized = b("Resize", planes, "", "", sizes, axes=[2, 3], mode=mode, antialias=1, exclude_outside=1, **cubic)
        return b.cast(b("Gather", b("Gather", resized, rows, axis=2), columns, axis=3), TensorProto.DOUBLE)

    scaled = g.choose(
        g("And", *whole),
        by_resize,
        lambda b: _exact(b, planes, (vertical, horizontal), (rows, columns), preprocess.interpolation),
    )
    return _framed(g, scaled, rows_inside, columns_inside, preprocess)


def _exact(g: GraphBuilder, planes: str, axes: tuple[Axis, Axis], places: tuple[str, str], interpolation: str) -> str:
    """Return planes uint8 (N, 3, H, W) at these rows and columns of the scaled image, float64 (N, 3, h, w)."""
    if interpolation == "nearest":
        picked = g("Gather", planes, _nearest(g, axes[0], places[0]), axis=2)
        return g.cast(g("Gather", picked, _nearest(g, axes[1], places[1]), axis=3), TensorProto.DOUBLE)
    values = g.cast(planes, TensorProto.DOUBLE)
    down = _weights(g, axes[0], places[0], interpolation)  # (h, H)
    across = g("Transpose", _weights(g, axes[1], places[1], interpolation), perm=[1, 0])  # (W, w)
    return g.choose(
        _is_vertical_first(g, *axes),
        lambda b: _bytes(b, b("MatMul", _bytes(b, b("MatMul", down, values)), across)),
        lambda b: _bytes(b, b("MatMul", down, _bytes(b, b("MatMul", values, across)))),
    )


def _as_float(g: GraphBuilder, value: str) -> str:
    return g.cast(value, TensorProto.FLOAT)


def _is_vertical_first(g: GraphBuilder, vertical: Axis, horizontal: Axis) -> str:
    """Return whether Pillow 13 scales vertically first: H - h > 0 and H - h > 2 (W - w), of image and scaled image."""
    down = g("Sub", vertical.length, vertical.scaled)
    across = g("Sub", horizontal.length, horizontal.scaled)
    more = g("Greater", down, g("Mul", g.constant(2, np.int64), across))
    return g("And", g("Greater", down, g.constant(0, np.int64)), more)


def _weights(g: GraphBuilder, axis: Axis, places: str, interpolation: str) -> str:
    """Return Pillow's weights times PRECISION, whole numbers, (size, length): `precompute_coeffs`."""
    scale = g(
        "Div", g.cast(g("Sub", axis.end, axis.start), TensorProto.DOUBLE), g.cast(axis.scaled, TensorProto.DOUBLE)
    )
    filter_scale = g("Max", scale, g.constant(1))
    support = g("Mul", g.constant(SUPPORT[interpolation]), filter_scale)
    half, column = g.constant(0.5), g.constant([-1, 1], np.int64)
    middle = g("Add", g.cast(places, TensorProto.DOUBLE), half)
    center = g("Add", g.cast(axis.start, TensorProto.DOUBLE), g("Mul", middle, scale))
    center = g("Reshape", center, column)  # (size, 1)
    length = g.cast(axis.length, TensorProto.DOUBLE)
    least = g("Max", g("Floor", g("Add", g("Sub", center, support), half)), g.constant(0))
    most = g("Min", g("Floor", g("Add", g("Add", center, support), half)), length)
    pixels = g("Range", g.constant(0), length, g.constant(1))  # (length,)
    distance = g("Mul", g("Add", g("Sub", pixels, center), half), g("Div", g.constant(1), filter_scale))
    values = _filter(g, distance, interpolation)
    inside = g("And", g("GreaterOrEqual", pixels, least), g("Less", pixels, most))
    values = g("Where", inside, values, g.constant(0))
    share = g("Div", values, g("ReduceSum", values, g.constant([1], np.int64), keepdims=1))
    fixed = g("Mul", share, g.constant(PRECISION))
    return g("Mul", g("Sign", fixed), g("Floor", g("Add", g("Abs", fixed), half)))  # half away from zero


def _filter(g: GraphBuilder, distance: str, interpolation: str) -> str:
    """Return Pillow's filter at distances in pixels of the target, by the operations of its source, in their order."""
    zero, one, two = g.constant(0), g.constant(1), g.constant(2)
    if interpolation == "area":
        inside = g("And", g("Greater", distance, g.constant(-0.5)), g("LessOrEqual", distance, g.constant(0.5)))
        return g.cast(inside, TensorProto.DOUBLE)
    if interpolation == "lanczos":
        third = g("Div", distance, g.constant(3))
        return g("Where", _below(g, distance, 3), g("Mul", _sinc(g, distance), _sinc(g, third)), zero)
    x = g("Abs", distance)
    if interpolation == "bilinear":
        return g("Where", g("Less", x, one), g("Sub", one, x), zero)
    near = g("Sub", g("Mul", g.constant(CUBIC + 2), x), g.constant(CUBIC + 3))
    near = g("Add", g("Mul", g("Mul", near, x), x), one)
    far = g("Add", g("Mul", g("Sub", x, g.constant(5)), x), g.constant(8))
    far = g("Mul", g("Sub", g("Mul", far, x), g.constant(4)), g.constant(CUBIC))
    return g("Where", g("Less", x, one), near, g("Where", g("Less", x, two), far, zero))


def _below(g: GraphBuilder, distance: str, limit: float) -> str:
    return g("And", g("GreaterOrEqual", distance, g.constant(-limit)), g("Less", distance, g.constant(limit)))


def _sinc(g: GraphBuilder, x: str) -> str:
    is_zero = g("Equal", x, g.constant(0))
    angle = g("Where", is_zero, g.constant(1), g("Mul", x, g.constant(math.pi)))
    return g("Where", is_zero, g.constant(1), g("Div", g("Sin", angle), angle))


def _bytes(g: GraphBuilder, products: str) -> str:
    """Return sums of pixels times weights as pixels: divided by PRECISION, rounded, and clipped to 0–255."""
    rounded = g("Floor", g("Add", g("Div", products, g.constant(PRECISION)), g.constant(0.5)))
    return g("Min", g("Max", rounded, g.constant(0)), g.constant(255))


def _nearest(g: GraphBuilder, axis: Axis, places: str) -> str:
    """Return the pixel that each output pixel takes, int64 (size,).

    Pillow's `ImagingScaleAffine` (`src/libImaging/Geometry.c`) begins half a step in and adds steps one by one, so the
    rounding errors of the sum are part of the result.
    """
    step = g("Div", g.cast(g("Sub", axis.end, axis.start), TensorProto.DOUBLE), g.cast(axis.scaled, TensorProto.DOUBLE))
    first = g("Add", g.cast(axis.start, TensorProto.DOUBLE), g("Mul", step, g.constant(0.5)))
    zero = g.constant([0], np.int64)
    others = g(
        "Expand", step, g("Sub", g("Reshape", axis.scaled, g.constant([1], np.int64)), g.constant([1], np.int64))
    )
    steps = g("Concat", g("Unsqueeze", first, zero), others, axis=0)
    sums = g("CumSum", steps, g.constant(0, np.int64))
    return g("Gather", g.cast(sums, TensorProto.INT64), places)


def _framed(g: GraphBuilder, scaled: str, rows_inside: str, columns_inside: str, preprocess: Preprocess) -> str:
    """Return the image with the background where a letterbox leaves free space."""
    if preprocess.resize != "letterbox":
        return scaled
    inside = g("And", g("Reshape", rows_inside, g.constant([-1, 1], np.int64)), columns_inside)
    background = g.constant(np.reshape(np.asarray(preprocess.background, dtype=np.float64), (1, 3, 1, 1)))
    return g("Where", inside, scaled, background)
