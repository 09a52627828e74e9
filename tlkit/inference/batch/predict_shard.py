"""Prediction of a shard: the parts of a manifest that are its own, those that are done already left alone."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Sequence
from pathlib import Path

from tlkit.choices import PredictEngine, Views
from tlkit.errors import DataError
from tlkit.inference.batch.batch_manifest import PART_IMAGES, BatchSettings, Manifest, make_manifest
from tlkit.inference.batch.batch_result import BatchResult
from tlkit.inference.batch.parts import ImageModel, PartCount, count_part, predict_part

logger = logging.getLogger(__name__)


def parse_shard(text: str) -> tuple[int, int]:
    """Return place and number of shards of "i/n", with 0 <= i < n.

    Raises:
        DataError: the text is no such pair.

    Example:
        >>> parse_shard("3/8")
        (3, 8)
    """
    first, slash, second = text.partition("/")
    if slash and first.isascii() and second.isascii() and first.isdigit() and second.isdigit():
        shard, shards = int(first), int(second)
        if shard < shards:
            return shard, shards
    raise DataError(f"--shard is {text!r}. Use i/n with i from 0 to n-1, such as 0/8 to 7/8.")


def batch_settings(
    model_digest: str,
    classes: Sequence[str],
    *,
    tta: Views = "none",
    part_images: int = PART_IMAGES,
    engine: PredictEngine = "auto",
) -> BatchSettings:
    """Return the settings that all parts of a folder share.

    Raises:
        DataError: a part would hold no image.
    """
    if part_images < 1:
        raise DataError(f"--part-size is {part_images}. Use a number of images from 1.")
    names = hashlib.sha256(json.dumps(list(classes)).encode()).hexdigest()
    return BatchSettings(model_digest, names, tta, part_images, engine)


def model_files_digest(model: Path) -> str:
    """Return the sha256 (hex) of a stored model: of the names and contents of its files, or of its one file."""
    digest = hashlib.sha256()
    files = [model] if model.is_file() else sorted(file for file in model.iterdir() if file.is_file())
    for file in files:
        if file.name.startswith("."):
            continue
        with file.open("rb") as content:
            digest.update(f"{file.name}\0{hashlib.file_digest(content, 'sha256').hexdigest()}\0".encode())
    return digest.hexdigest()


def predict_shard(
    load: Callable[[], ImageModel],
    sources: Sequence[str | Path],
    out: Path,
    *,
    settings: BatchSettings,
    classes: Sequence[str],
    shard: tuple[int, int] = (0, 1),
    progress: Callable[[int, int], None] | None = None,
) -> BatchResult:
    """Predict the images of a shard's parts: every n-th part from the i-th on.

    A part is written whole, or not at all. Where it is there already, it is verified and skipped, so a process that
    was killed is started again with the same arguments. Parts are the same whatever n is: a folder may be finished
    with more or fewer processes than it was begun with.

    Args:
        load: returns the model; called only where a part is to be predicted.
        sources: as for `stream_images`.
        out: folder of the parts.
        settings: of `batch_settings`.
        classes: class names of the model.
        shard: i and n.
        progress: called with (images done, images of the shard) after each part.

    Raises:
        DataError: the folder is that of other images or settings, or a source cannot be read.
    """
    manifest = make_manifest(out, sources, settings)
    first, step = shard
    own = range(first, len(manifest), step)
    model: ImageModel | None = None
    counts: list[PartCount] = []
    written = 0
    total = shard_images(manifest, own)
    for part in own:
        count = count_part(manifest, part)
        if count is None:
            model = model or load()
            count = predict_part(model, manifest, part, classes=classes)
            written += 1
        counts.append(count)
        if progress is not None:
            progress(sum(one.images for one in counts), total)
    return shard_result(manifest, counts, shard=shard, written=written)


def shard_images(manifest: Manifest, parts: range) -> int:
    """Return the number of images of some parts; all have the same number but the last one."""
    whole, size = len(manifest), manifest.settings.part_images
    short = whole * size - manifest.images
    return len(parts) * size - (short if len(parts) and whole - 1 in parts else 0)


def shard_result(
    manifest: Manifest, counts: Sequence[PartCount], *, shard: tuple[int, int], written: int
) -> BatchResult:
    """Return the result of a shard."""
    return BatchResult(
        out=str(manifest.path.parent),
        shard=shard[0],
        shards=shard[1],
        parts=len(counts),
        written=written,
        images=sum(one.images for one in counts),
        unreadable=sum(one.unreadable for one in counts),
        all_images=manifest.images,
        all_parts=len(manifest),
        all_done=sum(manifest.part_file(part).is_file() for part in range(len(manifest))),
    )
