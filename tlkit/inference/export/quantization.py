"""Static int8 quantization of a network by ONNX Runtime, with the most sensitive nodes left in float."""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from tlkit.arrays import Floats32
from tlkit.errors import ModelError, reason_of
from tlkit.exported.facts import NETWORK_INPUT, PROBABILITIES
from tlkit.exported.sessions import OnnxRuntimeSession

logger = logging.getLogger(__name__)

CLOSE_ENOUGH = 0.02
"""Mean over images of the largest change of a probability, up to which no further node is left in float."""
FLOAT_NODES = (0, 2, 4, 8, 16)
"""Numbers of nodes in float that are tried, in this order."""
RANKED_ON = 4
"""Images on which nodes are ranked; the outputs of all layers are held in memory."""
QUANTIZED = (
    "Conv", "Gemm", "MatMul", "Add", "Mul", "Concat", "Relu", "Clip", "LeakyRelu", "Sigmoid",
    "GlobalAveragePool", "AveragePool", "MaxPool", "Reshape", "Transpose", "Squeeze", "Unsqueeze",
)  # fmt: skip
"""Operators in int8. Softmax stays in float: its outputs are the probabilities, and attention weights."""
WEIGHTED = ("Conv", "Gemm", "MatMul")
"""Operators whose nodes may be left in float."""


@dataclass(frozen=True)
class QuantizedNetwork:
    """A network in int8.

    Attributes:
        proto: the ONNX model, without metadata.
        float_nodes: names of the nodes left in float.
        tried: for each attempt the number of nodes in float, and the mean over held-out training images of the largest
            change of a probability.
    """

    proto: onnx.ModelProto
    float_nodes: tuple[str, ...]
    tried: tuple[tuple[int, float], ...]


def quantize_network(
    network: onnx.ModelProto, *, calibration: Floats32, held_out: Floats32, per_channel: bool = True
) -> QuantizedNetwork:
    """Return a network in int8: QDQ nodes, weights int8, activations uint8, ranges of activations by MinMax.

    ONNX Runtime fuses a convolution with its ReLU or ReLU6 only where activations are uint8: with int8, Lite0 keeps 14
    of 49 convolutions in float, and takes 1.5 times as long. Weights take 7 of the 8 bits: processors without VNNI add
    pairs of products in 16 bits, which 8 bits overflow. Where probabilities on held-out training images change by more
    than `CLOSE_ENOUGH`, the weighted nodes that lose most of the signal-to-noise ratio are left in float: 2, 4, 8, then
    16. The first attempt that is close enough counts, else the closest.

    Args:
        network: takes normalized images (N, 3, H, W).
        calibration: training images, (N, 3, H, W), that give the ranges.
        held_out: other training images, on which attempts are compared; no image that is judged later.
        per_channel: a scale for each output channel of a weight, not one for the whole.

    Raises:
        ModelError: ONNX Runtime cannot quantize the network.
    """
    with tempfile.TemporaryDirectory() as folder:
        try:
            return _search(Path(folder), network, calibration, held_out, per_channel)
        except ModelError:
            raise
        except Exception as error:  # the quantizer raises any class
            raise ModelError(
                f"ONNX Runtime cannot quantize this network ({reason_of(error)}). Export without --int8."
            ) from error


def _search(
    folder: Path, network: onnx.ModelProto, calibration: Floats32, held_out: Floats32, per_channel: bool
) -> QuantizedNetwork:
    from onnxruntime.quantization.shape_inference import quant_pre_process

    given, prepared = folder / "network.onnx", folder / "prepared.onnx"
    given.write_bytes(network.SerializeToString())
    quant_pre_process(os.fspath(given), os.fspath(prepared), skip_symbolic_shape=True)
    expected = _probabilities(given, held_out)
    ranked: list[str] = []
    tried: list[tuple[int, float]] = []
    best: tuple[float, Path, tuple[str, ...]] | None = None
    for count in FLOAT_NODES:
        if count and not ranked:
            ranked = _most_sensitive(prepared, folder / "int8-0.onnx", held_out[:RANKED_ON])
        names = tuple(ranked[:count])
        if len(names) < count:
            break
        path = folder / f"int8-{count}.onnx"
        _quantize(prepared, path, calibration, names, per_channel)
        error = float(np.abs(_probabilities(path, held_out) - expected).max(axis=1).mean())
        tried.append((count, error))
        logger.info("int8 with %d nodes in float: probabilities change by %.3f in the mean.", count, error)
        if best is None or error < best[0]:
            best = error, path, names
        if error <= CLOSE_ENOUGH:
            break
    assert best is not None, "the first attempt leaves no node in float"
    return QuantizedNetwork(onnx.load(best[1]), best[2], tuple(tried))


def _quantize(source: Path, target: Path, calibration: Floats32, float_nodes: Sequence[str], per_channel: bool) -> None:
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

    quantize_static(
        os.fspath(source),
        os.fspath(target),
        _reader(calibration),
        quant_format=QuantFormat.QDQ,
        op_types_to_quantize=list(QUANTIZED),
        per_channel=per_channel,
        reduce_range=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        nodes_to_exclude=list(float_nodes),
        extra_options={"OpTypesToExcludeOutputQuantization": ["Gemm"]},  # the logits
    )


def _reader(images: Floats32) -> Any:
    """Return the images one by one, as the quantizer reads them; it asks again after the last."""
    from onnxruntime.quantization import CalibrationDataReader

    class Reader(CalibrationDataReader):  # type: ignore[misc, unused-ignore]  # untyped
        def __init__(self) -> None:
            self._left = iter(images)

        def get_next(self) -> dict[str, Floats32] | None:
            image = next(self._left, None)
            return None if image is None else {NETWORK_INPUT: image[None]}

    return Reader()


def _most_sensitive(network: Path, quantized: Path, images: Floats32) -> list[str]:
    """Return the names of the weighted nodes, those first that lose most of the signal-to-noise ratio.

    The loss of a node is the ratio (dB) of its quantized input to the float one, minus that of its output.
    """
    from onnxruntime.quantization import qdq_loss_debug as debug

    outputs = []
    for path in (network, quantized):
        augmented = path.with_suffix(".all.onnx")
        debug.modify_model_output_intermediate_tensors(os.fspath(path), os.fspath(augmented))
        outputs.append(debug.collect_activations(os.fspath(augmented), _reader(images)))
    matched = debug.create_activation_matching(outputs[1], outputs[0])
    found = {
        name: float(errors["xmodel_err"])
        for name, errors in debug.compute_activation_error(matched).items()
        if "xmodel_err" in errors
    }
    losses = {}
    for node in onnx.load(network).graph.node:
        if node.op_type in WEIGHTED and node.output[0] in found:
            before = [found[name] for name in node.input if name in found]
            losses[node.name] = min(before, default=60.0) - found[node.output[0]]
    return sorted(losses, key=lambda name: -losses[name])


def _probabilities(path: Path, images: Floats32) -> Floats32:
    session = OnnxRuntimeSession(path, path.read_bytes())
    parts = [session((PROBABILITIES,), images[at : at + 16])[0] for at in range(0, len(images), 16)]
    return np.concatenate(parts)
