"""Reading tar shards: a stream, as WebDataset reads, beside reading each image by its place, in and out of order.

    python benchmarks/shards.py [--images 20000] [--kilobytes 50]

Writes shards of random bytes into a temporary folder. Before each reading the kernel is asked to forget the files.
"""

from __future__ import annotations

import argparse
import io
import os
import tarfile
import tempfile
import time
from pathlib import Path

import numpy as np

from tlkit.data.read import read_bytes
from tlkit.data.tar import _index, list_members


def forget(paths: list[Path]) -> None:
    for path in paths:
        with path.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--kilobytes", type=int, default=50)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["TLKIT_CACHE"] = f"{folder}/cache"
        shards = [Path(folder, f"train-{number}.tar") for number in range(4)]
        content = os.urandom(arguments.kilobytes * 1024)
        names = []
        for number, shard in enumerate(shards):
            with tarfile.open(shard, "w") as tar:
                for image in range(arguments.images // 4):
                    info = tarfile.TarInfo(f"{number}_{image:06d}.jpg")
                    info.size = len(content)
                    tar.addfile(info, io.BytesIO(content))
                    names.append(shard / info.name)

        def stream() -> None:
            for shard in shards:
                with tarfile.open(shard, "r|") as tar:
                    for info in tar:
                        tar.extractfile(info).read()

        def index() -> None:
            for shard in shards:
                list_members(shard)

        def by_place(order) -> None:
            for at in order:
                read_bytes(names[at])

        shuffled = np.random.default_rng(0).permutation(len(names))
        steps = {
            "stream of the tar (tarfile)": stream,
            "headers only, for the index": index,
            "by place, in order": lambda: by_place(range(len(names))),
            "by place, shuffled over all shards": lambda: by_place(shuffled),
        }
        for shard in shards:
            status = shard.stat()
            _index(str(shard), status.st_size, status.st_mtime_ns)
        for name, step in steps.items():
            forget(shards)
            start = time.perf_counter()
            step()
            seconds = time.perf_counter() - start
            print(
                f"{name}: {len(names) / seconds:,.0f} images/s, {len(names) * len(content) / seconds / 2**20:,.0f} MB/s"
            )


if __name__ == "__main__":
    main()
