"""The check of all images before training: each file is decoded once, and those that cannot be read are set aside."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from tlkit.data.checks.duplicates import Fingerprint, Fingerprints, fingerprint, fingerprint_reduction
from tlkit.data.checks.gray_thumbnails import MAX_KEPT_THUMBNAILS, Gray, GrayThumbnails, gray_thumbnail
from tlkit.data.checks.thread_pool import map_files
from tlkit.data.decode.decoding import MAX_PIXELS, UnreadableImageError, open_rgb
from tlkit.data.decode.formats import EXTENSIONS
from tlkit.data.sources.read_bytes import read_bytes
from tlkit.errors import DataError, first_few
from tlkit.samples import DIGEST, LABEL, PATH, SPLIT, Samples

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class CheckedImages:
    """The readable images, and what the check found in all of them.

    Attributes:
        samples: the readable images in their old order, with their digests.
        excluded: path and reason of each image that cannot be read, sorted by path.
        oddities: paths by what is unusual about them: animated, rotated by EXIF, CMYK, …
        fingerprints: of the readable images, in the order of `samples`; `find_copies` compares them.
        gray_thumbnails: gray thumbnails of the readable images, by digest; `find_near_duplicates` compares them.
            Empty unless they were asked for.
    """

    samples: Samples
    excluded: tuple[tuple[str, str], ...]
    oddities: Mapping[str, tuple[str, ...]]
    fingerprints: Fingerprints
    gray_thumbnails: GrayThumbnails = field(default_factory=dict)


@dataclass(frozen=True)
class _Finding:
    digest: str
    reason: str
    oddities: tuple[str, ...]
    print: Fingerprint | None = None
    look: Gray | None = None


def check_images(
    samples: Samples,
    *,
    gray_thumbnails: bool = False,
    max_pixels: int = MAX_PIXELS,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> CheckedImages:
    """Return the readable images with the sha256 of each file, and what was found in all of them.

    Every file is read to its end. Large JPEGs are decoded at a reduced scale, which finds the same damage in less time.

    Args:
        samples: the images.
        gray_thumbnails: keep gray thumbnails for `find_near_duplicates`, which otherwise decodes the images again;
            of more than 20,000 images none are kept.
        max_pixels: images of more pixels than this count as unreadable.
        workers: number of threads; default: one per core. Pillow releases the GIL while it decodes.
        progress: called from this thread with (images done, images in all).

    Raises:
        DataError: a class has no readable training image left, or a split no readable image.
    """
    paths = samples.table[PATH].tolist()
    gray_thumbnails = gray_thumbnails and len(paths) <= MAX_KEPT_THUMBNAILS

    def check(path: str, noted: list[str]) -> _Finding:
        return _check(samples.root / path, max_pixels, noted, gray_thumbnails=gray_thumbnails)

    findings = map_files(check, paths, workers=workers, progress=progress)
    excluded = tuple(sorted((path, f.reason) for path, f in zip(paths, findings, strict=True) if f.reason))
    oddities: dict[str, list[str]] = {}
    for path, finding in zip(paths, findings, strict=True):
        for oddity in finding.oddities:
            oddities.setdefault(oddity, []).append(path)
    table = samples.table.assign(**{DIGEST: pd.Series([f.digest for f in findings], dtype="str")})
    readable = pd.Series([not f.reason for f in findings], dtype="bool")
    kept = Samples(samples.root, samples.classes, table[readable].reset_index(drop=True))
    _require_every_class(samples, kept, excluded)
    _require_every_split(samples, kept, excluded)
    prints = Fingerprints.of([f.digest for f in findings if not f.reason], [f.print for f in findings if not f.reason])
    named = {name: tuple(found) for name, found in sorted(oddities.items())}
    kept_thumbnails = {f.digest: f.look for f in findings if f.look is not None}
    checked = CheckedImages(kept, excluded, named, prints, kept_thumbnails)
    _log(checked, total=len(samples))
    return checked


def _check(file: Path, max_pixels: int, noted: list[str], *, gray_thumbnails: bool) -> _Finding:
    """Return what is found in one file; `noted` are Pillow's warnings about it."""
    try:
        data = read_bytes(file)
    except OSError as error:
        return _Finding("", error.strerror or str(error), ())
    digest = hashlib.sha256(data).hexdigest()
    try:
        image, facts = open_rgb(data, max_pixels=max_pixels, reduction=fingerprint_reduction)
    except UnreadableImageError as error:
        return _Finding(digest, error.reason, ())
    oddities = facts.oddities
    promised = EXTENSIONS.get(file.suffix.lower())
    if promised is not None and promised != facts.format:
        oddities = (*oddities, f"{facts.format} under another format's ending")
    if noted:
        oddities = (*oddities, "damaged metadata (pixels are sound)")
    return _Finding(digest, "", oddities, fingerprint(image), gray_thumbnail(image) if gray_thumbnails else None)


def _require_every_class(samples: Samples, kept: Samples, excluded: tuple[tuple[str, str], ...]) -> None:
    before, after = samples.counts()["train"], kept.counts()["train"]
    lost = [name for name in samples.classes if before[name] and not after[name]]
    if lost:
        labels = dict(zip(samples.table[PATH], samples.table[LABEL], strict=True))
        problems = []
        for name in lost:
            files = [f"{path} ({reason})" for path, reason in excluded if labels[path] == name]
            problems.append(
                f"The class {name!r} has no readable training image left: {first_few(files)}. "
                "Replace the files, or remove the class."
            )
        raise DataError(*problems)


def _require_every_split(samples: Samples, kept: Samples, excluded: tuple[tuple[str, str], ...]) -> None:
    """Check that no split has lost all its images; to hold out others in their place would hide the loss."""
    splits = dict(zip(samples.table[PATH], samples.table[SPLIT], strict=True))
    lost = sorted(set(samples.table[SPLIT]) - set(kept.table[SPLIT]))
    problems = []
    for split in lost:
        files = [f"{path} ({reason})" for path, reason in excluded if splits[path] == split]
        problems.append(
            f"The {split} split has no readable image left: {first_few(files)}. "
            "Replace the files, or remove the folder to go on without it."
        )
    if problems:
        raise DataError(*problems)


def _log(checked: CheckedImages, *, total: int) -> None:
    logger.info("Checked %d images: %d can be read.", total, len(checked.samples))
    if checked.excluded:
        named = [f"{path} ({reason})" for path, reason in checked.excluded]
        logger.warning("Set aside %d of %d images that cannot be read: %s.", len(named), total, first_few(named))
    for oddity, paths in checked.oddities.items():
        logger.info("Odd but usable (%s), %d of %d images: %s.", oddity, len(paths), total, first_few(paths))
