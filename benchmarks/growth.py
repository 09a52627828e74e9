"""A frozen fit from 1,000 to 100,000 images: seconds an image, and memory.

    python benchmarks/growth.py [--sizes 1000 10000 100000] [--classes 10] [--pixels 32] [--model test_resnet.r160_in1k]

Images are made: small JPEGs of a colour by class with noise, each another picture. For each size a process of its own
fits the frozen recipe with an empty cache (check of every file, duplicates, features, head, evaluation, report). It
prints wall and CPU seconds, ms an image, and the peak memory of the process above that of one that has only imported
the libraries.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

SHARES = (("train", 0.7), ("val", 0.1), ("test", 0.2))


def make_images(folder: Path, count: int, classes: int, pixels: int) -> None:
    """Write `count` JPEGs into FOLDER/SPLIT/CLASS."""
    from PIL import Image

    rng = np.random.default_rng(0)
    colors = rng.uniform(60, 190, (classes, 3))
    splits = rng.choice(len(SHARES), count, p=[share for _, share in SHARES])
    for number in range(count):
        code, split = number % classes, SHARES[splits[number]][0]
        target = folder / split / f"class_{code:02}"
        if number < 100 * classes:
            target.mkdir(parents=True, exist_ok=True)
        coarse = rng.normal(colors[code], 40, (8, 8, 3)).clip(0, 255).astype(np.uint8)
        Image.fromarray(coarse).resize((pixels, pixels)).save(target / f"{number:06}.jpg", quality=90)


def fit_here(folder: Path, options: argparse.Namespace) -> None:
    """Fit in this process and print seconds and memory as JSON."""
    import tlkit
    from tlkit.training import fit as _  # noqa: F401

    imported = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    recipe = {
        "recipe_version": 1,
        "name": "growth",
        "data": {"root": str(folder), "image_size": options.pixels, "batch_size": 32},
        "augment": "none",
        "model": {"name": options.model, "weights": "none"},
        "strategy": "frozen",
        "train": {"epochs": 3, "learning_rate": 0.002},
    }
    path = folder.parent / "recipe.yaml"
    path.write_text(json.dumps(recipe))
    begun, worked = time.perf_counter(), time.process_time()
    run = tlkit.fit(path, runs_dir=folder.parent / "runs")
    seconds, cpu = time.perf_counter() - begun, time.process_time() - worked
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 - imported
    print(json.dumps({"s": seconds, "cpu": cpu, "mb": peak, "accuracy": run.evaluate().accuracy.value}))


def main() -> None:
    """Print a line for each size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1000, 10_000, 100_000])
    parser.add_argument("--classes", type=int, default=10)
    parser.add_argument("--pixels", type=int, default=32)
    parser.add_argument("--model", default="test_resnet.r160_in1k")
    parser.add_argument("--fit", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.fit:
        fit_here(options.fit, options)
        return
    print(f"{'images':>8} {'wall s':>8} {'CPU s':>8} {'ms an image':>12} {'memory MB':>10} accuracy")
    for size in options.sizes:
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch, "images")
            make_images(folder, size, options.classes, options.pixels)
            environment = {**os.environ, "TLKIT_CACHE": str(Path(scratch, "cache"))}
            command = [sys.executable, __file__, *sys.argv[1:], "--fit", str(folder)]
            done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
            if done.returncode:
                raise SystemExit(done.stderr[-2000:])
            one = json.loads(done.stdout.splitlines()[-1])
        each = 1000 * one["s"] / size
        print(
            f"{size:8,} {one['s']:8.1f} {one['cpu']:8.1f} {each:12.2f} {one['mb']:10.0f} {one['accuracy']:.3f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
