"""The check of all masks before training: readable, of the size of their images, and of no other numbers."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Sequence
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
class CheckedMask:
    """What was found in a mask.

    Attributes:
        digest: sha256 of the file, hex; "" where it cannot be used.
        meaning: sha256 of its shape and the classes of its pixels, hex, however the file stores them; "" likewise.
        pixels: of each class; none where it cannot be used.
        void: pixels whose class is unknown.
        kind: a key of `REMEDIES`; "" = it can be used.
        reason: why not.
    """

    digest: str = ""
    meaning: str = ""
    pixels: tuple[int, ...] = ()
    void: int = 0
    kind: str = ""
    reason: str = ""


OF_IMAGE = "its image"
"""How the reason begins where not the mask is at fault."""
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
    found = examine_masks(samples, sizes)
    if problems := mask_problems(samples, found):
        raise DataError(*problems)
    checked = with_pixels(samples, found)
    _log(checked)
    return checked


def examine_masks(samples: Samples, sizes: pd.DataFrame | None = None) -> list[CheckedMask]:
    """Return what each mask holds, or why it cannot be used, in the order of the images; arguments as `check_masks`."""
    assert samples.masks is not None, "segmentation states the classes of its masks"
    masks = dict(zip(samples.table[PATH], samples.table[LABEL], strict=True))
    return map_files(lambda path, _: _check(samples, path, masks[path], sizes), list(masks))


def mask_problems(samples: Samples, found: Sequence[CheckedMask]) -> list[str]:
    """Return a message for each kind of mask that cannot be used, with the first files and their number."""
    problems = []
    for kind, remedy in REMEDIES.items():
        pairs = zip(samples.table[LABEL], found, strict=True)
        wrong = [f"{mask} ({one.reason})" for mask, one in pairs if one.kind == kind]
        if wrong:
            problems.append(f"{len(wrong)} of {len(found)} masks {kind}: {first_few(wrong)}. {remedy}")
    return problems


def with_pixels(samples: Samples, found: Sequence[CheckedMask]) -> Samples:
    """Return the samples with the digest and the pixels of each mask; 0 of a mask that cannot be used."""
    nothing = (0,) * len(samples.classes)
    columns = {
        MASK_DIGEST: pd.Series([one.digest for one in found], dtype="str"),
        PIXELS: pd.Series([json.dumps(one.pixels or nothing) for one in found], dtype="str"),
    }
    return samples.with_table(samples.table.assign(**columns))


def _check(samples: Samples, path: str, mask: str, sizes: pd.DataFrame | None) -> CheckedMask:
    assert samples.masks is not None
    try:
        content = read_bytes(samples.root / mask)
        numbers = read_mask(content)
    except (OSError, UnusableMaskError) as error:
        return CheckedMask(kind="cannot be used", reason=getattr(error, "reason", str(error)))
    try:
        height, width = _size(samples.root / path) if sizes is None else sizes.loc[path, ["height", "width"]]
    except UnreadableImageError as error:
        return CheckedMask(kind="cannot be used", reason=f"{OF_IMAGE}: {error.reason}")
    if numbers.shape != (height, width):
        reason = f"{numbers.shape[1]}x{numbers.shape[0]}, the image {width}x{height}"
        return CheckedMask(kind="have another size than their image", reason=reason)
    try:
        positions = samples.masks.positions(numbers)
    except UnusableMaskError as error:
        return CheckedMask(kind="hold numbers of no class", reason=error.reason.removeprefix("it holds "))
    counts = np.bincount(positions[positions >= 0], minlength=len(samples.masks))
    void = int(positions.size - counts.sum())
    meaning = hashlib.sha256(f"{positions.shape}".encode() + np.ascontiguousarray(positions, dtype="<i4").tobytes())
    return CheckedMask(hashlib.sha256(content).hexdigest(), meaning.hexdigest(), tuple(counts.tolist()), void)


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
