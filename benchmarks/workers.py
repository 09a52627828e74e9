"""Memory of worker processes with a long table of samples.

    python benchmarks/workers.py [--rows 1000000] [--workers 4] [--start spawn]

Makes a table of synthetic rows (no files), starts a loader's workers on it, reads all rows in each, and prints the
`private` memory of each worker (Linux): memory that no other process shares, the cost of one more worker.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

import numpy as np
import pandas as pd
from torch.utils.data import DataLoader, Dataset

from tlkit.data.augment.transforms import build_transform
from tlkit.data.loading.dataset import ImageDataset
from tlkit.preprocess import Preprocess
from tlkit.samples import Samples


def memory_mb() -> dict[str, float]:
    found = {"private": 0.0}
    for line in Path("/proc/self/smaps_rollup").read_text().splitlines()[1:]:
        name, amount = line.split()[:2]
        if name == "Rss:":
            found["rss"] = int(amount) / 1024
        if name.startswith("Private_"):
            found["private"] += int(amount) / 1024
    return found


class Touch(Dataset):
    """A dataset that reads the path and the target of a block of rows, without decoding."""

    def __init__(self, inner, block: int) -> None:
        self.inner, self.block = inner, block

    def __len__(self) -> int:
        return (len(self.inner) + self.block - 1) // self.block

    def __getitem__(self, at: int):
        rows = range(at * self.block, min((at + 1) * self.block, len(self.inner)))
        for row in rows:
            self.inner.path_and_target(row)
        return os.getpid(), memory_mb()


class AsList(list):
    """The usual way, for comparison: a Python list of (path, target)."""

    def path_and_target(self, row: int):
        path, target = self[row]
        return f"{path}", target


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--start", choices=("fork", "spawn"), default="fork")
    arguments = parser.parse_args()
    number = np.arange(arguments.rows)
    paths = [f"train/class_{n % 1000:04d}/image_{n:09d}.jpg" for n in number]
    labels = [f"class_{n % 1000:04d}" for n in number]
    table = pd.DataFrame({"path": paths, "label": labels, "split": "train", "digest": ""}, dtype="str")
    samples = Samples(Path(), tuple(sorted(set(labels))), table)
    ours = ImageDataset(samples, transform=build_transform(Preprocess()))
    usual = AsList(zip(paths, samples.targets.tolist(), strict=True))
    del paths, labels, table
    for name, dataset in (("tlkit", ours), ("list of tuples", usual)):
        start = time.perf_counter()
        loader = DataLoader(
            Touch(dataset, 2000),
            batch_size=None,
            num_workers=arguments.workers,
            multiprocessing_context=arguments.start,
        )
        last = dict(loader)  # by process
        each = ", ".join(f"{figures['private']:.0f}" for figures in last.values())
        print(
            f"{name}: {arguments.rows:,} rows, private MB of each worker: {each} ({time.perf_counter() - start:.0f} s)"
        )


if __name__ == "__main__":
    main()
