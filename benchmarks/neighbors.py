"""Nearest neighbors: blocked products that serve both rows of a pair, beside one search a row, scikit-learn and faiss.

    python benchmarks/neighbors.py [--images 20000] [--width 1280] [--k 50] [--times 3] [--sklearn] [--faiss PYTHON]

Simulated features: 100 clusters of nonnegative numbers. Each search runs in a process of its own, in alternating order.
It prints the median CPU and wall seconds, their ratio, what the process's peak memory grows by during the search, and
the share of the nearest that 200 rows share with an exact search. The plain search multiplies every block of 512 rows
with every block of 4,096 others and takes the k largest of each. PYTHON is an interpreter with numpy and faiss-cpu;
its exact index and an inverted file of 4 √N cells, of which 16 are searched, run in it.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator

import numpy as np

CELLS_SEARCHED = 16
ROWS_CHECKED = 200


def plain(x: np.ndarray, k: int) -> Iterator[np.ndarray]:
    """Yield the similarities (n, k) of each block's nearest rows."""

    def unit(rows: slice) -> np.ndarray:
        norms = np.linalg.norm(x[rows], axis=1, keepdims=True)
        return np.asarray(x[rows] / np.where(norms > 0, norms, 1.0), dtype=np.float32)

    for start in range(0, len(x), 512):
        own, best = unit(slice(start, start + 512)), np.zeros((min(512, len(x) - start), 0), np.float32)
        for at in range(0, len(x), 4096):
            near = own @ unit(slice(at, at + 4096)).T
            near[np.arange(start, start + len(own))[:, None] == np.arange(at, at + near.shape[1])] = -np.inf
            near = np.concatenate([best, near], axis=1)
            best = np.take_along_axis(near, np.argpartition(near, -k, axis=1)[:, -k:], axis=1)
        yield best


def search(name: str, x: np.ndarray, k: int) -> np.ndarray:
    """Return the similarities of the k nearest, (N, k), ascending; faiss scales the features to length 1 in place."""
    if name == "plain":
        found = list(plain(x, k))
    elif name.startswith("faiss"):
        import faiss

        faiss.normalize_L2(x)
        index = faiss.IndexFlatIP(x.shape[1])
        if name == "faiss-ivf":
            index = faiss.IndexIVFFlat(index, x.shape[1], int(4 * len(x) ** 0.5), faiss.METRIC_INNER_PRODUCT)
            index.train(x)
            index.nprobe = CELLS_SEARCHED
        index.add(x)
        found = [index.search(x, k + 1)[0][:, 1:]]  # without the row itself
    elif name == "blocks":
        from tlkit.stats.nearest_neighbors import iter_nearest_neighbors

        found = [near for _, _, near in iter_nearest_neighbors(x, apart=np.arange(len(x)), k=k)]
    else:
        from sklearn.neighbors import NearestNeighbors

        found = [1 - NearestNeighbors(n_neighbors=k, metric="cosine", algorithm="brute").fit(x).kneighbors()[0]]
    return np.sort(np.concatenate(found), axis=1)


def measure(name: str, images: int, width: int, k: int) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(images, width)).astype(np.float32)
    x += rng.normal(size=(100, width)).astype(np.float32)[rng.integers(0, 100, images)] * 0.5
    np.maximum(x, 0, out=x)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    wall, cpu = time.perf_counter(), time.process_time()
    found = search(name, x, k)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1000
    same = recall(x, found)
    print(json.dumps({"wall": wall, "cpu": cpu, "mb": grown, "sum": float(found.sum(dtype=np.float64)), "same": same}))


def recall(x: np.ndarray, found: np.ndarray) -> float:
    """Return the share of the k nearest of some rows that are at least as near as the k-th of an exact search."""
    rows = np.linspace(0, len(x) - 1, min(ROWS_CHECKED, len(x))).astype(int)
    lengths = np.linalg.norm(x, axis=1)
    near = (x[rows] @ x.T) / lengths[rows][:, None] / lengths
    near[np.arange(len(rows)), rows] = -np.inf
    kth = np.partition(near, -found.shape[1], axis=1)[:, -found.shape[1]]
    return float((found[rows] >= kth[:, None] - 1e-5).mean())


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--width", type=int, default=1280)
    parser.add_argument("--k", type=int, default=50)
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument("--sklearn", action="store_true")
    parser.add_argument("--faiss", help="interpreter with faiss-cpu")
    parser.add_argument("--one")
    options = parser.parse_args()
    size = [options.images, options.width, options.k]
    if options.one:
        measure(options.one, *size)
        return
    names = ["plain", "blocks", *(["sklearn"] if options.sklearn else [])]
    names += ["faiss", "faiss-ivf"] if options.faiss else []
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    for _ in range(options.times):
        for name in names:
            python = options.faiss if name.startswith("faiss") else sys.executable
            command = [python, __file__, "--one", name]
            for option, value in zip(("--images", "--width", "--k"), size, strict=True):
                command += [option, str(value)]
            runs[name].append(json.loads(subprocess.run(command, check=True, capture_output=True).stdout))
    middle = {name: {key: statistics.median(run[key] for run in runs[name]) for key in runs[name][0]} for name in names}
    print(f"{size[0]:,} images, {size[1]} features, k = {size[2]}; medians of {options.times}")
    for name, found in middle.items():
        print(
            f"{name:9} {found['cpu']:7.1f} s CPU  {found['wall']:7.1f} s wall  + {found['mb']:5.0f} MB  "
            f"CPU ratio {middle['plain']['cpu'] / found['cpu']:.2f}  "
            f"mean similarity {found['sum'] / size[0] / size[2]:.7f}  nearest found {found['same']:.4f}"
        )


if __name__ == "__main__":
    main()
