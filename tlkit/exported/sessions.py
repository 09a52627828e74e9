"""The door to ONNX Runtime and OpenVINO for exported files: sessions in float32 on the CPU, with fixed settings."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from tlkit.errors import MissingExtraError, ModelError, reason_of
from tlkit.exported.embedded_digest import OPENVINO_DIGEST, require_digest
from tlkit.exported.facts import FACTS_KEY, REMEDY

OPTIMIZATION_LEVEL = "all"
"""Graph optimizations of ONNX Runtime: the level at which files are verified, and at which tlkit runs them."""


class Session(Protocol):
    """Runs a graph.

    Attributes:
        engine: name and version of what runs it, such as "onnxruntime 1.31.1".
        facts: the text in its metadata that `ExportedFacts` are read from.
        input: name of its input.
        is_concurrent: whether several threads may call it at the same time.
    """

    is_concurrent: bool
    engine: str
    facts: str
    input: str

    def __call__(self, outputs: Sequence[str], given: npt.NDArray[Any]) -> list[npt.NDArray[Any]]:
        """Return the outputs of these names."""


class OnnxRuntimeSession:
    """An ONNX file in ONNX Runtime, on the CPU.

    Args:
        path: the file, for messages.
        content: what it holds.
        threads: of one run; 0 = as many as there are cores.

    Raises:
        ModelError: ONNX Runtime refuses the file.
    """

    is_concurrent = True

    def __init__(self, path: Path, content: bytes, *, threads: int = 0) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        options.use_deterministic_compute = True
        options.log_severity_level = 3
        options.intra_op_num_threads = threads
        try:
            self._session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # each kind of refusal is a class of its own
            raise ModelError(f"{path} cannot be run by ONNX Runtime ({reason_of(error)}). {REMEDY}") from error
        self.engine = f"onnxruntime {onnxruntime.__version__}"
        self.facts: str = self._session.get_modelmeta().custom_metadata_map.get(FACTS_KEY, "")
        self.input: str = self._session.get_inputs()[0].name

    def __call__(self, outputs: Sequence[str], given: npt.NDArray[Any]) -> list[npt.NDArray[Any]]:
        """Return the outputs of these names."""
        found: list[npt.NDArray[Any]] = self._session.run(list(outputs), {self.input: given})
        return found


class OpenVinoSession:
    """A model in OpenVINO's format (`.xml` beside `.bin`), on the CPU, in float32; arguments as `OnnxRuntimeSession`.

    Raises:
        MissingExtraError: OpenVINO is not installed.
        ModelError: OpenVINO refuses the file.
    """

    is_concurrent = False  # a compiled model has one request, which refuses a second call

    def __init__(self, path: Path, content: bytes, *, threads: int = 0) -> None:
        try:
            import openvino
        except ImportError:
            raise MissingExtraError(package="openvino", extra="openvino", purpose=os.fspath(path)) from None
        weights = path.with_suffix(".bin")
        try:
            require_digest(content, path=path, rest=weights.read_bytes(), pattern=OPENVINO_DIGEST)
        except FileNotFoundError:
            raise ModelError(f"{path} has no weights beside it ({weights.name} is missing). {REMEDY}") from None
        settings: dict[str, Any] = {
            "INFERENCE_PRECISION_HINT": "f32",  # else it takes bfloat16 where the processor has it
            "PERFORMANCE_HINT": "LATENCY",
        }
        if threads:
            settings["INFERENCE_NUM_THREADS"] = threads
        try:
            core = openvino.Core()
            graph = core.read_model(os.fspath(path), os.fspath(weights))
            self._compiled = core.compile_model(graph, "CPU", settings)
            self.facts = str(graph.get_rt_info([FACTS_KEY, "facts"]).astype(str))
        except Exception as error:  # OpenVINO raises RuntimeError for everything, and own classes for some
            raise ModelError(f"{path} cannot be run by OpenVINO ({reason_of(error)}). {REMEDY}") from error
        self.engine = f"openvino {openvino.__version__.partition('-')[0]}"
        self.input = str(self._compiled.inputs[0].any_name)

    def __call__(self, outputs: Sequence[str], given: npt.NDArray[Any]) -> list[npt.NDArray[Any]]:
        """Return the outputs of these names."""
        found = self._compiled({self.input: given})
        return [np.array(found[name]) for name in outputs]
