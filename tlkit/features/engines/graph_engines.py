"""Engines that run a backbone as an ONNX graph: ONNX Runtime and OpenVINO, on the CPU, in float32."""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import onnxruntime
import torch
from torch import nn

from tlkit.errors import MissingExtraError
from tlkit.features.engines.torch_engine import Dtype

OPSET = 17
EXPORTER = f"TorchScript exporter, opset {OPSET}"
"""How a network is exported; part of the key of cached features."""
EXAMPLE_IMAGES = 2
"""Images that the exporter runs; the batch axis of the graph is dynamic."""
IMAGES_PER_RUN = 8
"""Images of one run of ONNX Runtime, whatever the number of threads: the bits may depend on it. Part of the key of
cached features."""
MOST_PIXELS = 2**25
"""Pixels in all runs of ONNX Runtime at once, which bounds their memory: 83 runs of images of 224x224.

Measured: 96 to 420 bytes a pixel (ViT-Tiny, ResNet-50, Lite0, ViT-Base, ConvNeXt-Tiny), 960 at most (Swin-Tiny).
"""


def export_onnx(module: nn.Module, pixels: torch.Tensor) -> bytes:
    """Return a network as a serialized ONNX graph for any number of images of this height and width.

    `module` maps uint8 pixels (B, 3, H, W) to features (B, D); `pixels` is an input of it.
    """
    buffer = io.BytesIO()
    with warnings.catch_warnings(), torch.no_grad(), stdout_discarded():
        warnings.simplefilter("ignore")  # the exporter is deprecated, and warns of every shape that it reads
        # dynamo=False: with torch 2.13 and onnxscript 0.7.2 the exporter built on torch.export takes 5 to 9 s where
        # this one takes 0.3 to 0.7 s (Lite0, ResNet-18, ViT-Tiny), and it refuses attention over other than four axes
        # (hiera, nest, twins; microsoft/onnxscript#2558).
        torch.onnx.export(
            module.eval(),
            (pixels[:EXAMPLE_IMAGES],),
            cast(Any, buffer),
            dynamo=False,
            opset_version=OPSET,
            input_names=["pixels"],
            output_names=["features"],
            dynamic_axes={"pixels": {0: "batch"}, "features": {0: "batch"}},
        )
    return buffer.getvalue()


@contextmanager
def stdout_discarded() -> Iterator[None]:
    """Discard what C++ code writes to the standard output.

    torch 2.13 prints the whole graph there, up to megabytes, where the TorchScript exporter fails: its
    `setup_onnx_logging` tests `_jit_is_onnx_log_enabled` without calling it, so the log is always on.
    """
    try:
        stdout = os.dup(1)
    except OSError:  # the process has no standard output
        yield
        return
    try:
        with open(os.devnull, "wb") as nowhere:  # noqa: PTH123
            os.dup2(nowhere.fileno(), 1)
        yield
    finally:
        os.dup2(stdout, 1)
        os.close(stdout)


class OnnxRuntimeEngine:
    """ONNX Runtime on the CPU, in float32.

    Several threads may call it at once. Each run takes `IMAGES_PER_RUN` images and one thread: threads that share a run
    wait for each other after every operator, a large batch does not fit into a core's cache, and how work is shared
    among threads can change the bits. A call with more images has as many runs at once as there are threads.

    Args:
        module: maps uint8 pixels (B, 3, H, W) to features (B, D), normalization included.
        pixels: an input; all later ones have its height and width, and any number of images.
    """

    name = "onnxruntime/cpu"
    dtype: Dtype = "float32"
    images_per_run = IMAGES_PER_RUN

    def __init__(self, module: nn.Module, pixels: torch.Tensor) -> None:
        options = onnxruntime.SessionOptions()
        options.use_deterministic_compute = True
        options.log_severity_level = 3
        options.intra_op_num_threads = 1
        options.add_free_dimension_override_by_name("batch", IMAGES_PER_RUN)
        graph = export_onnx(module, pixels)
        self.session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        self._most_runs = max(1, MOST_PIXELS // (IMAGES_PER_RUN * pixels.shape[2] * pixels.shape[3]))

    @property
    def threads(self) -> int:
        """How many threads may call it at once: torch's number, fewer where images are so large that memory counts."""
        return min(torch.get_num_threads(), self._most_runs)

    def __call__(self, pixels: torch.Tensor) -> npt.NDArray[np.float32]:
        """Return the features (B, D) of uint8 RGB pixels (B, 3, H, W)."""
        count, given = len(pixels), pixels.numpy()
        if count % IMAGES_PER_RUN:
            missing = IMAGES_PER_RUN - count % IMAGES_PER_RUN
            given = np.concatenate([given, np.zeros((missing, *given.shape[1:]), np.uint8)])

        def run(start: int) -> npt.NDArray[np.float32]:
            part = given[start : start + IMAGES_PER_RUN]
            features: npt.NDArray[np.float32] = self.session.run(["features"], {"pixels": part})[0]
            return features

        if count <= IMAGES_PER_RUN:
            return run(0)[:count]
        starts = range(0, count, IMAGES_PER_RUN)
        with ThreadPoolExecutor(min(self.threads, len(starts)), thread_name_prefix="onnxruntime") as pool:
            return np.concatenate(list(pool.map(run, starts)))[:count]


class _Sessions:
    """The session of a graph for torch's present number of threads, which a session cannot change after it opens."""

    def __init__(self, open_session: Callable[[int], Any]) -> None:
        self._open = open_session
        self._threads = torch.get_num_threads()
        self._session = open_session(self._threads)

    def current(self) -> Any:
        """Return the session, opened again if the number of threads has changed."""
        threads = torch.get_num_threads()
        if threads != self._threads:
            self._session = self._open(threads)
            self._threads = threads  # last: where the session cannot be opened, the next call tries again
        return self._session


class OpenVinoEngine:
    """OpenVINO on the CPU, in float32, for batches of the shape of `pixels`; arguments as in `OnnxRuntimeEngine`.

    Raises:
        MissingExtraError: OpenVINO is not installed.
    """

    name = "openvino/cpu"
    dtype: Dtype = "float32"
    images_per_run = None
    threads = 1

    def __init__(self, module: nn.Module, pixels: torch.Tensor) -> None:
        try:
            import openvino
        except ImportError:
            raise MissingExtraError(package="openvino", extra="openvino", purpose="features.engine: openvino") from None
        core = openvino.Core()
        graph = core.read_model(io.BytesIO(export_onnx(module, pixels)))
        graph.reshape(list(pixels.shape))
        settings = {
            "INFERENCE_PRECISION_HINT": "f32",  # else it takes bfloat16 where the processor has it
            "PERFORMANCE_HINT": "LATENCY",  # one stream, so that all threads work on one batch
        }
        self.sessions = _Sessions(
            lambda threads: core.compile_model(graph, "CPU", {**settings, "INFERENCE_NUM_THREADS": threads})
        )

    def __call__(self, pixels: torch.Tensor) -> npt.NDArray[np.float32]:
        """Return the features (B, D) of uint8 RGB pixels (B, 3, H, W)."""
        features: npt.NDArray[np.float32] = self.sessions.current()([pixels.numpy()])[0].copy()
        return features
