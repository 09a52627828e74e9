"""Leaks planted, leaks found: 10 % of the test images are copied into train, re-encoded, resized or mirrored.

python benchmarks/duplicates.py FOLDER_WITH_TRAIN_AND_TEST
"""

import io
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from tlkit.data.duplicates import Fingerprints, find_duplicates, fingerprint


def jpeg(image, quality):
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return Image.open(io.BytesIO(buffer.getvalue())).convert("RGB")


def scaled(image, factor):
    return image.resize((round(image.width * factor), round(image.height * factor)), Image.Resampling.BICUBIC)


CHANGES = {
    "JPEG quality 75": lambda image: jpeg(image, 75),
    "JPEG quality 40": lambda image: jpeg(image, 40),
    "scaled by 0.75, JPEG 75": lambda image: jpeg(scaled(image, 0.75), 75),
    "scaled by 0.5, JPEG 75": lambda image: jpeg(scaled(image, 0.5), 75),
    "scaled by 2": lambda image: scaled(image, 2),
    "mirrored": lambda image: jpeg(image.transpose(Image.Transpose.FLIP_LEFT_RIGHT), 75),
    "mirrored, scaled by 0.75": lambda image: jpeg(scaled(image.transpose(Image.Transpose.FLIP_LEFT_RIGHT), 0.75), 75),
}


def main() -> None:
    root = Path(sys.argv[1])
    files = sorted(path for split in ("train", "test", "val") for path in (root / split).rglob("*.jpg"))
    splits = [path.relative_to(root).parts[0] for path in files]
    images = [Image.open(path).convert("RGB") for path in files]
    prints = [fingerprint(image) for image in images]
    tests = [row for row, split in enumerate(splits) if split != "train"]
    before = find_duplicates(Fingerprints.of([str(row) for row in range(len(files))], prints))
    print(f"{len(files)} images; before planting, {len(before.pairs)} pairs are found")
    own = {pair[:2] for pair in before.pairs}
    for name, change in CHANGES.items():
        chosen = np.random.default_rng(0).permutation(tests)[: len(tests) // 10].tolist()
        planted = [fingerprint(change(images[row])) for row in chosen]
        both = Fingerprints.of([str(row) for row in range(len(files) + len(planted))], [*prints, *planted])
        truth = {(row, len(files) + at) for at, row in enumerate(chosen)}
        found = {pair[:2] for pair in find_duplicates(both).pairs} - own
        right = len(found & truth)
        print(f"{name:28} recall {right}/{len(truth)}  precision {right}/{len(found)}")


if __name__ == "__main__":
    main()
