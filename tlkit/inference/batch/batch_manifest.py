"""The manifest of a batch prediction: which images each part covers, and with which model and options."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tlkit.choices import PredictEngine, Views
from tlkit.data.sources.image_stream import StreamedImage, require_sources, stream_images
from tlkit.disk import PARTIAL, writing
from tlkit.errors import DataError, first_few, refuse_newer
from tlkit.stored_values import parse_json

MANIFEST = "_manifest.parquet"
"""Readers of a folder of Parquet files skip names that begin with "_"."""
KEY = b"tlkit.batch"
VERSION = 2
"""1: without `engine`; torch computed every part."""
PART_IMAGES = 2048
"""Images of one part: what a killed process has to predict again, at most. A multiple of the batch size of `predict`,
so that each image has the batch that it has there, and its probabilities agree to the last bit."""


@dataclass(frozen=True)
class BatchSettings:
    """What every part of a batch prediction has in common; a folder holds parts of one value.

    Attributes:
        model: digest (sha256, hex) of the model's files.
        classes: digest (sha256, hex) of the class names, in order.
        tta: test-time augmentation.
        part_images: images of one part; the last one may have fewer.
        engine: what runs the backbone; auto = as many images as the whole folder has decide, and the first part.
    """

    model: str
    classes: str
    tta: Views = "none"
    part_images: int = PART_IMAGES
    engine: PredictEngine = "torch"


@dataclass(frozen=True)
class Manifest:
    """The images of a batch prediction, on disk, and what the parts have in common.

    Attributes:
        path: the file; a row group of it holds the images of one part: columns `path` and `error`.
        settings: model and options.
        images: number of images.
        digests: for each part the sha256 (hex) of its images' names, in order.
    """

    path: Path
    settings: BatchSettings
    images: int
    digests: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.digests)

    def part_file(self, part: int) -> Path:
        """Return the file of a part's predictions."""
        return self.path.with_name(f"part-{part:06d}.parquet")

    def part_images(self, part: int) -> list[StreamedImage]:
        """Return the images of a part, in order.

        Raises:
            DataError: the manifest was damaged since it was opened.
        """
        try:
            with pq.ParquetFile(self.path) as table:
                columns = table.read_row_group(part).to_pydict()
            images = [StreamedImage(*pair) for pair in zip(columns["path"], columns["error"], strict=True)]
        except (pa.ArrowException, OSError, KeyError, ValueError, TypeError) as error:
            raise _damaged(self.path, error) from error
        if names_digest(image.path for image in images) != self.digests[part]:
            raise _damaged(self.path, "its names are not those of its digests")
        return images


def make_manifest(out: Path, sources: Sequence[str | Path], settings: BatchSettings) -> Manifest:
    """Return the manifest of a folder: the one that is there, if it is of these images and settings, or a new one.

    The images are listed in either case. Several processes may do this at the same time: the first one's is kept, and
    each of the others compares its own with it. Beside one part, the memory that it takes is 8 bytes an image.

    Args:
        out: the folder of the parts; it is made where there is none.
        sources: as for `stream_images`.
        settings: model and options.

    Raises:
        DataError: the folder is that of other images, another model or other options, or holds other files; a name
            occurs twice; or a source cannot be read.
    """
    require_sources(sources)
    out.mkdir(parents=True, exist_ok=True)
    target = out / MANIFEST
    if not target.exists():
        _require_empty(out)
    partial = out / f".{MANIFEST}.{os.uname().nodename if hasattr(os, 'uname') else ''}-{os.getpid()}{PARTIAL}"
    try:
        with writing(target, partial):
            made = _write(partial, sources, settings)
            _publish(partial, target)
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
    kept = read_batch_manifest(out)
    _require_same(kept, made, sources)
    return kept


def read_batch_manifest(out: Path) -> Manifest:
    """Return the manifest of a folder of parts.

    Raises:
        DataError: there is none, or it is damaged or written by a newer tlkit.
    """
    path = out / MANIFEST
    if not path.is_file():
        raise DataError(f"{out} holds no {MANIFEST}, so it is no folder of a batch prediction.")
    try:
        noted = parse_json((pq.read_metadata(path).metadata or {})[KEY])
        refuse_newer(f"{path} was", noted["version"], known=VERSION, error=DataError)
        settings = BatchSettings(**noted["settings"])
        return Manifest(path, settings, int(noted["images"]), tuple(map(str, noted["digests"])))
    except (pa.ArrowException, OSError, KeyError, ValueError, TypeError) as error:
        raise _damaged(path, error) from error


def names_digest(names: Iterable[str]) -> str:
    """Return the sha256 (hex) of names, in order.

    Example:
        >>> names_digest(["ab", "c"]) == names_digest(["a", "bc"])
        False
    """
    digest = hashlib.sha256()
    for name in names:
        digest.update(name.encode() + b"\0")
    return digest.hexdigest()


def _write(partial: Path, sources: Sequence[str | Path], settings: BatchSettings) -> Manifest:
    """Write the images of all parts, then their digests as metadata; return the manifest."""
    schema = pa.schema([("path", pa.string()), ("error", pa.string())])
    keys, digests = array("Q"), []
    with pq.ParquetWriter(partial, schema, compression="zstd", use_dictionary=False) as writer:
        for part in _chunks(stream_images(sources), settings.part_images):
            digests.append(names_digest(image.path for image in part))
            keys.extend(_key(image.path) for image in part)
            columns = {"path": [image.path for image in part], "error": [image.error for image in part]}
            writer.write_table(pa.table(columns, schema=schema), row_group_size=len(part))
        noted = {"version": VERSION, "settings": asdict(settings), "images": len(keys), "digests": digests}
        writer.add_key_value_metadata({KEY: json.dumps(noted).encode()})
    _require_once(keys, sources)
    with partial.open("rb+") as file:
        os.fsync(file.fileno())
    return Manifest(partial, settings, len(keys), tuple(digests))


def _publish(partial: Path, target: Path) -> None:
    """Link a finished file to its name, unless another process has done so."""
    try:
        os.link(partial, target)
    except FileExistsError:
        return
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK):
            raise
        partial.replace(target)  # a file system without links


def _require_same(kept: Manifest, made: Manifest, sources: Sequence[str | Path]) -> None:
    """Raise a `DataError` unless two manifests are of the same images and settings."""
    words = {
        "model": "another model",
        "classes": "other class names",
        "tta": f"--tta {kept.settings.tta}",
        "part_images": f"--part-size {kept.settings.part_images}",
        "engine": f"--engine {kept.settings.engine}",
    }
    before: Mapping[str, Any] = asdict(kept.settings)
    other = [words[name] for name, value in asdict(made.settings).items() if before[name] != value]
    same_parts = kept.settings.part_images == made.settings.part_images
    if kept.digests != made.digests and (same_parts or kept.images != made.images):
        pairs = zip(kept.digests, made.digests, strict=False)
        first = next((part for part, (old, new) in enumerate(pairs) if old != new), min(len(kept), len(made)))
        where = f"; they differ from part {first} on" if same_parts else ""
        other.append(f"other images: {kept.images:,}, now {made.images:,}{where}")
    if other:
        raise DataError(
            f"{kept.path.parent} was begun with {'; '.join(other)}. What {first_few(list(map(str, sources)))} holds "
            "would not be what its parts cover. Name another --out folder, or restore what it was begun with."
        )


def _require_empty(out: Path) -> None:
    others = [entry.name for entry in out.iterdir() if not entry.name.startswith(".")]
    if others and MANIFEST not in others:  # another process may have just written it
        raise DataError(
            f"{out} holds other files ({first_few(sorted(others))}) and no {MANIFEST}. Name a new --out folder."
        )


def _require_once(keys: array[int], sources: Sequence[str | Path]) -> None:
    """Raise a `DataError` where a name occurs twice."""
    found, counts = np.unique(np.frombuffer(keys, dtype=np.uint64), return_counts=True)
    twice = set(found[counts > 1].tolist())
    if twice:
        names = islice((image.path for image in stream_images(sources, quiet=True) if _key(image.path) in twice), 5)
        raise DataError(
            f"{len(twice)} images are named twice: {first_few(sorted(set(names)))}. Name each image and folder once, "
            "so that no row is doubled."
        )


def _chunks(images: Iterator[StreamedImage], size: int) -> Iterator[list[StreamedImage]]:
    while chunk := list(islice(images, size)):
        yield chunk


def _key(name: str) -> int:
    return int.from_bytes(hashlib.blake2b(os.fsencode(name), digest_size=8).digest(), "little")


def _damaged(path: Path, error: object) -> DataError:
    return DataError(f"{path} is damaged ({error}). Name another --out folder, or restore it.")
