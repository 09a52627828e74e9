"""Exported files with a linear classifier of 16 x 16 pixels, for benchmarks of all that is around a network."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from tlkit.exported import ExportedFacts
from tlkit.exported.facts import LOGITS, NETWORK_INPUT, PROBABILITIES
from tlkit.inference.export.model_graph import onnx_content, with_preprocessing
from tlkit.preprocess import Preprocess

SIZE = (16, 16)
CLASSES = ("a", "b", "c")


def write_tiny(folder: Path) -> tuple[Path, Path]:
    """Write `network.onnx` and `model.onnx`, and return their paths."""
    rng = np.random.default_rng(0)
    weights = rng.normal(0, 0.05, (3 * SIZE[0] * SIZE[1], len(CLASSES))).astype(np.float32)
    nodes = [
        helper.make_node("Flatten", [NETWORK_INPUT], ["flat"]),
        helper.make_node("MatMul", ["flat", "weights"], [LOGITS]),
        helper.make_node("Softmax", [LOGITS], [PROBABILITIES], axis=1),
    ]
    image = helper.make_tensor_value_info(NETWORK_INPUT, TensorProto.FLOAT, ["batch", 3, *SIZE])
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 3]) for name in (LOGITS, PROBABILITIES)]
    graph = helper.make_graph(
        nodes, "linear", [image], outputs, initializer=[numpy_helper.from_array(weights, "weights")]
    )
    network = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    preprocess = Preprocess(image_size=SIZE, crop_pct=1.0)
    facts = ExportedFacts("network", CLASSES, preprocess, "linear_pixels", "linear", "tiny")
    whole = ExportedFacts("model", CLASSES, preprocess, "linear_pixels", "linear", "tiny", resize="exact")
    folder.mkdir(parents=True, exist_ok=True)
    model = with_preprocessing(network, whole)
    (folder / "network.onnx").write_bytes(onnx_content(network, facts))
    (folder / "model.onnx").write_bytes(onnx_content(model, whole))
    return folder / "network.onnx", folder / "model.onnx"


def tiny_jpeg(seed: int, side: int = 32) -> bytes:
    """Return a small JPEG of noise."""
    buffer = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(buffer, "JPEG")
    return buffer.getvalue()
