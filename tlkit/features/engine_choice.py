"""Which engine runs a frozen backbone: measured for a moment on the real batch, held to a tolerance, and logged."""

from __future__ import annotations

import importlib.util
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import cast

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from tlkit.choices import EngineName
from tlkit.features.engines import Dtype, Engine, TorchEngine
from tlkit.features.graph_engines import OnnxRuntimeEngine, OpenVinoEngine

logger = logging.getLogger(__name__)


PROBE_IMAGES = 8
"""Real images that engines are compared by."""
GLANCE_IMAGES = 2
"""So many say roughly how long torch will take: too long rather than too short, and then it is measured."""
PROBES, PROBE_CLASSES = 16, 10
LEAST_AGREEMENT = 0.95
"""Smallest share of the probes' decisions that an engine must have in common with float32 torch."""
WORTH_TRYING_S: Mapping[EngineName, float] = {"torch-bf16": 8.0, "onnxruntime": 20.0, "openvino": 30.0}
"""How long torch would have to take before an engine is tried: several times what it takes to set the engine up."""


@dataclass(frozen=True)
class Agreement:
    """How near an engine's features are to those of float32 torch, over a few images.

    Attributes:
        cosine: the smallest cosine similarity of an image's two feature vectors, in [-1, 1].
        argmax: share of decisions in common, in [0, 1], of 16 random linear classifiers with 10 classes each.
    """

    cosine: float
    argmax: float

    def within(self, tolerance: float) -> bool:
        """Tell whether the engine may stand in for float32 torch."""
        return self.cosine >= tolerance and self.argmax >= LEAST_AGREEMENT


def agreement(x: npt.NDArray[np.float32], reference: npt.NDArray[np.float32]) -> Agreement:
    """Compare features (B, D) of the same images by two engines.

    Example:
        >>> x = np.eye(3, dtype=np.float32)
        >>> agreement(x, x)
        Agreement(cosine=1.0, argmax=1.0)
    """
    one, other = x.astype(np.float64), reference.astype(np.float64)
    norms = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    cosine = (one * other).sum(axis=1) / np.maximum(norms, 1e-30)
    probes = np.random.Generator(np.random.PCG64(0)).normal(size=(PROBES, x.shape[1], PROBE_CLASSES))
    centre = other.mean(axis=0)  # features are mostly positive; without this all images would get the same class
    decided = [np.einsum("bd,pdc->pbc", values - centre, probes).argmax(axis=2) for values in (one, other)]
    return Agreement(float(cosine.min()), float((decided[0] == decided[1]).mean()))


def candidates(device: str) -> tuple[EngineName, ...]:
    """Return the engines that can run here, the reference first."""
    if device != "cpu":
        return ("torch", "torch-bf16") if device == "cuda" and torch.cuda.is_bf16_supported() else ("torch",)
    found: list[EngineName] = ["torch"]
    if torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported():
        found.append("torch-bf16")
    packages: Mapping[EngineName, tuple[str, ...]] = {"onnxruntime": ("onnxruntime", "onnx"), "openvino": ("openvino",)}
    found += [name for name, needed in packages.items() if all(map(importlib.util.find_spec, needed))]
    return tuple(found)


def identity(name: EngineName, device: str) -> tuple[str, Dtype]:
    """Return the name and the arithmetic that an engine puts into cache keys."""
    if name == "torch-bf16":
        return f"torch/{device}", "bfloat16"
    return f"{name}/{device if name == 'torch' else 'cpu'}", "float32"


def engine_named(engine: str, dtype: str) -> EngineName:
    """Return which engine has this identity, on whatever device.

    Example:
        >>> engine_named(*identity("torch-bf16", "cpu")), engine_named(*identity("openvino", "cpu"))
        ('torch-bf16', 'openvino')
    """
    name = engine.partition("/")[0]
    return cast(EngineName, f"{name}-bf16" if dtype == "bfloat16" else name)


def create_engine(name: EngineName, module: nn.Module, pixels: torch.Tensor, *, device: str) -> Engine:
    """Build an engine for batches of one shape.

    Args:
        name: which.
        module: maps uint8 pixels (B, 3, H, W) to features (B, D), with batch normalisation folded where it can be.
        pixels: an input; all later ones have its shape.
        device: "cpu", "cuda" or "mps"; the graph engines run on the CPU whatever it is.

    Raises:
        MissingExtraError: the package is not installed; the message has its pip line.
    """
    match name:
        case "torch":
            return TorchEngine(module, device=device, example=pixels)
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
    images: int,
    device: str,
    tolerance: float,
    before: Callable[[], None] = lambda: None,
) -> Engine:
    """Measure the engines that can run here, and return the fastest one that is near enough to float32 torch.

    An engine is tried only where torch alone would take several times as long as setting it up.

    Args:
        module: maps uint8 pixels (B, 3, H, W) to features (B, D); run as it is, it is the reference.
        folded: gives the same function with batch normalisation folded.
        pixels: a batch, its first images real.
        images: how many images are to be run.
        device: "cpu", "cuda" or "mps".
        tolerance: smallest cosine similarity with the reference, in (0, 1].
        before: called before anything that takes long.
    """
    built = folded()
    best: Engine = create_engine("torch", built, pixels, device=device)
    others = candidates(device)[1:]
    for some in (pixels[:GLANCE_IMAGES], pixels):
        if some is pixels:
            before()
        best_s = _time_s(best, some)
        rate = len(some) / best_s
        expected_s = images / rate
        if all(expected_s < WORTH_TRYING_S[name] for name in others):
            untried = f", too short for another engine to pay for its start (not tried: {', '.join(others)})"
            logger.info(
                "features.engine is auto: %s (%s) runs the frozen backbone, %.0f images/s: about %.0f s%s.",
                best.name, best.dtype, rate, expected_s, untried if others else "",
            )  # fmt: skip
            return best
    said = [f"torch {rate:.0f} images/s"]
    reference: npt.NDArray[np.float32] | None = None
    for name in others:
        if expected_s < WORTH_TRYING_S[name]:
            said.append(f"{name} not tried for the {expected_s:.0f} s that torch takes")
            continue
        before()
        if reference is None:
            with torch.inference_mode():
                reference = module.to(device)(pixels[:PROBE_IMAGES].to(device)).float().cpu().numpy()
        try:
            engine = create_engine(name, built, pixels, device=device)
            near = agreement(engine(pixels)[:PROBE_IMAGES], reference)
        except Exception as error:  # a guest's exporter or runtime raises what it likes; torch runs everything
            said.append(f"{name} cannot run it ({type(error).__name__})")
            logger.debug("%s cannot run the backbone.", name, exc_info=True)
            continue
        if not near.within(tolerance):
            said.append(f"{name} too far off (cosine {near.cosine:.5f}, agreement {near.argmax:.0%})")
            continue
        before()
        seconds = _time_s(engine, pixels)
        said.append(f"{name} {len(pixels) / seconds:.0f} images/s (cosine {near.cosine:.6f})")
        if seconds < best_s:
            best, best_s = engine, seconds
    logger.info(
        "features.engine is auto: %s (%s) runs the frozen backbone, the fastest here whose features agree with float32 "
        "torch: %s.",
        best.name, best.dtype, ", ".join(said),
    )  # fmt: skip
    return best


def _time_s(engine: Engine, pixels: torch.Tensor) -> float:
    """Return the seconds of one batch, after one that warms up."""
    engine(pixels)
    start = time.perf_counter()
    engine(pixels)
    return time.perf_counter() - start
