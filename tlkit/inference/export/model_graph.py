"""The whole model as one ONNX graph: uint8 pixels of any size to labelled probabilities."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, compose, helper

from tlkit.exported.embedded_digest import DIGEST_KEY, EMPTY, with_digest
from tlkit.exported.facts import LABEL, LOGITS, MODEL_INPUT, NETWORK_INPUT, PROBABILITIES, ExportedFacts
from tlkit.inference.export.graph_builder import GraphBuilder
from tlkit.inference.export.graph_models import as_model
from tlkit.inference.export.mask_graph import add_frame, with_mask
from tlkit.inference.export.resize_graph import close_pixels, exact_pixels
from tlkit.inference.export.task_graph import with_task_outputs

PREFIX = "preprocess_"


def with_preprocessing(network: onnx.ModelProto, facts: ExportedFacts) -> onnx.ModelProto:
    """Return the model of a network: images uint8 RGB (N, H, W, 3) to logits, probabilities and label, or mask.

    Args:
        network: takes normalized images (N, 3, *image_size).
        facts: preprocessing, classes, and whether images are scaled exactly or closely.

    Raises:
        ModelError: close scaling has no such filter.
    """
    preprocess = facts.preprocess
    g = GraphBuilder(PREFIX)
    make = close_pixels if facts.resize == "close" else exact_pixels
    values = g.cast(make(g, MODEL_INPUT, preprocess), TensorProto.FLOAT)
    shares = g("Div", values, g.constant(255, np.float32))
    mean, std = (
        g.constant(np.reshape(np.asarray(three, dtype=np.float32), (1, 3, 1, 1)), np.float32)
        for three in (preprocess.mean, preprocess.std)
    )
    g("Div", g("Sub", shares, mean), std, output=PREFIX + NETWORK_INPUT)
    images = helper.make_tensor_value_info(MODEL_INPUT, TensorProto.UINT8, ["batch", "height", "width", 3])
    size = ["batch", 3, *preprocess.image_size]
    image = helper.make_tensor_value_info(PREFIX + NETWORK_INPUT, TensorProto.FLOAT, size)
    outputs = (image, add_frame(g, preprocess)) if facts.task == "segmentation" else (image,)
    before = as_model(g.graph("preprocess", inputs=(images,), outputs=outputs), network)
    merged = compose.merge_models(before, network, io_map=[(PREFIX + NETWORK_INPUT, NETWORK_INPUT)])
    if facts.task == "segmentation":
        return with_mask(merged, facts)
    return _labelled(merged, facts.classes) if facts.task == "multiclass" else with_task_outputs(merged, facts)


def _labelled(model: onnx.ModelProto, classes: tuple[str, ...]) -> onnx.ModelProto:
    """Return a model with a third output: the name of the most probable class, the first of equals."""
    g = GraphBuilder("label_")
    probabilities = helper.make_tensor_value_info("label_probabilities", TensorProto.FLOAT, ["batch", len(classes)])
    best = g("ArgMax", probabilities.name, axis=1, keepdims=0)
    names = helper.make_tensor("label_names", TensorProto.STRING, [len(classes)], [name.encode() for name in classes])
    g("Gather", names.name, best, output=LABEL)
    label = helper.make_tensor_value_info(LABEL, TensorProto.STRING, ["batch"])
    graph = g.graph("label", inputs=(probabilities,), outputs=(label,))
    graph.initializer.append(names)
    return compose.merge_models(
        model,
        as_model(graph, model),
        io_map=[(PROBABILITIES, probabilities.name)],
        outputs=[LOGITS, PROBABILITIES, LABEL],
    )


def onnx_content(model: onnx.ModelProto, facts: ExportedFacts) -> bytes:
    """Return the content of an ONNX file: the graph, its facts, and the digest of the whole."""
    del model.metadata_props[:]
    model.producer_name = "tlkit"
    values = {"tlkit": facts.to_json(), "classes": "\n".join(facts.classes), DIGEST_KEY: EMPTY}
    helper.set_model_props(model, values)
    return with_digest(model.SerializeToString(deterministic=True))
