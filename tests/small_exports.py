"""Exported files with a tiny network, made without torch's exporter."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from tlkit.exported import ExportedFacts
from tlkit.exported.facts import LOGITS, NETWORK_INPUT, PROBABILITIES
from tlkit.inference.export.model_graph import onnx_content
from tlkit.preprocess import Preprocess

CLASSES = ("ant", "bée", "wasp")
SIZE = (16, 16)
PREPROCESS = Preprocess(image_size=SIZE, crop_pct=1.0, mean=(0.5,) * 3, std=(0.25,) * 3)


def weights() -> np.ndarray:
    """Random weights (3 * 16 * 16, 3)."""
    return np.random.default_rng(0).normal(0, 0.05, (3 * SIZE[0] * SIZE[1], len(CLASSES))).astype(np.float32)


def write_small_export(path: Path, *, scale: float = 1.0, **facts) -> Path:
    """Write `network.onnx`: a linear classifier of normalized pixels, its weights times `scale`."""
    nodes = [
        helper.make_node("Flatten", [NETWORK_INPUT], ["flat"]),
        helper.make_node("MatMul", ["flat", "weights"], [LOGITS]),
        helper.make_node("Softmax", [LOGITS], [PROBABILITIES], axis=1),
    ]
    image = helper.make_tensor_value_info(NETWORK_INPUT, TensorProto.FLOAT, ["batch", 3, *SIZE])
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 3]) for name in (LOGITS, PROBABILITIES)]
    tensors = [numpy_helper.from_array(weights() * np.float32(scale), "weights")]
    graph = helper.make_graph(nodes, "linear", [image], outputs, initializer=tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    stated = ExportedFacts("network", CLASSES, PREPROCESS, "linear_pixels", "linear", "tiny", **facts)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(onnx_content(model, stated))
    return path


def picture(seed: int, size: tuple[int, int] = (40, 30)) -> Image.Image:
    """A smooth random picture of a size (width, height)."""
    coarse = np.random.default_rng(seed).integers(0, 256, (4, 5, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)


def encoded(seed: int, format: str = "JPEG", **options) -> bytes:
    """The content of a picture's file."""
    buffer = io.BytesIO()
    picture(seed, **options).save(buffer, format)
    return buffer.getvalue()
