"""Scaling of the doctor with the number of files: scan of a folder, search for duplicates, images per second.

    python benchmarks/scan.py [--scan-only] [FILES] [FOLDER]...

The files are hard links to 500 small JPEGs, in 100 class folders: a scan opens no file, so links take as long as FILES
separate files, and a million of them are made in a minute. Each count runs in a process of its own, for its peak
memory. CPU seconds are those of all threads. The search among 1,000,000 pictures needs several gigabytes; --scan-only
skips it.
"""

import io
import multiprocessing
import os
import resource
import shutil
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from tlkit.analysis.data_doctor import data_doctor
from tlkit.data.checks.duplicates import find_duplicates
from tlkit.data.checks.fingerprints import Fingerprints
from tlkit.data.sources.folder import scan_folder

FOLDERS, INODES = 100, 500


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def make_files(root: Path, count: int) -> None:
    pool = root / ".pool"
    pool.mkdir()
    generator = np.random.default_rng(0)
    for number in range(INODES):
        buffer = io.BytesIO()
        Image.fromarray(generator.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(buffer, "JPEG")
        (pool / f"{number}.jpg").write_bytes(buffer.getvalue())
    for label in range(FOLDERS):
        folder = root / f"class{label:02d}"
        folder.mkdir()
        for number in range(label, count, FOLDERS):
            os.link(pool / f"{number % INODES}.jpg", folder / f"{number:07d}.jpg")


def scan(root: Path, count: int) -> None:
    before, start, cpu = peak_mb(), time.perf_counter(), time.process_time()
    samples = scan_folder(root)
    took, busy = time.perf_counter() - start, time.process_time() - cpu
    assert len(samples) == count
    print(
        f"scan of {count:,} files: {took:.2f} s, {busy:.2f} CPU s, peak memory {peak_mb():.0f} MB, "
        f"of which {before:.0f} MB before the scan",
        flush=True,
    )


def search(count: int) -> None:
    generator = np.random.default_rng(0)
    hashes = generator.integers(0, 2**64, count, dtype=np.uint64)
    thumbnails = generator.integers(0, 256, (count, 16, 16, 3), dtype=np.uint8)
    start = time.process_time()
    find_duplicates(Fingerprints(np.arange(count).astype(str), hashes, np.zeros_like(hashes), thumbnails))
    took = time.process_time() - start
    print(f"search for duplicates among {count:,}: {took:.1f} CPU s, peak memory {peak_mb():.0f} MB", flush=True)


def alone(function, *arguments) -> None:
    process = multiprocessing.get_context("spawn").Process(target=function, args=arguments)
    process.start()
    process.join()
    assert process.exitcode == 0


def main() -> None:
    arguments = [argument for argument in sys.argv[1:] if argument != "--scan-only"]
    most = int(arguments[0]) if arguments else 100_000
    for count in (most // 100, most // 10, most):
        root = Path(tempfile.mkdtemp(prefix="tlkit-scan-"))
        try:
            make_files(root, count)
            for _ in range(2):  # the second with the folders in the page cache
                alone(scan, root, count)
        finally:
            shutil.rmtree(root)
    for count in () if "--scan-only" in sys.argv else (most // 10, most // 3, most):
        alone(search, count)
    for folder in arguments[1:]:
        start, cpu = time.perf_counter(), time.process_time()
        images = data_doctor(folder).images
        took, busy = time.perf_counter() - start, time.process_time() - cpu
        print(f"doctor on {folder}: {images / took:.0f} images a second, {images / busy:.0f} a CPU second ({images:,})")


if __name__ == "__main__":
    main()
