"""Scans a folder of class folders, with or without split folders, into a table of samples; opens no image."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path
from typing import get_args

import pandas as pd

from tlkit.choices import DatasetName
from tlkit.data.decode.formats import readable_endings
from tlkit.data.sources.entries import Entries, Entry, Survey
from tlkit.data.sources.shard_splits import SPLIT_ALIASES
from tlkit.data.sources.walk import is_archive, list_folder, skip_reason, walk_images
from tlkit.errors import DataError, did_you_mean, first_few
from tlkit.samples import DIGEST, LABEL, PATH, SPLIT, SPLITS, Samples

logger = logging.getLogger(__name__)


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
    survey.entries.log()
    if survey.empty_classes:
        logger.info(
            "Ignoring class folders without images (%d): %s.",
            len(survey.empty_classes),
            first_few(survey.empty_classes),
        )
    if survey.problems:
        raise DataError(*survey.problems)
    _log_repeated_folders(survey.samples)
    return survey.samples


def survey_folder(root: str | Path, *, complete: bool = True) -> Survey:
    """Return the images of a folder with the errors that `scan_folder` would raise.

    Args:
        root: the folder.
        complete: as for `scan_folder`.

    Raises:
        DataError: the folder is missing, or cannot be listed.
    """
    root = Path(root)
    require_image_folder(root)
    skipped: list[Entry] = []
    problems: tuple[str, ...] = ()
    try:
        splits, classes = _layout(root, skipped)
    except DataError as error:
        problems = error.problems
        skipped.clear()
        splits, classes = {"train": ""}, _folders(root, root, skipped)
    samples, empty = _samples(root, splits, classes, skipped)
    unread = [entry for entry in skipped if entry.kind == "cannot-open"]
    if not problems and unread:
        problems = (f"{root} holds folders or files that cannot be read ({len(unread)}): {first_few(unread)}.",)
    if not problems:
        try:
            _check(samples, splits, skipped, complete=complete)
        except DataError as error:
            problems = error.problems
    return Survey(samples, Entries(read=len(samples), skipped=tuple(skipped)), problems, empty)


def _samples(
    root: Path, splits: dict[str, str], classes: list[str], skipped: list[Entry]
) -> tuple[Samples, tuple[str, ...]]:
    """Return the images, and the class folders without any."""
    rows: list[tuple[str, str, str, str]] = []
    empty: list[str] = []
    for split, folder in splits.items():
        for name in _folders(root / folder, root, skipped) if folder else classes:
            place = f"{folder}/{name}" if folder else name
            found = list(walk_images(root, place, skipped))
            rows += [(path, name, split, "") for path in found]
            if not found:
                empty.append(f"{place}/")
    rows.sort()
    table = pd.DataFrame(rows, columns=[PATH, LABEL, SPLIT, DIGEST], dtype="str")
    return Samples(root, tuple(sorted(set(table[LABEL]))), table), tuple(sorted(empty))


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


def require_image_folder(root: Path) -> None:
    """Check that a folder of images exists.

    Raises:
        DataError: it does not; the message suggests the nearest names.
    """
    if root.is_dir():
        return
    if root.exists():
        remedy = "Unpack it, and give" if is_archive(root.name) else "Give"
        raise DataError(f"{root} is a file, not a folder. {remedy} the folder that holds one folder per class.")
    if root.is_symlink():
        raise DataError(f"The folder {root} is a link to {root.readlink()}, which leads nowhere. Mend the link.")
    parent = root
    while not parent.is_dir() and parent != parent.parent:
        missing, parent = parent.name, parent.parent
    known = [entry.name for entry in parent.iterdir() if entry.is_dir()]
    hint = did_you_mean(missing, known)
    place = "the working directory" if parent == Path() else str(parent)
    where = f" There is no {missing!r} in {place}." if hint else f" The nearest folder that exists is {place}."
    is_sample = root.name in get_args(DatasetName) and not hint
    made = f" `tlkit data sample` makes the sample dataset {root.name}." if is_sample else ""
    raise DataError(f"The folder {root} does not exist.{where}{hint}{made}")


def _layout(root: Path, skipped: list[Entry]) -> tuple[dict[str, str], list[str]]:
    """Return the split folders, {split: folder name}, or {"train": ""} and the class folders."""
    folders = _folders(root, root, skipped)
    named = {name: SPLIT_ALIASES[name.lower()] for name in folders if name.lower() in SPLIT_ALIASES}
    nested = [name for name in named if _folders(root / name, root, [])]
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
    if problems:
        raise DataError(*problems)
    for name in sorted(set(folders) - set(nested)):  # a split without class folders, or a folder without images
        skipped += [Entry("loose", path) for path in walk_images(root, name, skipped)]
    return {split: splits[split] for split in SPLITS if split in splits}, []


def _listed(names: Iterable[str]) -> str:
    return " and ".join(f"{name}/" for name in sorted(names))


def _folders(folder: Path, root: Path, skipped: list[Entry]) -> list[str]:
    """Return the names of the folders directly in `folder`; add everything else to `skipped`."""
    names = []
    for entry in list_folder(folder):
        place = (Path(folder) / entry.name).relative_to(root).as_posix()
        reason = skip_reason(entry, place)
        if entry.kind == "folder" and reason is None:
            names.append(entry.name)
        else:
            skipped.append(reason or Entry("loose", place))
    return names


def _holds_images(root: Path, place: str) -> bool:
    return next(walk_images(root, place, []), None) is not None


def _check(samples: Samples, splits: dict[str, str], skipped: list[Entry], *, complete: bool) -> None:
    root = samples.root
    if not len(samples):
        loose = [entry for entry in skipped if entry.kind == "loose"]
        unread = [entry for entry in skipped if entry.kind == "unread-format"]
        raise DataError(
            f"{root} holds no images in class folders. "
            "tlkit looks for CLASS/image.jpg or train/CLASS/image.jpg, with the endings "
            f"{', '.join(readable_endings())}."
            + (f" Images outside a class folder: {first_few(loose)}." if loose else "")
            + (f" Images in formats that are not read here: {first_few(unread)}." if unread else "")
        )
    if not complete:
        return
    if len(samples.classes) == 1:
        only = samples.classes[0]
        inner = root / only
        nested = inner.is_dir() and any(entry.kind == "folder" for entry in list_folder(inner))
        hint = f" Did you mean {inner}?" if nested else " Give each class a folder of its own."
        raise DataError(f"{root} has only one class, {only!r}; a classifier needs at least two.{hint}")
    for split, folder in splits.items():
        if split != "train" and not (samples.table[SPLIT] == split).any():
            logger.warning("%s/ holds no images; it is treated as absent.", folder)
