"""The last output of `model.onnx` for segmentation: the class of each pixel, in the size of the image."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
from onnx import TensorProto, compose, helper, numpy_helper

from tlkit.exported.facts import LOGITS, MASK, MODEL_INPUT, PROBABILITIES, ExportedFacts
from tlkit.inference.export.geometry_graph import axes_of
from tlkit.inference.export.graph_builder import GraphBuilder
from tlkit.inference.export.graph_models import as_model
from tlkit.preprocess import Preprocess

PREFIX = "mask_"
FRAME = "preprocess_frame"
"""Where the image lies in the network's input, int64 (6,): top, left, height and width there, and its own size."""


def add_frame(g: GraphBuilder, preprocess: Preprocess) -> onnx.ValueInfoProto:
    """Add `FRAME` to the graph that scales images, and return it as an output."""
    axes, first = axes_of(g, MODEL_INPUT, preprocess), g.constant([0], np.int64)
    values = [g("Neg", axis.first) for axis in axes]
    values += [axis.scaled for axis in axes] + [axis.length for axis in axes]
    g("Concat", *(g("Unsqueeze", value, first) for value in values), axis=0, output=FRAME)
    return helper.make_tensor_value_info(FRAME, TensorProto.INT64, [6])


def with_mask(model: onnx.ModelProto, facts: ExportedFacts) -> onnx.ModelProto:
    """Return a model with a third output: the most probable class of each pixel, the first of equals.

    Logits are scaled to the size of the image as `MaskPredictor` does: without the border of a letterbox, bilinearly
    between the centers of pixels, one class after another, since all at once may not fit into memory.

    Args:
        model: images to logits, probabilities and `FRAME`.
        facts: those of the file.
    """
    g, classes = GraphBuilder(PREFIX), len(facts.classes)
    logits = helper.make_tensor_value_info(
        PREFIX + "logits", TensorProto.FLOAT, ["batch", classes, *facts.preprocess.image_size]
    )
    frame = helper.make_tensor_value_info(PREFIX + "frame", TensorProto.INT64, [6])
    place, inner, size = (g("Gather", frame.name, g.constant(pair, np.int64)) for pair in ([0, 1], [2, 3], [4, 5]))
    shown = g("Slice", logits.name, place, g("Add", place, inner), g.constant([2, 3], np.int64))

    def scaled(b: GraphBuilder, number: str) -> str:
        one = b("Gather", shown, b("Unsqueeze", number, b.constant([0], np.int64)), axis=1)
        return b("Resize", one, "", "", size, axes=[2, 3], mode="linear", coordinate_transformation_mode="half_pixel")

    def better(b: GraphBuilder, number: str, values: Sequence[str]) -> Sequence[str]:
        best, position = values
        number = b("Add", number, b.constant(1, np.int64))
        other = scaled(b, number)
        chosen = b("Where", b("Greater", other, best), b.cast(number, TensorProto.UINT8), position)
        return b("Max", best, other), chosen

    first = scaled(g, g.constant(0, np.int64))
    zero = numpy_helper.from_array(np.zeros(1, dtype=np.uint8))
    position = g("ConstantOfShape", g("Shape", first), value=zero)
    start = {first: TensorProto.FLOAT, position: TensorProto.UINT8}
    position = g.repeat(classes - 1, start, better)[1]
    g("Squeeze", position, g.constant([1], np.int64), output=MASK)
    mask = helper.make_tensor_value_info(MASK, TensorProto.UINT8, ["batch", "height", "width"])
    graph = g.graph("mask", inputs=(logits, frame), outputs=(mask,))
    return compose.merge_models(
        model,
        as_model(graph, model),
        io_map=[(LOGITS, logits.name), (FRAME, frame.name)],
        outputs=[LOGITS, PROBABILITIES, MASK],
    )
