"""The check of all masks before training: readable, of the size of their images, and of no other numbers."""

from __future__ import annotations

import hashlib
import json
import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from tlkit.data.checks.thread_pool import map_files
from tlkit.data.decode.decode_options import DecodeOptions
from tlkit.data.decode.decoding import UnreadableImageError, open_rgb
from tlkit.data.sources.read_bytes import read_bytes
from tlkit.errors import DataError, first_few
from tlkit.mask_classes import UnusableMaskError
from tlkit.mask_files import read_mask
from tlkit.samples import LABEL, MASK_DIGEST, PATH, PIXELS, Samples

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _CheckedMask:
    digest: str = ""
    pixels: tuple[int, ...] = ()
    kind: str = ""
    reason: str = ""


REMEDIES = {
    "cannot be used": "Masks are PNG files of palette indices, or of gray levels of 8 or 16 bits.",
    "have another size than their image": "Write each in the size of its image, upright, with nearest-neighbour "
    "scaling.",
    "hold numbers of no class": "Name all classes: data.mask_classes, with their numbers where these do not count from "
    "0; or the number of pixels that count nowhere: data.void.",
}


def check_masks(samples: Samples, sizes: pd.DataFrame | None = None) -> Samples:
    """Return the samples with the digest of each mask and its pixels of each class.

    Args:
        samples: readable images with the paths of their masks.
        sizes: `height` and `width` of each image by path, as `check_images` found them; None = they are read here.

    Raises:
        DataError: masks cannot be read, have another size than their image, or hold numbers of no class; each kind with
            its first files and their number.
    """
    assert samples.masks is not None, "segmentation states the classes of its masks"
    masks = dict(zip(samples.table[PATH], samples.table[LABEL], strict=True))
    found = map_files(lambda path, _: _check(samples, path, masks[path], sizes), list(masks))
    problems = []
    for kind, remedy in REMEDIES.items():
        wrong = [f"{masks[path]} ({one.reason})" for path, one in zip(masks, found, strict=True) if one.kind == kind]
        if wrong:
            problems.append(f"{len(wrong)} of {len(masks)} masks {kind}: {first_few(wrong)}. {remedy}")
    if problems:
        raise DataError(*problems)
    columns = {
        MASK_DIGEST: pd.Series([one.digest for one in found], dtype="str"),
        PIXELS: pd.Series([json.dumps(one.pixels) for one in found], dtype="str"),
    }
    checked = samples.with_table(samples.table.assign(**columns))
    _log(checked)
    return checked


def _check(samples: Samples, path: str, mask: str, sizes: pd.DataFrame | None) -> _CheckedMask:
    assert samples.masks is not None
    try:
        content = read_bytes(samples.root / mask)
        numbers = read_mask(content)
    except (OSError, UnusableMaskError) as error:
        return _CheckedMask(kind="cannot be used", reason=getattr(error, "reason", str(error)))
    try:
        height, width = _size(samples.root / path) if sizes is None else sizes.loc[path, ["height", "width"]]
    except UnreadableImageError as error:
        return _CheckedMask(kind="cannot be used", reason=f"its image {error.reason}")
    if numbers.shape != (height, width):
        reason = f"{numbers.shape[1]}x{numbers.shape[0]}, the image {width}x{height}"
        return _CheckedMask(kind="have another size than their image", reason=reason)
    try:
        positions = samples.masks.positions(numbers)
    except UnusableMaskError as error:
        return _CheckedMask(kind="hold numbers of no class", reason=error.reason.removeprefix("it holds "))
    counts = np.bincount(positions[positions >= 0], minlength=len(samples.masks))
    return _CheckedMask(hashlib.sha256(content).hexdigest(), tuple(counts.tolist()))


def _size(path: Path) -> tuple[int, int]:
    """Return the height and width of an upright image; an UnreadableImageError where it cannot be decoded."""
    height, width = open_rgb(path, DecodeOptions(), reduction=lambda *_: 8)[1].size
    return height, width


def _log(samples: Samples) -> None:
    """Log masks of void alone, and classes without pixels to train on."""
    counts = samples.pixel_counts
    empty = samples.paths[counts.sum(axis=1) == 0].tolist()
    if empty:
        logger.warning("The masks of %d images are void everywhere: %s.", len(empty), first_few(empty))
    train = (samples.table["split"] == "train").to_numpy()
    missing = [name for name, pixels in zip(samples.classes, counts[train].sum(axis=0), strict=True) if not pixels]
    if missing:
        logger.warning(
            "No training mask has a pixel of %s (%d classes), so they cannot be learnt.",
            first_few(missing),
            len(missing),
        )
