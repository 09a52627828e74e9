"""Measured image properties, one row per image: brightness, contrast, sharpness, size, color, file type, camera."""

from __future__ import annotations

import hashlib
import logging
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from tlkit.data.checks.fingerprints import THUMBNAIL, Fingerprint, Fingerprints, fingerprint
from tlkit.data.checks.image_quality import brightness_of, edge_strength, subsampled
from tlkit.data.checks.thread_pool import map_files
from tlkit.data.decode.decode_options import DecodeOptions
from tlkit.data.decode.decoding import UnreadableImageError, open_rgb
from tlkit.data.decode.exif import read_exif
from tlkit.data.decode.formats import Format
from tlkit.data.sources.read_bytes import read_bytes
from tlkit.errors import PredictionsError, first_few
from tlkit.predictions.prediction_files import read_parquet_table
from tlkit.samples import DIGEST
from tlkit.stored_values import DAMAGES

logger = logging.getLogger(__name__)

NUMBERS = ("brightness", "contrast", "sharpness", "megapixels", "aspect", "colorfulness")
WORDS = ("file_type", "camera")
PROPERTIES = (*NUMBERS, *WORDS)
"""The columns by which slices are formed."""
HASH, ABSENT, THUMBNAIL_BYTES = "hash", "absent", "thumbnail"
COLUMNS = (DIGEST, *PROPERTIES, HASH, ABSENT, THUMBNAIL_BYTES)
MAKE, MODEL = 271, 272


def measure_picture(image: Image.Image) -> dict[str, float]:
    """Return the numeric properties of an RGB image.

    brightness and contrast are mean and standard deviation of the perceived brightness, in [0, 255]; sharpness is the
    variation of the edges at 64 pixels, in [0, 1), low where the picture is blurred; megapixels; aspect is width over
    height; colorfulness is σ + 0.3 μ of the opponent colors R − G and (R + G)/2 − B, 0 for gray and about 100 for
    extremely colorful: Hasler & Süsstrunk (2003), "Measuring colourfulness in natural images", Human Vision and
    Electronic Imaging VIII, equations 3 to 5 and 7.

    Example:
        >>> measure_picture(Image.new("RGB", (200, 100), (255, 255, 255)))["brightness"]
        255.0
    """
    pixels, brightness = subsampled(image), 255 * brightness_of(image)
    red, green, blue = (pixels[..., channel].astype(np.float64) for channel in range(3))
    opponents = (red - green, (red + green) / 2 - blue)
    spread = math.sqrt(sum(float(one.var()) for one in opponents))
    offset = math.sqrt(sum(float(one.mean()) ** 2 for one in opponents))
    return {
        "brightness": round(float(brightness.mean(dtype=np.float64)), 3),
        "contrast": round(float(brightness.std(dtype=np.float64)), 3),
        "sharpness": round(edge_strength(image), 5),
        "megapixels": image.width * image.height / 1e6,
        "aspect": round(image.width / image.height, 5),
        "colorfulness": round(spread + 0.3 * offset, 3),
    }


def measure_images(
    root: Path,
    paths: Sequence[str],
    *,
    decode_options: DecodeOptions = DecodeOptions(),
    progress: Callable[[int, int], None] | None = None,
) -> pd.DataFrame:
    """Return the properties of each readable image; each is decoded once, in parallel.

    Args:
        root: folder that the paths are relative to.
        paths: the images.
        decode_options: pixel limit and background color of decoding.
        progress: called from this thread with (images done, images in all).

    Returns:
        Indexed by path: `digest`, the numbers of `measure_picture`, `file_type`, `camera` (maker and model by EXIF, NA
        where not stated), and the fingerprint, `hash`, `absent` and `thumbnail`.
    """

    def measure(path: str, _: list[str]) -> dict[str, Any] | None:
        return _measure_file(root / path, decode_options)

    found = map_files(measure, paths, progress=progress)
    rows = [{"path": path, **row} for path, row in zip(paths, found, strict=True) if row is not None]
    unreadable = [path for path, row in zip(paths, found, strict=True) if row is None]
    if unreadable:
        logger.warning("Images that cannot be read now (%d): %s.", len(unreadable), first_few(unreadable))
    table = pd.DataFrame(rows, columns=["path", *COLUMNS]).set_index("path")
    return table.astype({DIGEST: "string", **dict.fromkeys(NUMBERS, "float64"), **dict.fromkeys(WORDS, "string")})


def read_properties(file: Path) -> pd.DataFrame:
    """Return the stored properties in a Parquet file, one row per digest; none where it is missing or damaged."""
    if file.is_file():
        try:
            table = read_parquet_table(file, binary=(THUMBNAIL_BYTES,))[0][list(COLUMNS)]
            table = table.astype({**dict.fromkeys(NUMBERS, "float64"), **dict.fromkeys((DIGEST, *WORDS), "string")})
            fingerprints_of(table)
            if table[DIGEST].is_unique:
                return table
        except (PredictionsError, *DAMAGES) as error:
            logger.info("%s: %s", file, error)
        logger.warning("%s is damaged: the images are measured again.", file)
    return pd.DataFrame(columns=[DIGEST])


def fingerprints_of(table: pd.DataFrame) -> Fingerprints:
    """Return the fingerprints in a table of image properties, for `find_duplicates`."""
    prints = [
        Fingerprint(
            np.uint64(hashed), np.uint64(absent), np.frombuffer(pixels, np.uint8).reshape(THUMBNAIL, THUMBNAIL, 3)
        )
        for hashed, absent, pixels in zip(table[HASH], table[ABSENT], table[THUMBNAIL_BYTES], strict=True)
    ]
    return Fingerprints.of(table[DIGEST].tolist(), prints)


def _measure_file(file: Path, decode_options: DecodeOptions) -> dict[str, Any] | None:
    try:
        data = read_bytes(file)
        image, facts = open_rgb(data, decode_options)
    except (OSError, UnreadableImageError):
        return None
    print_ = fingerprint(image)
    return {
        DIGEST: hashlib.sha256(data).hexdigest(),
        **measure_picture(image),
        "file_type": facts.format,
        "camera": _camera(data, facts.format),
        HASH: print_.hash,
        ABSENT: print_.absent,
        THUMBNAIL_BYTES: print_.thumbnail.tobytes(),
    }


def _camera(data: bytes, kind: Format) -> str | None:
    """Return maker and model of the camera by EXIF 2.32, tags 271 and 272; None where not stated."""
    try:
        exif = read_exif(data, kind)
        make, model = (str(exif.get(tag) or "").strip("\0 ") for tag in (MAKE, MODEL))
    except Exception:  # Pillow raises various errors on damaged EXIF
        return None
    return (model if model.startswith(make) else f"{make} {model}") or None
