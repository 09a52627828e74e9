"""Choice of the engine that runs a frozen backbone: by rule, after a parity check on real images."""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import onnxruntime
import torch
from torch import nn

from tlkit.choices import EngineName
from tlkit.errors import MissingExtraError
from tlkit.features.engines.batch_norm_folding import FOLDING_VERSION
from tlkit.features.engines.graph_engines import EXPORTER, IMAGES_PER_RUN, OnnxRuntimeEngine, OpenVinoEngine
from tlkit.features.engines.torch_engine import Dtype, Engine, TorchEngine

logger = logging.getLogger(__name__)


PROBE_IMAGES = 8
"""Real images on which an engine is compared with float32 torch; a black one is added, so that not all are alike."""
PROBES, PROBE_CLASSES = 16, 10
LEAST_AGREEMENT = 0.95
"""Smallest share of the probes' decisions that an engine must have in common with float32 torch."""


@dataclass(frozen=True)
class Agreement:
    """How well an engine's features agree with those of float32 torch, over a few images.

    Attributes:
        cosine: the smallest cosine similarity of an image's two feature vectors, in [-1, 1].
        argmax: share of decisions in common, in [0, 1], of 16 random linear classifiers with 10 classes each.
    """

    cosine: float
    argmax: float

    def within(self, tolerance: float) -> bool:
        """Return whether the engine may replace float32 torch."""
        return self.cosine >= tolerance and self.argmax >= LEAST_AGREEMENT


def measure_agreement(x: npt.NDArray[np.float32], reference: npt.NDArray[np.float32]) -> Agreement:
    """Return the agreement of two engines' features (B, D) of the same images.

    Example:
        >>> x = np.eye(3, dtype=np.float32)
        >>> measure_agreement(x, x)
        Agreement(cosine=1.0, argmax=1.0)
    """
    one, other = x.astype(np.float64), reference.astype(np.float64)
    norms = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    cosine = (one * other).sum(axis=1) / np.maximum(norms, 1e-30)
    probes = np.random.Generator(np.random.PCG64(0)).normal(size=(PROBES, x.shape[1], PROBE_CLASSES))
    center = other.mean(axis=0)  # features are mostly positive; without this all images would get the same class
    decided = [np.einsum("bd,pdc->pbc", values - center, probes).argmax(axis=2) for values in (one, other)]
    return Agreement(float(cosine.min()), float((decided[0] == decided[1]).mean()))


@dataclass(frozen=True)
class EngineIdentity:
    """The part of the cache key that depends on the engine.

    Attributes:
        engine: what it is and where it runs, such as "torch/cpu"; an engine's `name`.
        dtype: its arithmetic.
        build: versions and settings that the bits of its output depend on.
    """

    engine: str
    dtype: Dtype
    build: str


def available_engines(device: str) -> tuple[EngineName, ...]:
    """Return the engines that can run on a device, the one that `auto` prefers first.

    On a CPU that is ONNX Runtime, on a GPU with bfloat16 torch in bfloat16, elsewhere torch.
    """
    if device == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False):
        return ("torch-bf16", "torch")
    if device != "cpu":
        return ("torch",)
    found: tuple[EngineName, ...] = ("onnxruntime", "torch", "torch-bf16")
    return (*found, "openvino") if importlib.util.find_spec("openvino") else found


def engine_identity(name: EngineName, device: str, *, folds: bool = True) -> EngineIdentity:
    """Return the identity of an engine without building it; `folds` says whether it folds batch normalization.

    Raises:
        MissingExtraError: the package is not installed; the message has its pip line.
    """
    package = name.removesuffix("-bf16")
    where = device if package == "torch" else "cpu"
    settings = [f"torch {torch.__version__}", f"timm {metadata.version('timm')}", _processor(where)]
    if package == "torch":
        settings.append(f"float32 precision {_float32_precision(where)}")
    else:
        settings = [f"{package} {_graph_version(package)}", EXPORTER, *settings]
        if package == "onnxruntime":
            settings.append(f"{IMAGES_PER_RUN} images a run")
    build = ", ".join([*settings, f"batch norm folding {FOLDING_VERSION if folds else 'none'}"])
    return EngineIdentity(f"{package}/{where}", "float32" if name == package else "bfloat16", build)


def _graph_version(package: str) -> str:
    """Return the version of ONNX Runtime or OpenVINO; only the first is a dependency."""
    if package == "onnxruntime":
        return str(onnxruntime.__version__)
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        raise MissingExtraError(package=package, extra=package, purpose=f"features.engine: {package}") from None


def _processor(device: str) -> str:
    """Return what decides which kernels run: the vector instructions of a CPU, or the model of a GPU."""
    if device == "cuda":
        return torch.cuda.get_device_name()
    return str(torch.backends.cpu.get_cpu_capability())


def _float32_precision(device: str) -> str:
    """Return the arithmetic that torch may use for float32 products: ieee, or a shorter format for speed."""
    mkldnn: Any = torch.backends.mkldnn  # the attributes are set by a class that replaces the module
    cudnn: Any = torch.backends.cudnn
    backends = {"cpu": (mkldnn.matmul, mkldnn.conv), "cuda": (torch.backends.cuda.matmul, cudnn.conv)}
    named = [str(backend.fp32_precision).replace("none", "ieee") for backend in backends.get(device, ())]
    return "/".join(named) or "ieee"


def engine_name_of(engine: str, dtype: str) -> EngineName:
    """Return the engine of an identity's name and arithmetic, on any device.

    Example:
        >>> engine_name_of("torch/cuda", "bfloat16"), engine_name_of("openvino/cpu", "float32")
        ('torch-bf16', 'openvino')
    """
    name = engine.partition("/")[0]
    return cast(EngineName, f"{name}-bf16" if dtype == "bfloat16" else name)


def create_engine(name: EngineName, module: nn.Module, pixels: torch.Tensor, *, device: str) -> Engine:
    """Build an engine for batches of one shape.

    `module` maps uint8 pixels (B, 3, H, W) to features (B, D), with batch normalization folded where possible. `pixels`
    is an input; all later ones have its shape. ONNX Runtime and OpenVINO run on the CPU whatever the device ("cpu",
    "cuda", "mps").

    Raises:
        MissingExtraError: the package is not installed; the message has its pip line.
    """
    match name:
        case "torch":
            return TorchEngine(module, device=device)
        case "torch-bf16":
            return TorchEngine(module, device=device, dtype="bfloat16")
        case "onnxruntime":
            return OnnxRuntimeEngine(module, pixels)
        case "openvino":
            return OpenVinoEngine(module, pixels)


def choose_engine(
    module: nn.Module,
    folded: Callable[[], nn.Module],
    pixels: torch.Tensor,
    *,
    device: str,
    tolerance: float,
    compared: Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float32]] | None = None,
    key: str = "features.engine",
) -> Engine:
    """Return the engine that `auto` prefers, or torch where that one fails or differs too much from float32 torch.

    Nothing is timed: the same network and images give the same choice in every run on one machine.

    Args:
        module: maps uint8 pixels (B, 3, H, W) to features (B, D); the reference.
        folded: returns the same function with batch normalization folded.
        pixels: a batch whose first images, up to `PROBE_IMAGES`, are real, and whose others are black.
        device: "cpu", "cuda" or "mps".
        tolerance: smallest cosine similarity with the reference, in (0, 1].
        compared: maps an engine's output to the features that are compared; None = the output.
        key: the setting that names an engine, for the log.
    """
    built, name = folded(), available_engines(device)[0]
    engine: Engine | None = None
    note = ""
    if name != "torch":
        count, seen = PROBE_IMAGES + 1, compared or (lambda x: x)
        with torch.inference_mode():
            reference = module.to(device)(pixels[:count].to(device)).float().cpu().numpy()
        try:
            engine = create_engine(name, built, pixels, device=device)
            measured = measure_agreement(seen(engine(pixels)[:count]), seen(reference))
        except Exception as error:  # an exporter or a runtime raises any class; torch runs every network
            engine, note = None, f": {name} cannot run this network ({type(error).__name__})"
            logger.debug("%s cannot run the backbone.", name, exc_info=True)
        else:
            note = f"smallest cosine {measured.cosine:.6f}, {measured.argmax:.0%} of decisions"
            if measured.within(tolerance):
                note = f"; it agrees with float32 torch ({note})"
            else:
                needed = f"at least {tolerance:g} and {LEAST_AGREEMENT:.0%} are needed"
                engine, note = None, f": {name} differs too much from float32 torch ({note}; {needed})"
    engine = engine or create_engine("torch", built, pixels, device=device)
    logger.debug(
        "%s is auto: %s (%s) runs the frozen backbone%s. To take another engine, name it in %s.",
        key,
        engine.name,
        engine.dtype,
        note,
        key,
    )
    return engine
