"""The cost of a backbone: parameters, multiply-accumulates, and latency on this machine."""

from __future__ import annotations

import logging
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from scipy.special import bdtr
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from tlkit.choices import CONFIDENCE
from tlkit.models.meta_pass import meta_pass
from tlkit.stats.estimate import Estimate

logger = logging.getLogger(__name__)

FEWEST_RUNS, MOST_RUNS, LONGEST_S = 9, 50, 2.0
BATCH = 16
CPU_FACTS = Path("/proc/cpuinfo")


@dataclass(frozen=True)
class Latency:
    """Latency and throughput of a network.

    Attributes:
        one_ms: milliseconds for one image, median of the runs (its `n`) with its interval.
        images_per_s: images per second in batches of 16, from the median.
    """

    one_ms: Estimate
    images_per_s: float


def count_parameters(module: nn.Module) -> int:
    """Return the number of parameters, trainable or not."""
    return sum(parameter.numel() for parameter in module.parameters())


def count_macs(module: nn.Module, image_size: tuple[int, int]) -> int | None:
    """Return the multiply-accumulates of one image; None for a network that cannot run on tensors without values.

    torch's FlopCounterMode counts convolutions, matrix products and attention, a multiply-accumulate as two. Norms,
    activations and pooling are not counted. Nothing is computed: the tensors are on the device "meta".

    Example:
        >>> count_macs(nn.Conv2d(3, 8, 3, padding=1), (10, 10)) == 8 * 3 * 3 * 3 * 10 * 10
        True
    """
    return macs_by_module(module, image_size).get("")


def macs_by_module(module: nn.Module, image_size: tuple[int, int]) -> dict[str, int]:
    """Return the multiply-accumulates of one image by the name of the submodule, "" for all; see `count_macs`.

    Empty for a network that cannot run on tensors without values.
    """
    try:
        with FlopCounterMode(display=False) as counter:
            meta_pass(module, image_size)
    except (RuntimeError, TypeError, AttributeError) as error:
        logger.debug("Multiply-accumulates cannot be counted: %s", error)
        return {}
    own = f"{type(module).__name__}."
    by_module = {str(name).removeprefix(own): counts for name, counts in counter.get_flop_counts().items()}
    found = {name: int(sum(counts.values())) // 2 for name, counts in by_module.items() if name != "Global"}
    return {**found, "": int(counter.get_total_flops()) // 2}


def measure_latency(module: nn.Module, image_size: tuple[int, int], *, device: str) -> Latency:
    """Return the latency of a network on this machine, as float32 torch, on noise, after warm-up runs.

    Args:
        module: maps normalized images (B, 3, H, W) to features.
        image_size: height and width in pixels.
        device: "cpu", "cuda" or "mps".
    """
    module = module.to(device).eval()
    one = _times_s(module, torch.randn(1, 3, *image_size, device=device), longest_s=LONGEST_S)
    many = _times_s(module, torch.randn(BATCH, 3, *image_size, device=device), longest_s=LONGEST_S / 2, fewest=3)
    return Latency(median_estimate([1000 * seconds for seconds in one]), BATCH / statistics.median(many))


def median_estimate(values: list[float], confidence: float = CONFIDENCE) -> Estimate:
    """Return the median with its distribution-free interval between two order statistics.

    Ranks from the binomial distribution with p = 1/2: David & Nagaraja (2003), Order Statistics, section 7.1. There is
    no interval if even the smallest and the largest value do not reach the confidence.

    Example:
        >>> median_estimate([1, 2, 3, 4, 5, 6, 7, 8, 100]).format(digits=0)
        '5 [2, 8]'
    """
    ordered, n = sorted(values), len(values)
    below = bdtr(np.arange(n), n, 0.5)  # P(X <= k); scipy.stats has the quantile, and takes 0.3 s to import
    rank = int(np.searchsorted(below, (1 - confidence) / 2))  # the largest r with P(X < r) <= tail, from 1
    if rank < 1:
        return Estimate(statistics.median(ordered), None, None, n=n, note=f"{n} runs")
    return Estimate(statistics.median(ordered), ordered[rank - 1], ordered[n - rank], n=n)


def describe_machine(device: str) -> str:
    """Return the device, threads and version of torch of a measurement."""
    if device == "cuda":
        return f"{torch.cuda.get_device_name()}, torch {torch.__version__}, float32"
    lines = CPU_FACTS.read_text(encoding="utf-8").splitlines() if CPU_FACTS.is_file() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    name = models[0] if models else platform.processor() or platform.machine()
    count = torch.get_num_threads()
    threads = "1 thread" if count == 1 else f"{count} threads"
    return f"{name if device == 'cpu' else f'{name} ({device})'}, {threads}, torch {torch.__version__}, float32"


def _times_s(module: nn.Module, images: torch.Tensor, *, longest_s: float, fewest: int = FEWEST_RUNS) -> list[float]:
    wait: Callable[[], None] = torch.cuda.synchronize if images.device.type == "cuda" else lambda: None
    times: list[float] = []
    with torch.inference_mode():
        module(images)
        module(images)
        begun = time.perf_counter()
        while len(times) < fewest or (len(times) < MOST_RUNS and time.perf_counter() - begun < longest_s):
            wait()
            start = time.perf_counter()
            module(images)
            wait()
            times.append(time.perf_counter() - start)
    return times
