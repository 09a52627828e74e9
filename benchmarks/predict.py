"""JPEGs to probabilities: `tlkit predict` with each engine, beside an eager loop of torchvision and timm.

    python benchmarks/predict.py RUN FOLDER... [--times 3] [--copies 1] [--ways NAME ...]

RUN is a run of a network that timm makes from its stored architecture alone; FOLDER holds JPEGs, each of which is
predicted `--copies` times under another name (a link). Every way runs in a process of its own, imports included, in
alternating order. It prints medians of CPU and wall seconds of the process and its workers, and of peak memory, and
the ratios of CPU and wall seconds to the eager loop's.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def eager(run: str, folder: str) -> None:
    """Predict with a plain loop: torchvision's decoding and transforms, timm's network, batches of 32, no workers."""
    import tlkit.torchvision_cure  # noqa: F401  torchvision's wheel beside a CPU build of torch

    import timm
    import torch
    from PIL import Image
    from torchvision import transforms

    from tlkit.models.model_files import read_model_facts

    facts = read_model_facts(Path(run, "model"))
    network = timm.create_model(facts.architecture, num_classes=len(facts.classes)).eval()
    size, share = facts.preprocess.image_size, facts.preprocess.crop_pct
    transform = transforms.Compose(
        [
            transforms.Resize(round(min(size) / share), interpolation=transforms.InterpolationMode.BICUBIC),
            transforms.CenterCrop(size),
            transforms.ToTensor(),
            transforms.Normalize(facts.preprocess.mean, facts.preprocess.std),
        ]
    )
    files = sorted(Path(folder).iterdir())
    with torch.inference_mode():
        for start in range(0, len(files), 32):
            images = [transform(Image.open(file).convert("RGB")) for file in files[start : start + 32]]
            torch.softmax(network(torch.stack(images)), dim=1)


def measure(command: list[str]) -> dict[str, float]:
    """Return seconds and MB of a command and its children."""
    wall = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(command)} failed with {os.waitstatus_to_exitcode(status)}")
    return {"cpu": usage.ru_utime + usage.ru_stime, "wall": time.perf_counter() - wall, "mb": usage.ru_maxrss / 1000}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("run")
    parser.add_argument("folders", nargs="+")
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument("--copies", type=int, default=1)
    parser.add_argument("--ways", nargs="+", help="those to run: the eager loop, torch, onnxruntime")
    parser.add_argument("--eager", action="store_true")
    options = parser.parse_args()
    if options.eager:
        eager(options.run, options.folders[0])
        return
    with tempfile.TemporaryDirectory() as made:
        links = Path(made, "images")
        links.mkdir()
        found = sorted(file for folder in options.folders for file in Path(folder).rglob("*.jpg") if file.is_file())
        for copy in range(options.copies):
            for number, file in enumerate(found):
                (links / f"{copy}-{number:06d}.jpg").symlink_to(file.resolve())
        tlkit = [sys.executable, "-m", "tlkit", "predict", options.run, str(links), "--out"]
        ways = {
            "eager": [sys.executable, __file__, options.run, str(links), "--eager"],
            "torch": [*tlkit, f"{made}/torch.csv", "--engine", "torch"],
            "onnxruntime": [*tlkit, f"{made}/onnxruntime.csv", "--engine", "onnxruntime"],
        }
        ways = {name: command for name, command in ways.items() if name in (options.ways or ways)}
        runs: dict[str, list[dict[str, float]]] = {name: [] for name in ways}
        for _ in range(options.times):
            for name, command in ways.items():
                Path(made, f"{name}.csv").unlink(missing_ok=True)
                runs[name].append(measure(command))
                print(name, json.dumps(runs[name][-1]), file=sys.stderr, flush=True)
    middle = {
        name: {key: statistics.median(one[key] for one in some) for key in some[0]} for name, some in runs.items()
    }
    print(f"{len(found) * options.copies:,} images; medians of {options.times}")
    for name, one in middle.items():
        by = {key: middle["eager"][key] / one[key] for key in ("cpu", "wall")} if "eager" in middle else {}
        ratios = "".join(f"  {key} ratio {ratio:.2f}" for key, ratio in by.items())
        print(f"{name:12} {one['cpu']:7.1f} s CPU {one['wall']:7.1f} s wall {one['mb']:6.0f} MB{ratios}")


if __name__ == "__main__":
    main()
