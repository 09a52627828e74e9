"""How the doctor's parts grow with the number of files: scan of empty files, search for duplicates, images per second.

Seconds are processor seconds of this process, all threads together, so that a busy machine does not change them much.

    python benchmarks/scan.py [--scan-only] [FILES] [FOLDER]...

The search among 1,000,000 pictures needs several gigabytes; --scan-only leaves it out.
"""

import resource
import shutil
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from tlkit.data.doctor import data_doctor
from tlkit.data.duplicates import Fingerprints, find_duplicates
from tlkit.data.folder import scan_folder


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    arguments = [argument for argument in sys.argv[1:] if argument != "--scan-only"]
    most = int(arguments[0]) if arguments else 100_000
    for count in (most // 10, most // 3, most):
        root = Path(tempfile.mkdtemp(prefix="tlkit-scan-"))
        try:
            for label in range(10):
                (root / f"class{label}").mkdir()
            for number in range(count):
                (root / f"class{number % 10}" / f"{number:07d}.jpg").touch()
            start = time.process_time()
            samples = scan_folder(root)
            took = time.process_time() - start
            print(f"scan of {len(samples):,} files: {took:.1f} CPU s, peak memory {peak_mb():.0f} MB")
        finally:
            shutil.rmtree(root)
    generator = np.random.default_rng(0)
    for count in () if "--scan-only" in sys.argv else (most // 10, most // 3, most):
        hashes = generator.integers(0, 2**64, count, dtype=np.uint64)
        thumbnails = generator.integers(0, 256, (count, 16, 16, 3), dtype=np.uint8)
        start = time.process_time()
        find_duplicates(Fingerprints(np.arange(count).astype(str), hashes, thumbnails))
        took = time.process_time() - start
        print(f"search for duplicates among {count:,}: {took:.1f} CPU s, peak memory {peak_mb():.0f} MB")
    for folder in arguments[1:]:
        start = time.process_time()
        images = data_doctor(folder).images
        took = time.process_time() - start
        print(f"doctor on {folder}: {images / took:.0f} images per CPU second ({images:,} in {took:.1f})")


if __name__ == "__main__":
    main()
