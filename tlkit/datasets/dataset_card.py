"""Sample dataset folders with a card of their origin: written once, then reused, never overwritten."""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import pandas as pd

from tlkit.csv_files import write_csv
from tlkit.disk import writing
from tlkit.errors import DataError
from tlkit.output_files import require_folder
from tlkit.samples import SPLITS
from tlkit.stored_values import parse_json

logger = logging.getLogger(__name__)

CARD, METADATA, ATTRIBUTION, README = "dataset.json", "metadata.csv", "ATTRIBUTION.txt", "README.md"


@dataclass(frozen=True)
class DatasetCard:
    """Location, origin and attribution of a sample dataset.

    Attributes:
        root: the folder; an ImageFolder with the splits train, val and test, or one folder of images for each split
            where `metadata` lists them with their labels.
        name: name of the sample.
        request: the arguments: seed, size and so on. The same request makes the same files.
        classes: class names, sorted; one folder each in every split.
        counts: images per split.
        made_with: versions of the packages that made the images.
        about: how the images were made and split.
        attribution: authors and licence of the images.
    """

    root: Path
    name: str
    request: Mapping[str, Any]
    classes: tuple[str, ...]
    counts: Mapping[str, int]
    made_with: Mapping[str, str]
    about: str
    attribution: str

    @property
    def metadata(self) -> Path:
        """The CSV of group columns, keyed by `path` relative to the root."""
        return self.root / METADATA

    def summary(self) -> str:
        """Return the folder and its numbers of images and classes in one line.

        Example:
            >>> DatasetCard(Path("d"), "digits", {}, ("0", "1"), {"train": 6, "test": 2}, {}, "", "").summary()
            'd: 8 images of 2 classes (train 6, test 2)'
        """
        splits = ", ".join(f"{name} {count}" for name, count in self.counts.items())
        classes = f" of {len(self.classes)} classes" if len(self.classes) > 1 else ""  # a list has its own labels
        return f"{self.root}: {sum(self.counts.values())} images{classes} ({splits})"


@dataclass(frozen=True)
class SampleImage:
    """One image of a sample dataset.

    Attributes:
        path: path below the root, "split/class/name.png".
        content: the bytes of the PNG file.
        columns: value per metadata column, without `path`.
    """

    path: str
    content: bytes
    columns: Mapping[str, str]


def make_dataset(
    dest: Path,
    make_images: Callable[[], Iterable[SampleImage]],
    *,
    name: str,
    request: Mapping[str, Any],
    packages: Iterable[str],
    about: str,
    attribution: str,
) -> DatasetCard:
    """Return the card of a sample dataset; it is written unless the same request made the folder before.

    A failure leaves nothing behind.

    Args:
        dest: the folder; created where it is missing.
        make_images: returns the images, in any order.
        name: name of the sample.
        request: the arguments, JSON values.
        packages: packages that make the images; the card states their versions.
        about: how the images were made and split.
        attribution: authors and licence.

    Raises:
        DataError: `dest` is a file, or holds something else.
    """
    found = _find(dest, name=name, request=request)
    if found is not None:
        return found
    require_folder(dest.absolute().parent, name=f"{dest}: its folder")
    dest.parent.mkdir(parents=True, exist_ok=True)
    with writing(dest), tempfile.TemporaryDirectory(dir=dest.parent, prefix=f".{dest.name}-") as folder:
        draft = Path(folder)
        rows = []
        for image in make_images():
            path = draft / image.path
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(image.content)
            rows.append({"path": image.path, **image.columns})
        made_with = {package: metadata.version(package) for package in packages}
        write_csv(draft / METADATA, pd.DataFrame(rows).sort_values("path"), verbatim=["path"])
        (draft / ATTRIBUTION).write_text(attribution + "\n", encoding="utf-8")
        (draft / README).write_text(_readme(name, request, made_with, about, attribution), encoding="utf-8")
        stored = {
            "name": name,
            "request": dict(request),
            "classes": sorted({row["path"].split("/")[1] for row in rows}),
            "counts": {split: sum(row["path"].startswith(f"{split}/") for row in rows) for split in SPLITS},
            "made_with": made_with,
            "about": about,
            "attribution": attribution,
            "fingerprint": _fingerprint(draft),
        }
        (draft / CARD).write_text(json.dumps(stored, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        dest.mkdir(exist_ok=True)
        for child in sorted(draft.iterdir(), key=lambda child: child.name == CARD):  # the card last: it marks the end
            shutil.move(child, dest / child.name)
    card = _card(dest, stored)
    logger.info("Made the sample %s in %s", _describe({"name": name, **request}), card.summary())
    return card


def _find(dest: Path, *, name: str, request: Mapping[str, Any]) -> DatasetCard | None:
    """Return the card of the folder if the same request made it; None if the folder is missing or empty."""
    if dest.exists() and not dest.is_dir():
        raise DataError(f"{dest} is a file. Name a folder to write the sample {name} to.")
    if not dest.exists() or not any(dest.iterdir()):
        return None
    try:
        stored = parse_json((dest / CARD).read_bytes())
        made_by = {"name": stored["name"], **stored["request"]}
        card = _card(dest, stored)
        fingerprint = stored["fingerprint"]
    except (OSError, ValueError, KeyError, TypeError):
        raise DataError(
            f"{dest} is not empty and is no sample that tlkit made. Name a folder that does not exist yet."
        ) from None
    if made_by != {"name": name, **request}:
        raise DataError(
            f"{dest} holds the sample {_describe(made_by)}, not {_describe({'name': name, **request})}. "
            "Name another folder, or delete this one."
        )
    if fingerprint != _fingerprint(dest):
        raise DataError(
            f"{dest} holds the sample {name}, but its images or {METADATA} have changed since it was made. "
            "Name another folder, or delete this one."
        )
    logger.info("%s already holds this sample (%s): using it", dest, _describe(made_by))
    return card


def _card(root: Path, stored: Mapping[str, Any]) -> DatasetCard:
    fields = {name: value for name, value in stored.items() if name not in ("classes", "fingerprint")}
    return DatasetCard(root=root, classes=tuple(stored["classes"]), **fields)


def _fingerprint(root: Path) -> str:
    """Return the SHA-256 (hex) of every image's path and bytes, and of the metadata."""
    digest = hashlib.sha256()
    paths = [path for split in SPLITS for path in (root / split).rglob("*") if path.is_file()]
    for path in [*sorted(paths, key=lambda path: path.relative_to(root).as_posix()), root / METADATA]:
        content = path.read_bytes() if path.exists() else b""
        digest.update(f"{path.relative_to(root).as_posix()}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()


def _describe(request: Mapping[str, Any]) -> str:
    """Return "occupations, skew none, seed 0"."""
    return ", ".join(str(value) if key == "name" else f"{key} {value}" for key, value in request.items())


def _readme(name: str, request: Mapping[str, Any], made_with: Mapping[str, str], about: str, attribution: str) -> str:
    versions = ", ".join(f"{package} {version}" for package, version in made_with.items())
    arguments = ", ".join(f"{key} {value}" for key, value in request.items())
    return f"# Sample data: {name}\n\n{about}\n\nMade by tlkit with {versions}; {arguments}.\n\n{attribution}\n"
