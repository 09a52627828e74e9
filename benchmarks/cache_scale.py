"""Time and memory of the feature cache from 1,000 to 100,000 images, with synthetic features.

Usage: python benchmarks/cache_scale.py [--width 512] [--sizes 1000 10000 100000]
       python benchmarks/cache_scale.py --uses [--sizes 1000 10000]   # users of the features: neighbors and heads

For each size one process writes the features block by block, as an extraction does; another verifies all blocks, reads
the features in a shuffled order and goes through them batch by batch. Memory is the peak of anonymous pages (RssAnon)
above that at the start; pages mapped from files do not count, since the system can reclaim them.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

from tlkit.analysis.neighbor_classes import neighbor_class_shares
from tlkit.features import FeatureCache, Provenance
from tlkit.features.heads import fit_head
from tlkit.preprocess import Preprocess

MADE_BY = Provenance("synthetic", "00", "pooled", Preprocess(), "none", "none", "float32")
ROWS = 256
USES = ("neighbors", "ridge", "logistic")
CLASSES = tuple("abcdefghij")


def anonymous_mb() -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("RssAnon"))


def watch(peak: list[float]) -> None:
    while True:
        peak[0] = max(peak[0], anonymous_mb())
        time.sleep(0.01)


def step(what: str, folder: str, n: int, width: int) -> None:
    keys = [MADE_BY.key(str(i)) for i in range(n)]
    entry = FeatureCache(folder).entry(MADE_BY)
    start_mb = anonymous_mb()
    peak = [start_mb]
    threading.Thread(target=watch, args=(peak,), daemon=True).start()
    start = time.perf_counter()
    if what == "write":
        rng = np.random.default_rng(0)
        for at in range(0, n, ROWS):
            part = keys[at : at + ROWS]
            entry.add(part, rng.standard_normal((len(part), width), dtype=np.float32))
    else:
        order = np.random.default_rng(1).permutation(n)
        assert entry.missing(keys) == []
        x = entry.read([keys[i] for i in order])
        total = 0.0
        for at in range(0, n, 1024):
            total += float(x[at : at + 1024].sum())
        assert np.isfinite(total)
    print(json.dumps({"s": time.perf_counter() - start, "mb": peak[0] - start_mb}))


def use(what: str, n: int, width: int) -> None:
    rng = np.random.default_rng(0)
    y = np.arange(n) % 10
    x = rng.standard_normal((n, width), dtype=np.float32) + rng.standard_normal((10, width), dtype=np.float32)[y] * 0.1
    neighbor_class_shares(x[:20], y[:20], np.arange(20) % 5, classes=10, k=5)  # imports
    fit_head(x[:60], y[:60], kind="ridge", classes=CLASSES)
    start_mb = anonymous_mb()
    peak = [start_mb]
    threading.Thread(target=watch, args=(peak,), daemon=True).start()
    start = time.process_time()
    if what == "neighbors":
        neighbor_class_shares(x, y, np.arange(n) % 5, classes=10, k=50)
    else:
        fit_head(x, y, kind=what, classes=CLASSES)
    print(json.dumps({"s": time.process_time() - start, "mb": peak[0] - start_mb}))


def print_uses(sizes: list[int], width: int) -> None:
    print("| images | what | CPU s | ms per 1,000 | memory MB | features themselves MB |")
    print("|---|---|---|---|---|---|")
    for what in USES:
        for n in sizes:
            command = [sys.executable, __file__, "--width", str(width), "--step", what, "", str(n)]
            found = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
            cells = (f"{n:,}", what, f"{found['s']:.1f}", f"{1e6 * found['s'] / n:.0f}", f"{found['mb']:.0f}")
            print(f"| {' | '.join(cells)} | {4e-6 * n * width:.0f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    parser.add_argument("--step", nargs=3, help=argparse.SUPPRESS)
    parser.add_argument("--uses", action="store_true")
    given = parser.parse_args()
    if given.step and given.step[0] in USES:
        use(given.step[0], int(given.step[2]), given.width)
        return
    if given.uses:
        print_uses(given.sizes, given.width)
        return
    if given.step:
        step(given.step[0], given.step[1], int(given.step[2]), given.width)
        return
    print("| images | write s | ms per 1,000 | memory MB | read s | ms per 1,000 | memory MB |")
    print("|---|---|---|---|---|---|---|")
    for n in given.sizes:
        with tempfile.TemporaryDirectory() as folder:
            cells = []
            for what in ("write", "read"):
                command = [sys.executable, __file__, "--width", str(given.width), "--step", what, folder, str(n)]
                found = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
                cells += [f"{found['s']:.1f}", f"{1e6 * found['s'] / n:.0f}", f"{found['mb']:.0f}"]
        print(f"| {n:,} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
