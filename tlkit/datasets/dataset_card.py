"""A folder of sample images with a card that says how it was made: written once, then recognised, never overwritten."""

from __future__ import annotations

import csv
import hashlib
import json
import logging
import shutil
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tlkit.errors import DataError

logger = logging.getLogger(__name__)

CARD, METADATA, ATTRIBUTION, README = "dataset.json", "metadata.csv", "ATTRIBUTION.txt", "README.md"
SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class DatasetCard:
    """What a sample dataset is, where it lies and whom to credit.

    Attributes:
        root: the folder; an ImageFolder with the splits train, val and test.
        name: name of the sample.
        request: what was asked for: seed, size and so on. The same request makes the same files.
        classes: class names, sorted; one folder each in every split.
        counts: images per split.
        made_with: versions of the packages that made the images.
        about: how the images were made and split, in plain words.
        attribution: whom to credit, and the licence of the images.
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
        """Return a line that says what is there.

        Example:
            >>> DatasetCard(Path("d"), "digits", {}, ("0", "1"), {"train": 6, "test": 2}, {}, "", "").summary()
            'd: 8 images of 2 classes (train 6, test 2)'
        """
        splits = ", ".join(f"{name} {count}" for name, count in self.counts.items())
        return f"{self.root}: {sum(self.counts.values())} images of {len(self.classes)} classes ({splits})"


@dataclass(frozen=True)
class SampleImage:
    """One image of a sample: its place, its bytes, and what the metadata say of it.

    Attributes:
        path: place below the root, "split/class/name.png".
        content: the bytes of the PNG file.
        columns: value per metadata column, without `path`.
    """

    path: str
    content: bytes
    columns: Mapping[str, str]


def find_dataset(dest: Path, *, name: str, request: Mapping[str, Any]) -> DatasetCard | None:
    """Return the card of the folder if the same request made it, None if the folder is free to be written.

    Args:
        dest: the folder.
        name: name of the sample.
        request: what is asked for now.

    Raises:
        DataError: the folder is a file, or holds anything else.
    """
    if dest.exists() and not dest.is_dir():
        raise DataError(f"{dest} is a file. Name a folder to write the sample {name} to.")
    if not dest.exists() or not any(dest.iterdir()):
        return None
    try:
        stored = json.loads((dest / CARD).read_text(encoding="utf-8"))
        made_by = {"name": stored["name"], **stored["request"]}
        card = _card(dest, stored)
        fingerprint = stored["fingerprint"]
    except (OSError, ValueError, KeyError, TypeError):
        raise DataError(
            f"{dest} is not empty, and no sample that tlkit made. Name a folder that does not exist yet."
        ) from None
    if made_by != {"name": name, **request}:
        raise DataError(
            f"{dest} holds the sample {_words(made_by)}; asked for was {_words({'name': name, **request})}. "
            "Name another folder, or delete this one to make it anew."
        )
    if fingerprint != _fingerprint(dest):
        raise DataError(
            f"{dest} holds the sample {name}, but its images or {METADATA} were changed since it was made. "
            "Name another folder, or delete this one to make it anew."
        )
    logger.info("%s already holds this sample (%s): using it as it is", dest, _words(made_by))
    return card


def write_dataset(
    dest: Path,
    images: Iterable[SampleImage],
    *,
    name: str,
    request: Mapping[str, Any],
    made_with: Mapping[str, str],
    about: str,
    attribution: str,
) -> DatasetCard:
    """Write a sample into a folder that `find_dataset` found free; what fails half-way leaves nothing behind.

    Args:
        dest: the folder; it is made where it is missing.
        images: the images, in any order.
        name: name of the sample.
        request: what was asked for, JSON values.
        made_with: versions of the packages that made the images.
        about: how the images were made and split.
        attribution: whom to credit, and the licence.
    """
    dest.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=dest.parent, prefix=f".{dest.name}-") as folder:
        draft = Path(folder)
        rows = []
        for image in images:
            path = draft / image.path
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(image.content)
            rows.append({"path": image.path, **image.columns})
        _write_metadata(draft / METADATA, rows)
        (draft / ATTRIBUTION).write_text(attribution + "\n", encoding="utf-8")
        (draft / README).write_text(_readme(name, request, made_with, about, attribution), encoding="utf-8")
        stored = {
            "name": name,
            "request": dict(request),
            "classes": sorted({row["path"].split("/")[1] for row in rows}),
            "counts": {split: sum(row["path"].startswith(f"{split}/") for row in rows) for split in SPLITS},
            "made_with": dict(made_with),
            "about": about,
            "attribution": attribution,
            "fingerprint": _fingerprint(draft),
        }
        (draft / CARD).write_text(json.dumps(stored, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        dest.mkdir(exist_ok=True)
        for child in sorted(draft.iterdir(), key=lambda child: child.name == CARD):  # the card last: it says "whole"
            shutil.move(child, dest / child.name)
    card = _card(dest, stored)
    logger.info("Made the sample %s in %s", _words({"name": name, **request}), card.summary())
    return card


def _card(root: Path, stored: Mapping[str, Any]) -> DatasetCard:
    return DatasetCard(
        root=root,
        name=stored["name"],
        request=stored["request"],
        classes=tuple(stored["classes"]),
        counts=stored["counts"],
        made_with=stored["made_with"],
        about=stored["about"],
        attribution=stored["attribution"],
    )


def _write_metadata(path: Path, rows: Sequence[Mapping[str, str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(sorted(rows, key=lambda row: row["path"]))


def _fingerprint(root: Path) -> str:
    """Return the SHA-256 (hex) of every image's path and bytes, and of the metadata."""
    digest = hashlib.sha256()
    paths = [path for split in SPLITS for path in (root / split).rglob("*") if path.is_file()]
    for path in [*sorted(paths, key=lambda path: path.relative_to(root).as_posix()), root / METADATA]:
        content = path.read_bytes() if path.exists() else b""
        digest.update(f"{path.relative_to(root).as_posix()}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()


def _words(request: Mapping[str, Any]) -> str:
    """Return "occupations, skew none, seed 0"."""
    return ", ".join(str(value) if key == "name" else f"{key} {value}" for key, value in request.items())


def _readme(name: str, request: Mapping[str, Any], made_with: Mapping[str, str], about: str, attribution: str) -> str:
    versions = ", ".join(f"{package} {version}" for package, version in made_with.items())
    asked = ", ".join(f"{key} {value}" for key, value in request.items())
    return f"# Sample data: {name}\n\n{about}\n\nMade by tlkit with {versions}; {asked}.\n\n{attribution}\n"
