"""Robustness of runs on their own images, and its cost in forward passes.

    python benchmarks/robustness.py RUN... [--corruptions NAME...] [--cost 32] [--repeats 3]

Prints the time that 8 corruptions of 5 severities take on --cost images of the first run, divided by that of 41 forward
passes over the same pixels in the same engine, measured alternately in the same process; fog and glass blur apart. The
choice of the engine, once for any number of images, is timed apart. Then a table of changes by corruption of each run.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import torch

import tlkit
from tlkit.choices import ENGINE_TOLERANCE
from tlkit.data.augment.corruption_kinds import CORRUPTIONS, SEVERITIES
from tlkit.data.augment.corruptions import Corruptor
from tlkit.data.augment.transforms import build_transform
from tlkit.data.loading.dataset import ImageDataset, create_loader
from tlkit.inference.corrupted_images import BackboneRunner, predict_corrupted
from tlkit.inference.predictor import Predictor
from tlkit.samples import Samples
from tlkit.tables import to_markdown

EIGHT = ("darkness", "contrast", "defocus_blur", "gaussian_noise", "jpeg", "pixelate", "rotation", "occlusion")
SLOW = ("fog", "glass_blur")


def forward_passes(predictor: Predictor, samples: Samples, passes: int) -> tuple[float, float]:
    """Return the seconds of so many forward passes over pixels that are in memory, and of choosing the engine."""
    loader = create_loader(
        ImageDataset(samples, transform=build_transform(predictor.facts.preprocess)), batch_size=32, num_workers=0
    )
    batches = [batch.image for batch in loader]
    begin = time.perf_counter()
    runner = BackboneRunner(predictor, batches[0], size=min(32, len(samples)), tolerance=ENGINE_TOLERANCE)
    start = time.perf_counter()
    with torch.inference_mode():
        for _ in range(passes):
            for batch in batches:
                runner(batch)
    return time.perf_counter() - start, start - begin


def cost(run: tlkit.Run, images: int, repeats: int) -> None:
    predictor = tlkit.load_model(run, device="cpu")
    chosen = run.samples.split(run.judged_split()).take(list(range(images)))
    passes = 1 + len(EIGHT) * len(SEVERITIES)
    forward_passes(predictor, chosen, 1)
    ratios = []
    for _ in range(repeats):
        before, setup = forward_passes(predictor, chosen, passes)
        start = time.perf_counter()
        predict_corrupted(predictor, chosen, EIGHT, seed=0, num_workers=0)
        taken = time.perf_counter() - start - setup
        alone = (before + forward_passes(predictor, chosen, passes)[0]) / 2
        ratios.append(taken / alone)
        print(f"engine chosen in {setup:.1f} s", end="; ")
        print(f"{taken:.1f} s against {alone:.1f} s of {passes} passes: ratio {ratios[-1]:.2f}", flush=True)
    side = min(predictor.facts.preprocess.image_size)
    one_pass = alone / passes / images
    print(f"\nmedian ratio {np.median(ratios):.2f}; one forward pass takes {1000 * one_pass:.1f} ms an image\n")
    print("| corruption | ms an image | in forward passes |\n|---|---:|---:|")
    picture = np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)
    for name in CORRUPTIONS:
        corruptor = Corruptor([name], side=side, seed=0)
        start = time.perf_counter()
        for severity in SEVERITIES:
            corruptor(picture, name, severity, sample_id=0)
        spent = (time.perf_counter() - start) / len(SEVERITIES)
        print(f"| {name} | {1000 * spent:.1f} | {spent / one_pass:.2f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="+")
    parser.add_argument("--corruptions", nargs="*", default=list(EIGHT))
    parser.add_argument("--cost", type=int, default=32)
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    if given.cost:
        cost(tlkit.open_run(given.runs[0]), given.cost, given.repeats)
    for run in given.runs if given.corruptions else ():
        print(to_markdown(tlkit.robustness(run, given.corruptions, device="cpu").tables()[:1]), flush=True)


if __name__ == "__main__":
    main()
