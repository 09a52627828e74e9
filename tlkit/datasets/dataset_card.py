"""Sample dataset folders with a card of their origin: written once, then reused, never overwritten."""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from tlkit.csv_files import write_csv
from tlkit.datasets.packages import Package
from tlkit.disk import cache_folder, writing
from tlkit.errors import DataError
from tlkit.output_files import require_folder, require_folder_name
from tlkit.samples import SPLITS
from tlkit.stored_values import parse_json

logger = logging.getLogger(__name__)

CARD, METADATA, ATTRIBUTION, README = "dataset.json", "metadata.csv", "ATTRIBUTION.txt", "README.md"
MASKS = "masks"


@dataclass(frozen=True)
class DatasetCard:
    """Location, origin and attribution of a sample dataset.

    Attributes:
        root: the folder; an ImageFolder with the splits train, val and test, or images that `metadata.csv` lists.
        name: name of the sample.
        request: the arguments: seed, size and so on. The same request makes the same files.
        classes: class names, sorted; one folder each in every split.
        counts: images per split.
        made_with: versions of the packages that made the images.
        about: how the images were made and split.
        attribution: authors and licence of the images.
        listed: `metadata.csv` holds label and split of each image, since an image may have several labels.
        source_sha256: SHA-256 (hex) of the files of the packages; "" = not taken.
    """

    root: Path
    name: str
    request: Mapping[str, Any]
    classes: tuple[str, ...]
    counts: Mapping[str, int]
    made_with: Mapping[str, str]
    about: str
    attribution: str
    listed: bool = False
    source_sha256: str = ""

    @property
    def metadata(self) -> Path:
        """The CSV of group columns, keyed by `path` relative to the root."""
        return self.root / METADATA

    @property
    def manifest(self) -> Path | None:
        """The list of images with their labels; None where the folders say them."""
        return self.metadata if self.listed else None

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
        path: path below the root, "split/class/name.png"; with labels "split/name.png".
        content: the bytes of the image file.
        columns: value per metadata column, without `path`.
        labels: the labels of an image whose folder does not say its class; empty = the folder does.
        mask: the bytes of a PNG of class indices, 0 for the background; None = none. It lies below `masks`.
    """

    path: str
    content: bytes
    columns: Mapping[str, str] = field(default_factory=dict)
    labels: tuple[str, ...] = ()
    mask: bytes | None = None

    def row(self) -> dict[str, str]:
        """Return the image's row of `metadata.csv`."""
        listed = {"label": ";".join(self.labels), "split": self.path.split("/")[0]} if self.labels else {}
        return {"path": self.path, **listed, **self.columns, **({} if self.mask is None else {"mask": self.mask_path})}

    @property
    def mask_path(self) -> str:
        """The path of the mask below the root."""
        return f"{MASKS}/{Path(self.path).with_suffix('.png').as_posix()}"

    @property
    def classes(self) -> tuple[str, ...]:
        """The labels, or the class by the folder."""
        return self.labels or (self.path.split("/")[1],)


def make_dataset(
    dest: Path,
    make_images: Callable[[], Iterable[SampleImage]],
    *,
    name: str,
    request: Mapping[str, Any],
    packages: Iterable[Package],
    about: str,
    attribution: str,
    source_sha256: str = "",
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
        source_sha256: digest of the packages' files, for the card.

    Raises:
        DataError: `dest` is a file, or holds something else.
    """
    found = find_dataset(dest, name=name, request=request)
    if found is not None:
        return found
    require_folder_name(dest, name="The sample")
    require_folder(dest.absolute().parent, name=f"{dest}: its folder")
    dest.parent.mkdir(parents=True, exist_ok=True)
    with writing(dest), tempfile.TemporaryDirectory(dir=dest.parent, prefix=f".{dest.name}-") as folder:
        draft = Path(folder, "made")
        draft.mkdir()
        rows: list[dict[str, str]] = []
        classes: set[str] = set()
        listed = False
        for image in make_images():
            _write(draft / image.path, image.content)
            if image.mask is not None:
                _write(draft / image.mask_path, image.mask)
            rows.append(image.row())
            classes.update(image.classes)
            listed = listed or bool(image.labels)
        made_with = {package.name: package.version() for package in packages}
        verbatim = [name for name in ("path", "mask") if name in rows[0]]
        write_csv(draft / METADATA, pd.DataFrame(rows).sort_values("path"), verbatim=verbatim)
        (draft / ATTRIBUTION).write_text(attribution + "\n", encoding="utf-8")
        (draft / README).write_text(_readme(name, request, made_with, about, attribution), encoding="utf-8")
        stored = {
            "name": name,
            "request": dict(request),
            "classes": sorted(classes),
            "counts": {split: sum(row["path"].startswith(f"{split}/") for row in rows) for split in SPLITS},
            "made_with": made_with,
            "about": about,
            "attribution": attribution,
            **({"listed": True} if listed else {}),
            **({"source_sha256": source_sha256} if source_sha256 else {}),
            "fingerprint": _fingerprint(draft),
        }
        (draft / CARD).write_text(json.dumps(stored, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        if dest.exists():
            for child in sorted(draft.iterdir(), key=lambda child: child.name == CARD):  # the card marks the end
                shutil.move(child, dest / child.name)
        else:
            try:
                draft.rename(dest)
            except OSError:  # another process may have made the folder meanwhile
                found = find_dataset(dest, name=name, request=request)
                if found is None:
                    raise
                return found
    card = _card(dest, stored)
    logger.info("Made the sample %s in %s", _describe({"name": name, **request}), card.summary())
    return card


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def find_dataset(dest: Path, *, name: str, request: Mapping[str, Any]) -> DatasetCard | None:
    """Return the card of the folder if the same request made it; None if the folder is missing or empty.

    Raises:
        DataError: `dest` is a file, or holds something else.
    """
    if dest.is_symlink() and not dest.exists():
        raise DataError(
            f"{dest} is a link that leads nowhere. Remove it, or name a folder to write the sample {name} to."
        )
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
            f"{dest} is not empty and is no sample that tlkit made. "
            f"{_remedy(dest, 'Name a folder that does not exist yet.')}"
        ) from None
    if made_by != {"name": name, **request}:
        raise DataError(
            f"{dest} holds the sample {_describe(made_by)}, not {_describe({'name': name, **request})}. {_remedy(dest)}"
        )
    if fingerprint != _fingerprint(dest):
        raise DataError(
            f"{dest} holds the sample {name}, but its images or {METADATA} have changed since it was made. "
            f"{_remedy(dest)}"
        )
    logger.info("%s already holds this sample (%s): using it", dest, _describe(made_by))
    return card


def _remedy(dest: Path, elsewhere: str = "Name another folder, or delete this one.") -> str:
    """Return what to do about a folder that holds something else; that of `data.name` in a recipe cannot be chosen."""
    is_cached = dest.absolute().is_relative_to(cache_folder().absolute())
    return "It lies in tlkit's cache: delete it, and it is made again." if is_cached else elsewhere


def _card(root: Path, stored: Mapping[str, Any]) -> DatasetCard:
    """Return the card of stored values.

    Raises:
        KeyError, TypeError: one is missing, unknown or of another kind.
    """
    fields = {name: value for name, value in stored.items() if name not in ("classes", "fingerprint")}
    wrong = [name for name in ("request", "counts", "made_with") if not isinstance(fields[name], Mapping)]
    wrong += [name for name in ("name", "about", "attribution") if not isinstance(fields[name], str)]
    if wrong or not all(type(count) is int for count in fields["counts"].values()):
        raise TypeError(f"{', '.join(wrong) or 'counts'} is of another kind")
    return DatasetCard(root=root, classes=tuple(stored["classes"]), **fields)


def _fingerprint(root: Path) -> str:
    """Return the SHA-256 (hex) of the path and bytes of every image and mask, and of the metadata."""
    digest = hashlib.sha256()
    paths = [path for part in (*SPLITS, MASKS) for path in (root / part).rglob("*") if path.is_file()]
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
