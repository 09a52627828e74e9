"""Speed of reading tar shards: as a stream, as WebDataset does, and by offset, in order, shuffled and buffered.

    python benchmarks/shards.py [--images 20000] [--kilobytes 50] [--buffer 1000]

Writes shards of random bytes into a temporary folder. Before each step the files are dropped from the page cache, as
where shards are larger than the memory. `read` is the amount read from disk, in multiples of the images' size.
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
import pandas as pd

from tlkit.data.sources.read_bytes import read_bytes
from tlkit.data.sources.tar_files import list_members
from tlkit.data.sources.tar_stream import ReadAhead, TarStream
from tlkit.samples import Samples


def forget(paths: list[Path]) -> None:
    for path in paths:
        with path.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def read_from_disk() -> int:
    (line,) = [line for line in Path("/proc/self/io").read_text().splitlines() if line.startswith("read_bytes")]
    return int(line.split()[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--kilobytes", type=int, default=50)
    parser.add_argument("--buffer", type=int, default=1000)
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

        def by_offset(order) -> None:
            for at in order:
                read_bytes(names[at])

        table = pd.DataFrame({"path": [str(name.relative_to(folder)) for name in names]}, dtype="str")
        samples = Samples(Path(folder), ("a",), table.assign(label="a", split="train", digest=""))
        places = TarStream.of(samples, buffer=arguments.buffer)

        def buffered(ahead) -> None:
            for at in places.order(0, seed=0):
                if ahead is not None:
                    ahead(0, at)
                read_bytes(names[at])

        shuffled = np.random.default_rng(0).permutation(len(names))
        steps = {
            "stream of the tar (tarfile)": stream,
            "headers only, for the index": index,
            "by offset, in order": lambda: by_offset(range(len(names))),
            "by offset, shuffled over all shards": lambda: by_offset(shuffled),
            f"by offset, shuffled within {arguments.buffer}": lambda: buffered(None),
            f"the same, read ahead (data.shuffle_buffer: {arguments.buffer})": lambda: buffered(ReadAhead(places)),
        }
        for name, step in steps.items():
            forget(shards)
            start, before = time.perf_counter(), read_from_disk()
            step()
            seconds, total = time.perf_counter() - start, len(names) * len(content)
            print(
                f"{name}: {len(names) / seconds:,.0f} images/s, {total / seconds / 2**20:,.0f} MB/s, "
                f"read {(read_from_disk() - before) / total:.2f}"
            )


if __name__ == "__main__":
    main()
