"""Prediction in parts: rows lost or doubled by kills, memory by the number of images, and what a second process brings.

    python benchmarks/batch_prediction.py --images 5000 --kills 10

Tiny images (32 px, in tar shards of 500) go through `tlkit predict --shard` with a small network. Processes are ended
by SIGKILL at random moments and started again until they end by themselves. The rows are compared with those of one
plain `tlkit predict`. Peak memory is that of the process, by the kernel (`ru_maxrss`).
"""

from __future__ import annotations

import argparse
import io
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

MEASURE = """
import resource, sys
from tlkit.cli.app import main
try:
    main()
finally:
    print("PEAK", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)
"""


def write_shards(folder: Path, count: int) -> list[Path]:
    """Write JPEGs of noise into tar shards."""
    rng, shards = np.random.default_rng(0), []
    pictures = []
    for _ in range(200):
        buffer = io.BytesIO()
        Image.fromarray(rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)).save(buffer, "JPEG")
        pictures.append(buffer.getvalue())
    for first in range(0, count, 500):
        shards.append(folder / f"shard-{first // 500:04d}.tar")
        with tarfile.open(shards[-1], "w") as tar:
            for number in range(first, min(first + 500, count)):
                info = tarfile.TarInfo(f"{number:07d}.jpg")
                info.size = len(pictures[number % 200])
                tar.addfile(info, io.BytesIO(pictures[number % 200]))
    return shards


def start(cwd: Path, *arguments: object) -> subprocess.Popen[str]:
    """Start the command, on one core, with its peak memory as the last line of stderr."""
    here = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[1])}
    core = arguments[0]
    command = [sys.executable, "-c", MEASURE, "-q", "predict", *map(str, arguments[1:])]
    pinned = ["taskset", "-c", str(core), *command] if core is not None and shutil.which("taskset") else command
    return subprocess.Popen(pinned, cwd=cwd, env=here, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def finish(process: subprocess.Popen[str]) -> float:
    """Wait for a process; return its peak memory in MB."""
    _, said = process.communicate()
    assert process.returncode == 0, said
    return int(said.rsplit("PEAK", 1)[1]) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--model", default="test_resnet", help="a network of timm; its weights are random")
    options = parser.parse_args()

    import tlkit.torchvision_cure  # noqa: F401

    import timm
    import torch
    from safetensors.torch import save_file

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        torch.manual_seed(0)
        save_file(timm.create_model(options.model).state_dict(), folder / "w.safetensors")
        shards = write_shards(folder, options.images)
        model = (options.model, "--weights", "file:w.safetensors")
        figures: dict[str, object] = {"images": options.images}

        begun = time.perf_counter()
        figures["plain: peak MB"] = finish(start(folder, 0, *model, *shards, "--out", "plain.parquet"))
        figures["plain: s"] = time.perf_counter() - begun

        rng, kills = random.Random(0), 0
        begun = time.perf_counter()
        while True:
            process = start(folder, 0, *model, *shards, "--out", "parts", "--shard", "0/1", "--part-size", "128")
            if kills < options.kills:
                before = len(list((folder / "parts").glob("part-*")))
                while process.poll() is None and len(list((folder / "parts").glob("part-*"))) < before + 1:
                    time.sleep(0.01)
                time.sleep(rng.random())
                if process.poll() is None:
                    process.send_signal(signal.SIGKILL)
                    kills += 1
                    process.communicate()
                    continue
            peak = finish(process)
            break
        figures |= {"kills": kills, "killed: s": time.perf_counter() - begun, "shard: peak MB": peak}
        rows = pd.concat([pd.read_parquet(file) for file in sorted((folder / "parts").glob("part-*.parquet"))])
        plain = pd.read_parquet(folder / "plain.parquet")
        figures["rows lost"] = len(set(plain["path"]) - set(rows["path"]))
        figures["rows doubled"] = int(rows["path"].duplicated().sum())
        proba = [column for column in plain if column.startswith("proba_")]
        figures["largest difference of a probability"] = float(
            np.abs(plain[proba].to_numpy() - rows[proba].to_numpy()).max()
        )

        print(json.dumps(figures, indent=2), flush=True)
        few = shards[: max(1, len(shards) // 20)]
        figures = {}
        figures["shard of a 20th: peak MB"] = finish(start(folder, 0, *model, *few, "--out", "few", "--shard", "0/1"))
        for count in (1, 2):
            begun = time.perf_counter()
            running = [
                start(
                    folder,
                    core,
                    *model,
                    *shards,
                    "--out",
                    f"of-{count}",
                    "--shard",
                    f"{core}/{count}",
                    "--part-size",
                    "256",
                )
                for core in range(count)
            ]
            for process in running:
                finish(process)
            figures[f"{count} processes, a core each: s"] = time.perf_counter() - begun
        print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
