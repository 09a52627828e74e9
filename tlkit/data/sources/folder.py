"""Scans a folder of class folders, with or without split folders, into a table of samples; opens no image."""

from __future__ import annotations

import logging
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pandas as pd

from tlkit.data.checks.finding_kinds import KINDS
from tlkit.data.decode.formats import EXTENSIONS
from tlkit.errors import DataError, did_you_mean, first_few
from tlkit.samples import DIGEST, LABEL, PATH, SPLIT, SPLITS, Samples

logger = logging.getLogger(__name__)

SAMPLES = ("occupations", "digits")
"""The names of the datasets that `tlkit data sample` makes."""

SPLIT_ALIASES = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}
"""Names of split folders, compared in lower case."""

JUNK_FOLDERS = {"__macosx", "@eadir", "$recycle.bin", "system volume information", "lost+found", "__pycache__"}
JUNK_FILES = {"thumbs.db", "desktop.ini", "icon\r"}


Ignored = defaultdict[str, list[str]]
"""Ignored files and folders, relative to the root, by kind of finding (see `KINDS`)."""


def scan_folder(root: str | Path, *, complete: bool = True) -> Samples:
    """Return a folder of images as a table of samples, sorted by path.

    There are two layouts: `root/CLASS/…/image.jpg`, and `root/SPLIT/CLASS/…/image.jpg` with the splits train (or
    training), val (valid, validation) and test (testing). Class folders are searched at every depth. Without split
    folders every image belongs to train; `hold_out` can move some to val and test.

    Args:
        root: the folder.
        complete: the folder holds the whole dataset; else a part, which may lack classes.

    Returns:
        Samples with the classes of all splits, sorted by code point as torchvision sorts them, digests unknown.

    Raises:
        DataError: the folder is missing or empty, has a single class, or mixes layouts. Whether each class has training
            images is checked by `require_trainable`.
    """
    survey = survey_folder(root, complete=complete)
    for kind, items in survey.ignored.items():
        if items:
            logger.info("Ignoring %s (%d): %s.", KINDS[kind].what, len(items), first_few(items))
    if survey.problems:
        raise DataError(*survey.problems)
    _log_repeated_folders(survey.samples)
    return survey.samples


ListedIn = Literal["", "list", "shards"]


@dataclass(frozen=True)
class Survey:
    """The images of a source, whether or not it can be used for training.

    Attributes:
        samples: the images; may be none.
        ignored: ignored files and folders by kind of finding.
        problems: the errors that `scan_folder` would raise.
        listed_in: "list" or "shards" where only the images that it names are known, not other files in the folders.
    """

    samples: Samples
    ignored: Mapping[str, Sequence[str]]
    problems: tuple[str, ...]
    listed_in: ListedIn = ""


def survey_folder(root: str | Path, *, complete: bool = True) -> Survey:
    """Return the images of a folder with the errors that `scan_folder` would raise.

    Args:
        root: the folder.
        complete: as for `scan_folder`.

    Raises:
        DataError: the folder is missing, or cannot be listed.
    """
    root = Path(root)
    require_folder(root)
    ignored = Ignored(list)
    problems: tuple[str, ...] = ()
    try:
        splits, classes = _layout(root, ignored)
    except DataError as error:
        problems, ignored = error.problems, Ignored(list)
        splits, classes = {"train": ""}, _folders(root, root, ignored)
    samples = _samples(root, splits, classes, ignored)
    if not problems:
        try:
            _check(samples, splits, ignored, complete=complete)
        except DataError as error:
            problems = error.problems
    return Survey(samples, ignored, problems)


def _samples(root: Path, splits: dict[str, str], classes: list[str], ignored: Ignored) -> Samples:
    rows: list[tuple[str, str, str, str]] = []
    for split, folder in splits.items():
        for name in _folders(root / folder, root, ignored) if folder else classes:
            place = f"{folder}/{name}" if folder else name
            found = list(_images(root, place, ignored))
            rows += [(path, name, split, "") for path in found]
            if not found:
                ignored["empty-class"].append(f"{place}/")
    rows.sort()
    table = pd.DataFrame(rows, columns=[PATH, LABEL, SPLIT, DIGEST], dtype="str")
    return Samples(root, tuple(sorted(set(table[LABEL]))), table)


def _log_repeated_folders(samples: Samples) -> None:
    """Log folder names that repeat below every class; they may be the classes: 2023/ant, 2023/bee, 2024/ant."""
    if {path.split("/")[0] for path in samples.table[PATH]} != set(samples.classes):
        return  # the folders at the top are splits
    below: dict[str, set[str]] = {name: set() for name in samples.classes}
    for path, label in zip(samples.table[PATH], samples.table[LABEL], strict=True):
        inner = path.split("/")[1:-1]
        if not inner:
            return
        below[label].add(inner[0])
    repeated = sorted(set.intersection(*below.values()))
    if len(repeated) > 1:
        roots = ", ".join(str(samples.root / name) for name in list(below)[:3]) + (", …" if len(below) > 3 else "")
        logger.info(
            "The classes are %s, and each of them holds folders of the same names: %s. If those are the classes, list "
            "the folders above them: data.root: [%s].",
            first_few(list(below)),
            first_few(repeated),
            roots,
        )


def require_folder(root: Path) -> None:
    """Check that a folder of images exists.

    Raises:
        DataError: it does not; the message suggests the nearest names.
    """
    if root.is_dir():
        return
    if root.exists():
        raise DataError(f"{root} is a file, not a folder. Give the folder that holds one folder per class.")
    parent = root
    while not parent.is_dir() and parent != parent.parent:
        missing, parent = parent.name, parent.parent
    known = [entry.name for entry in parent.iterdir() if entry.is_dir()]
    hint = did_you_mean(missing, known)
    place = "the working directory" if parent == Path() else str(parent)
    where = f" There is no {missing!r} in {place}." if hint else f" The nearest folder that exists is {place}."
    made = f" `tlkit data sample` makes the sample dataset {root.name}." if root.name in SAMPLES and not hint else ""
    raise DataError(f"The folder {root} does not exist.{where}{hint}{made}")


def _layout(root: Path, ignored: Ignored) -> tuple[dict[str, str], list[str]]:
    """Return the split folders, {split: folder name}, or {"train": ""} and the class folders."""
    folders = _folders(root, root, ignored)
    named = {name: SPLIT_ALIASES[name.lower()] for name in folders if name.lower() in SPLIT_ALIASES}
    nested = [name for name in named if _folders(root / name, root, Ignored(list))]
    if not nested:
        flat = [name for name in named if _holds_images(root, name)]
        if flat and not [name for name in folders if name not in flat and _holds_images(root, name)]:
            raise DataError(
                f"{root} has {_listed(flat)}, but no class folders in them. Put each class into a folder of its own: "
                f"{flat[0]}/CLASS/image.jpg."
            )
        if flat:
            logger.info("%s holds images directly, so it is a class, not a split.", _listed(flat))
        return {"train": ""}, folders
    problems = []
    for split in SPLITS:
        same = [name for name in nested if named[name] == split]
        if len(same) > 1:
            problems.append(f"{root} has {_listed(same)}, which both mean {split}. Keep one of them.")
    others = [name for name in folders if name not in named and _holds_images(root, name)]
    if others:
        problems.append(
            f"{root} mixes layouts: split folders {_listed(nested)} and other folders with images {_listed(others)}. "
            "Keep either split folders or class folders at the top."
        )
    splits = {named[name]: name for name in nested}
    if not problems and "train" not in splits:
        problems.append(
            f"{root} has {_listed(nested)}, but no train folder. Add train/CLASS/image.jpg, or give a folder of class "
            "folders and let tlkit hold out a share of it."
        )
    if problems:
        raise DataError(*problems)
    for name in sorted(set(named) - set(nested)):
        ignored["loose"] += _images(root, name, ignored)
    return {split: splits[split] for split in SPLITS if split in splits}, []


def _listed(names: Iterable[str]) -> str:
    return " and ".join(f"{name}/" for name in sorted(names))


def _is_junk(name: str, *, folder: bool) -> bool:
    return name.startswith(".") or name.lower() in (JUNK_FOLDERS if folder else JUNK_FILES)


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        raise DataError(f"The folder {folder} cannot be read: {error.strerror}.") from error


def _folders(folder: Path, root: Path, ignored: Ignored) -> list[str]:
    """Return the names of the folders directly in `folder`; add junk and loose images to `ignored`."""
    names = []
    for entry in _entries(folder):
        place = (Path(folder) / entry.name).relative_to(root).as_posix()
        if entry.is_dir():
            if _is_junk(entry.name, folder=True):
                ignored["junk"].append(f"{place}/")
            elif not _is_utf8(entry.name):
                ignored["not-utf8"].append(ascii(place))
            else:
                names.append(entry.name)
        elif _is_junk(entry.name, folder=False):
            ignored["junk"].append(place)
        elif _is_image(entry.name):
            ignored["loose"].append(place)
    return names


def _images(root: Path, place: str, ignored: Ignored, above: frozenset[tuple[int, int]] | None = None) -> Iterator[str]:
    """Yield the images below `place` (relative to `root`), each path relative to `root`; links are followed once."""
    folder = root / place
    if above is None:
        above = frozenset(_identity(root / parent) for parent in Path(place).parents)
    identity = _identity(folder)
    if identity in above:
        ignored["loop"].append(f"{place}/")
        return
    for entry in _entries(folder):
        path = f"{place}/{entry.name}"
        is_folder = entry.is_dir()
        if _is_junk(entry.name, folder=is_folder):
            ignored["junk"].append(f"{path}/" if is_folder else path)
        elif not _is_utf8(entry.name):
            ignored["not-utf8"].append(ascii(path))
        elif is_folder:
            yield from _images(root, path, ignored, above | {identity})
        elif not entry.is_file():
            ignored["broken-link"].append(path)
        elif _is_image(entry.name):
            yield path
        else:
            ignored["not-by-name"].append(path)


def _identity(folder: Path) -> tuple[int, int]:
    status = folder.stat()
    return status.st_dev, status.st_ino


def _holds_images(root: Path, place: str) -> bool:
    return next(_images(root, place, Ignored(list)), None) is not None


def _is_image(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in EXTENSIONS  # noqa: PTH122  a Path for each of a million names is slow


def _is_utf8(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _check(samples: Samples, splits: dict[str, str], ignored: Ignored, *, complete: bool) -> None:
    root = samples.root
    if not len(samples):
        raise DataError(
            f"{root} holds no images in class folders. "
            f"tlkit looks for CLASS/image.jpg or train/CLASS/image.jpg, with the endings {', '.join(EXTENSIONS)}."
            + (f" Images outside a class folder: {first_few(ignored['loose'])}." if ignored["loose"] else "")
        )
    if not complete:
        return
    if len(samples.classes) == 1:
        only = samples.classes[0]
        inner = root / only
        nested = any((inner / entry.name).is_dir() for entry in _entries(inner)) if inner.is_dir() else False
        hint = f" Did you mean {inner}?" if nested else " Give each class a folder of its own."
        raise DataError(f"{root} has only one class, {only!r}; a classifier needs at least two.{hint}")
    for split, folder in splits.items():
        if split != "train" and not (samples.table[SPLIT] == split).any():
            logger.warning("%s/ holds no images; it is treated as absent.", folder)
