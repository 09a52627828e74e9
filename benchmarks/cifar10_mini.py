"""Makes the small folder of CIFAR-10 that the recipes and benchmarks use: 2,000 training and 1,000 test images.

    python benchmarks/cifar10_mini.py cifar-10-batches-bin data/cifar10_mini

The first folder is the unpacked "binary version" of https://www.cs.toronto.edu/~kriz/cifar.html, whose files hold for
each image a byte for the class and 3,072 bytes of pixels. The first 200 images of each class in `data_batch_1.bin` and
the first 100 in `test_batch.bin` are written as JPEG files in class folders. Which images the figures were measured on
was chosen differently, so expect the accuracy of the recipe within its interval, not to the digit.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

SIDE = 32
RECORD = 1 + 3 * SIDE * SIDE
PARTS = (("train", "data_batch_1.bin", 200), ("test", "test_batch.bin", 100))


def write_folder(source: Path, dest: Path) -> int:
    """Write the images of both splits in class folders, and return how many there are."""
    classes = (source / "batches.meta.txt").read_text(encoding="ascii").split()
    written = 0
    for split, name, most in PARTS:
        records = np.frombuffer((source / name).read_bytes(), dtype=np.uint8).reshape(-1, RECORD)
        for code, label in enumerate(classes):
            folder = dest / split / label
            folder.mkdir(parents=True)
            for number, record in enumerate(records[records[:, 0] == code][:most]):
                pixels = record[1:].reshape(3, SIDE, SIDE).transpose(1, 2, 0)
                Image.fromarray(np.ascontiguousarray(pixels)).save(folder / f"{number:04d}.jpg", quality=95)
                written += 1
    return written


def main() -> None:
    """Read the arguments, write the folder and print how many images it holds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, help="folder of the binary version")
    parser.add_argument("dest", type=Path, help="folder to make; its splits must not exist")
    arguments = parser.parse_args()
    print(f"{write_folder(arguments.source, arguments.dest):,} images in {arguments.dest}")


if __name__ == "__main__":
    main()
