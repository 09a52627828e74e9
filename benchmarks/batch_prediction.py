"""Prediction in parts: rows lost or doubled by kills, memory by the number of images, a second worker, Ray.

    python benchmarks/batch_prediction.py --images 200000 --kills 10    kills, rows, memory at a 20th of them and at all
    python benchmarks/batch_prediction.py --images 50000 --timing       one worker and two, one thread and one core each
    python benchmarks/batch_prediction.py --images 20000 --ray          the rows of Ray Data on this machine

Images of 16 px in tar shards of 5,000 go through `tlkit predict FILE --shard` with an exported linear classifier
(tiny_export.py), or with `--file` through any exported file. Processes are ended by SIGKILL at random moments, and
started again until they end by themselves. Each row is compared, to the bit, with the probabilities of its picture.
Peak memory is that of the process, by the kernel (VmHWM).
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
import pyarrow.parquet as pq
from tiny_export import tiny_jpeg, write_tiny

from tlkit.exported.exported_predictor import load_exported

PICTURES = 200
SHARD = 5000
MEASURE = """
import sys
from pathlib import Path
from tlkit.cli.app import main
try:
    main()
finally:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    print("PEAK", line.split()[1], file=sys.stderr)
"""


def write_shards(folder: Path, count: int, pictures: list[bytes]) -> list[Path]:
    """Write tar shards in which image number n is picture n modulo their number."""
    shards = []
    for first in range(0, count, SHARD):
        shards.append(folder / f"shard-{first // SHARD:04d}.tar")
        with tarfile.open(shards[-1], "w") as tar:
            for number in range(first, min(first + SHARD, count)):
                content = pictures[number % len(pictures)]
                info = tarfile.TarInfo(f"{number:07d}.jpg")
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
    return shards


def start(cwd: Path, core: int | None, *arguments: object) -> subprocess.Popen[str]:
    """Start the command, on one core, or on all; its peak memory is the last line of stderr."""
    paths = os.pathsep.join(filter(None, (str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", ""))))
    here = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": paths}
    command = [sys.executable, "-c", MEASURE, "-q", "predict", *map(str, arguments)]
    pinned = ["taskset", "-c", str(core), *command] if core is not None and shutil.which("taskset") else command
    return subprocess.Popen(pinned, cwd=cwd, env=here, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def finish(process: subprocess.Popen[str]) -> float:
    """Wait for a process; return its peak memory in MB."""
    _, said = process.communicate()
    assert process.returncode == 0, said
    return int(said.rsplit("PEAK", 1)[1]) / 1024


def parts_of(folder: Path) -> list[Path]:
    return sorted(folder.glob("part-*.parquet"))


def compare_rows(folder: Path, count: int, expected: np.ndarray) -> dict[str, object]:
    """Rows lost, doubled, without a prediction, and with other probabilities than those of their picture."""
    numbers, wrong, unread = [], 0, 0
    for file in parts_of(folder):
        table = pd.read_parquet(file)
        found = table["path"].str.slice(-11, -4).astype(int).to_numpy()
        proba = table[[name for name in table if name.startswith("proba_")]].to_numpy()
        wrong += int((proba != expected[found % len(expected)]).any(axis=1).sum())
        unread += int(table["error"].notna().sum())
        numbers.append(found)
    seen = np.concatenate(numbers)
    return {
        "rows": len(seen),
        "rows lost": count - len(np.unique(seen)),
        "rows doubled": len(seen) - len(np.unique(seen)),
        "without prediction": unread,
        "with other bits": wrong,
    }


def killed(folder: Path, file: Path, shards: list[Path], kills: int, count: int, part: int) -> dict[str, object]:
    """Predict with kills at random moments of the whole job."""
    rng, done, starts = random.Random(0), 0, 0
    moments = sorted(rng.randrange(1, max(2, count // part - 1)) for _ in range(kills))  # parts that are done by then
    begun = time.perf_counter()
    torn = 0
    while True:
        starts += 1
        command = (file, *shards, "--out", "parts", "--shard", "0/1", "--part-size", part)
        process = start(folder, None, *command)
        if done == kills:
            finish(process)
            break
        while process.poll() is None and len(parts_of(folder / "parts")) < moments[done]:
            time.sleep(0.005)
        time.sleep(rng.random() * 0.2)
        assert process.poll() is None, process.communicate()[1]
        process.send_signal(signal.SIGKILL)
        process.communicate()
        done += 1
        torn += sum(not is_whole(one) for one in parts_of(folder / "parts"))
    return {"kills": done, "starts": starts, "torn parts": torn, "seconds": round(time.perf_counter() - begun, 1)}


def is_whole(file: Path) -> bool:
    try:
        return pq.read_metadata(file).num_rows > 0
    except Exception:
        return False


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--part-size", type=int, default=2048)
    parser.add_argument("--file", type=Path, help="an exported file; default: a linear classifier of 16 px")
    parser.add_argument("--timing", action="store_true")
    parser.add_argument("--rounds", type=int, default=3, help="of one worker and two, in turn")
    parser.add_argument("--ray", action="store_true")
    given = parser.parse_args()
    figures: dict[str, object] = {"images": given.images, "load average": round(os.getloadavg()[0], 1)}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        file = given.file.absolute() if given.file else write_tiny(folder)[0]
        pictures = [tiny_jpeg(seed, side=16) for seed in range(PICTURES)]
        predictor = load_exported(file, workers=1)
        expected = np.stack([predictor.probabilities_of(content) for content in pictures])
        shards = write_shards(folder, given.images, pictures)
        if given.timing:
            figures |= timing(folder, file, shards, given)
        elif given.ray:
            figures |= on_ray(folder, file, shards, given, expected)
        else:
            figures |= killed(folder, file, shards, given.kills, given.images, given.part_size)
            figures |= compare_rows(folder / "parts", given.images, expected)
            print(json.dumps(figures, indent=2), flush=True)
            few = shards[: max(1, len(shards) // 20)]
            figures = {}
            for what, some in (("a 20th", few), ("all", shards)):
                out = f"of {what}"
                figures[f"peak MB, {what}"] = round(
                    finish(start(folder, None, file, *some, "--out", out, "--shard", "0/1")), 1
                )
            figures |= compare_rows(folder / "of all", given.images, expected)
    print(json.dumps(figures, indent=2))


def timing(folder: Path, file: Path, shards: list[Path], given) -> dict[str, object]:
    """Seconds of one worker and of two, one thread and one core each, in turn."""
    found: dict[int, list[float]] = {1: [], 2: []}
    for turn in range(given.rounds):
        for count in (1, 2) if turn % 2 else (2, 1):
            begun = time.perf_counter()
            running = [
                start(folder, core, file, *shards, "--out", f"of-{count}-{turn}", "--shard", f"{core}/{count}")
                for core in range(count)
            ]
            for process in running:
                finish(process)
            found[count].append(round(time.perf_counter() - begun, 2))
            shutil.rmtree(folder / f"of-{count}-{turn}")
    ratio = float(np.median(found[1]) / np.median(found[2]))
    return {"one worker: s": found[1], "two workers: s": found[2], "ratio of the medians": round(ratio, 2)}


def on_ray(folder: Path, file: Path, shards: list[Path], given, expected: np.ndarray) -> dict[str, object]:
    """Rows of Ray Data, compared with those of a shard."""
    seconds = {}
    for out, how in (("shard", ("--shard", "0/1")), ("ray", ("--ray", "local"))):
        begun = time.perf_counter()
        finish(start(folder, None, file, *shards, "--out", out, "--part-size", given.part_size, *how))
        seconds[f"{out}: s"] = round(time.perf_counter() - begun, 1)
    equal = [
        pd.read_parquet(one).equals(pd.read_parquet(folder / "ray" / one.name)) for one in parts_of(folder / "shard")
    ]
    return {
        **seconds,
        "parts": len(equal),
        "equal parts": sum(equal),
        **compare_rows(folder / "ray", given.images, expected),
    }


if __name__ == "__main__":
    main()
