"""Engines that run a backbone as an ONNX graph: ONNX Runtime and OpenVINO, on the CPU, in float32."""

from __future__ import annotations

import io
import warnings
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from tlkit.errors import MissingExtraError
from tlkit.features.engines import Dtype

OPSET = 17


def export_onnx(module: nn.Module, pixels: torch.Tensor) -> bytes:
    """Return a network as an ONNX graph for inputs of exactly this shape.

    Args:
        module: maps uint8 pixels (B, 3, H, W) to features (B, D).
        pixels: an input of it.
    """
    buffer = io.BytesIO()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # torch 2.13: this exporter is deprecated; its successor needs onnxscript
        torch.onnx.export(
            module.eval(), (pixels,), cast(Any, buffer), dynamo=False, opset_version=OPSET,
            input_names=["pixels"], output_names=["features"],
        )  # fmt: skip
    return buffer.getvalue()


class OnnxRuntimeEngine:
    """ONNX Runtime on the CPU, in float32.

    Args:
        module: maps uint8 pixels (B, 3, H, W) to features (B, D), normalisation included.
        pixels: an input; all later ones have its shape.

    Raises:
        MissingExtraError: ONNX Runtime is not installed.
    """

    name = "onnxruntime/cpu"
    dtype: Dtype = "float32"

    def __init__(self, module: nn.Module, pixels: torch.Tensor) -> None:
        try:
            import onnxruntime
        except ImportError:
            raise MissingExtraError(
                package="onnxruntime", extra="onnx", purpose="features.engine: onnxruntime"
            ) from None
        options = onnxruntime.SessionOptions()
        options.use_deterministic_compute = True
        options.log_severity_level = 3
        graph = export_onnx(module, pixels)

        def open_session(threads: int) -> Any:
            options.intra_op_num_threads = threads
            return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])

        self._open = open_session
        self._threads = torch.get_num_threads()
        self._session = open_session(self._threads)

    def __call__(self, pixels: torch.Tensor) -> npt.NDArray[np.float32]:
        """Return the features (B, D) of uint8 RGB pixels (B, 3, H, W)."""
        if torch.get_num_threads() != self._threads:  # it has changed since; a session keeps the number it began with
            self._threads = torch.get_num_threads()
            self._session = self._open(self._threads)
        features: npt.NDArray[np.float32] = self._session.run(["features"], {"pixels": pixels.numpy()})[0]
        return features


class OpenVinoEngine:
    """OpenVINO on the CPU, in float32.

    Args:
        module: maps uint8 pixels (B, 3, H, W) to features (B, D), normalisation included.
        pixels: an input; all later ones have its shape.

    Raises:
        MissingExtraError: OpenVINO is not installed.
    """

    name = "openvino/cpu"
    dtype: Dtype = "float32"

    def __init__(self, module: nn.Module, pixels: torch.Tensor) -> None:
        try:
            import openvino
        except ImportError:
            raise MissingExtraError(package="openvino", extra="openvino", purpose="features.engine: openvino") from None
        core = openvino.Core()
        graph = core.read_model(io.BytesIO(export_onnx(module, pixels)))
        settings = {
            "INFERENCE_PRECISION_HINT": "f32",  # else it takes bfloat16 where the processor has it
            "PERFORMANCE_HINT": "LATENCY",  # one stream, so that all threads work on one batch
        }

        def compiled(threads: int) -> Any:
            return core.compile_model(graph, "CPU", {**settings, "INFERENCE_NUM_THREADS": threads})

        self._compiled = compiled
        self._threads = torch.get_num_threads()
        self._model = compiled(self._threads)

    def __call__(self, pixels: torch.Tensor) -> npt.NDArray[np.float32]:
        """Return the features (B, D) of uint8 RGB pixels (B, 3, H, W)."""
        if torch.get_num_threads() != self._threads:
            self._threads = torch.get_num_threads()
            self._model = self._compiled(self._threads)
        features: npt.NDArray[np.float32] = self._model([pixels.numpy()])[0].copy()
        return features
