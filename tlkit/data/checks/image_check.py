"""The check of all images before training: decodes each file once and excludes unreadable ones."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from tlkit.data.checks.bursts import Moment, moment_of
from tlkit.data.checks.fingerprints import Fingerprint, Fingerprints, fingerprint, fingerprint_reduction
from tlkit.data.checks.gray_thumbnails import MAX_KEPT_THUMBNAILS, Gray, GrayThumbnails, gray_thumbnail
from tlkit.data.checks.image_quality import is_nearly_gray
from tlkit.data.checks.thread_pool import map_files
from tlkit.data.decode.decode_options import DecodeOptions
from tlkit.data.decode.decoding import UnreadableImageError, open_rgb
from tlkit.data.decode.formats import format_by_name
from tlkit.data.sources.read_bytes import read_bytes
from tlkit.errors import DataError, first_few
from tlkit.samples import DIGEST, LABEL, PATH, SPLIT, Samples

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class CheckedImages:
    """The readable images, and the findings of the check.

    Attributes:
        samples: the readable images with their digests, in the given order.
        excluded: path and reason of each unreadable image, sorted by path.
        oddities: paths by unusual property: animated, rotated by EXIF, CMYK, …
        fingerprints: fingerprints of the readable images, in the order of `samples`, for `find_copies`.
        gray_thumbnails: gray thumbnails of the readable images by digest, for `find_near_duplicates`; empty unless
            requested.
        moments: when and by what camera each readable image was taken, in the order of `samples`; None = unknown.
        sizes: `height` and `width` of each readable image in pixels, upright, and whether it `is_jpeg`, by path.
    """

    samples: Samples
    excluded: tuple[tuple[str, str], ...]
    oddities: Mapping[str, tuple[str, ...]]
    fingerprints: Fingerprints
    gray_thumbnails: GrayThumbnails = field(default_factory=dict)
    moments: tuple[Moment | None, ...] = ()
    sizes: pd.DataFrame = field(default_factory=lambda: image_sizes([], []))


@dataclass(frozen=True)
class _CheckedFile:
    digest: str
    reason: str
    oddities: tuple[str, ...] = ()
    fingerprint: Fingerprint | None = None
    gray_thumbnail: Gray | None = None
    moment: Moment | None = None
    size: tuple[int, int] = (0, 0)
    is_jpeg: bool = False


def image_sizes(paths: Sequence[str], rows: Sequence[tuple[int, int, bool]]) -> pd.DataFrame:
    """Return the table of (height, width, is a JPEG) by path.

    Example:
        >>> image_sizes(["a.jpg"], [(375, 500, True)]).to_dict("records")
        [{'height': 375, 'width': 500, 'is_jpeg': True}]
    """
    heights, widths, are_jpegs = zip(*rows, strict=True) if rows else ((), (), ())
    columns = {
        "height": np.array(heights, dtype=np.int32),
        "width": np.array(widths, dtype=np.int32),
        "is_jpeg": np.array(are_jpegs, dtype=bool),
    }
    return pd.DataFrame(columns, index=pd.Series(paths, dtype="str"))


def check_images(
    samples: Samples,
    *,
    gray_thumbnails: bool = False,
    decode_options: DecodeOptions = DecodeOptions(),
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> CheckedImages:
    """Return the readable images with the sha256 of each file, and the findings of the check.

    Every file is read to its end. Large JPEGs are decoded at a reduced scale, which finds the same damage in less time.

    Args:
        samples: the images.
        gray_thumbnails: keep gray thumbnails for `find_near_duplicates`, which otherwise decodes the images again;
            with more than 20,000 images none are kept.
        decode_options: pixel limit and background color of decoding.
        workers: number of threads; default: one per core. Pillow releases the GIL while it decodes.
        progress: called from this thread with (images done, images in all).

    Raises:
        DataError: a class has no readable training image left, or a split no readable image.
    """
    paths = samples.table[PATH].tolist()
    gray_thumbnails = gray_thumbnails and len(paths) <= MAX_KEPT_THUMBNAILS

    def check(path: str, pillow_warnings: list[str]) -> _CheckedFile:
        return _check(samples.root / path, decode_options, pillow_warnings, gray_thumbnails=gray_thumbnails)

    files = map_files(check, paths, workers=workers, progress=progress)
    excluded = tuple(sorted((path, f.reason) for path, f in zip(paths, files, strict=True) if f.reason))
    oddities: dict[str, list[str]] = {}
    for path, file in zip(paths, files, strict=True):
        for oddity in file.oddities:
            oddities.setdefault(oddity, []).append(path)
    table = samples.table.assign(**{DIGEST: pd.Series([f.digest for f in files], dtype="str")})
    readable = pd.Series([not f.reason for f in files], dtype="bool")
    kept = samples.with_table(table[readable].reset_index(drop=True))
    _require_every_class_and_split(samples, kept, excluded)
    checked = CheckedImages(
        kept,
        excluded,
        {name: tuple(found) for name, found in sorted(oddities.items())},
        Fingerprints.of([f.digest for f in files if not f.reason], [f.fingerprint for f in files if not f.reason]),
        {f.digest: f.gray_thumbnail for f in files if f.gray_thumbnail is not None},
        tuple(f.moment for f in files if not f.reason),
        image_sizes(
            [path for path, f in zip(paths, files, strict=True) if not f.reason],
            [(*f.size, f.is_jpeg) for f in files if not f.reason],
        ),
    )
    _log(checked, total=len(samples))
    return checked


def _check(
    file: Path, decode_options: DecodeOptions, pillow_warnings: list[str], *, gray_thumbnails: bool
) -> _CheckedFile:
    try:
        data = read_bytes(file)
    except OSError as error:
        return _CheckedFile("", error.strerror or str(error))
    digest = hashlib.sha256(data).hexdigest()
    try:
        image, facts = open_rgb(data, decode_options, reduction=fingerprint_reduction, name=file.name)
    except UnreadableImageError as error:
        return _CheckedFile(digest, error.reason)
    oddities = facts.oddities
    if (format_by_name(file.name) or facts.format) != facts.format:
        oddities = (*oddities, f"{facts.format} under another format's ending")
    if "grayscale" not in oddities and is_nearly_gray(image):
        oddities = (*oddities, "grayscale")
    if pillow_warnings:
        oddities = (*oddities, "damaged metadata (pixels are sound)")
    gray = gray_thumbnail(image) if gray_thumbnails else None
    moment = moment_of(data, facts.format)
    return _CheckedFile(
        digest, "", oddities, fingerprint(image), gray, moment, size=facts.size, is_jpeg=facts.format == "JPEG"
    )


def _require_every_class_and_split(samples: Samples, kept: Samples, excluded: tuple[tuple[str, str], ...]) -> None:
    """Check that no class lost all training images and no split all images; holding out others would hide the loss."""
    reasons, table = dict(excluded), samples.table

    def unreadable(column: str, name: str) -> str:
        return first_few(
            [f"{path} ({reasons[path]})" for path in sorted(table[PATH][table[column] == name]) if path in reasons]
        )

    before, after = samples.counts()["train"], kept.counts()["train"]
    problems = [
        f"The class {name!r} has no readable training image left: {unreadable(LABEL, name)}. Replace the files, or "
        "remove the class."
        for name in samples.classes
        if before[name] and not after[name]
    ] or [
        f"The {split} split has no readable image left: {unreadable(SPLIT, split)}. Replace the files, or remove the "
        "folder to go on without it."
        for split in sorted(set(table[SPLIT]) - set(kept.table[SPLIT]))
    ]
    if problems:
        raise DataError(*problems)


def _log(checked: CheckedImages, *, total: int) -> None:
    logger.debug("Checked %d images: %d can be read.", total, len(checked.samples))
    if checked.excluded:
        named = [f"{path} ({reason})" for path, reason in checked.excluded]
        logger.warning("Excluded %d of %d images that cannot be read: %s.", len(named), total, first_few(named))
    for oddity, paths in checked.oddities.items():
        logger.info("Unusual but usable (%s), %d of %d images: %s.", oddity, len(paths), total, first_few(paths))
