"""Folders of images beside a folder of masks, for segmentation; no file is opened."""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import pandas as pd

from tlkit.data.sources.entries import Entries, Entry, Survey
from tlkit.data.sources.folder import require_folder
from tlkit.data.sources.list_options import ListOptions
from tlkit.data.sources.shard_splits import SPLIT_ALIASES
from tlkit.data.sources.walk import walk_images
from tlkit.errors import DataError, first_few
from tlkit.samples import DIGEST, LABEL, PATH, SPLIT, Samples

logger = logging.getLogger(__name__)

ENDING = ".png"
LACKING, EXTRA = "no-mask", "extra-mask"
"""Kinds of entries: images without a mask, and masks of no image."""


def scan_mask_folders(roots: Sequence[Path], options: ListOptions) -> Samples:
    """Return the images of a folder with the paths of their masks, sorted by path.

    The mask of `root/a/b.jpg` is `masks/a/b.png`. A folder train, val or test (or an alias) at the top of `root` states
    the split of its images; else every image belongs to train.

    Args:
        roots: the folder of images; other folders cannot be merged with it.
        options: the folder and the classes of the masks.

    Raises:
        DataError: a folder is missing or empty, images have no mask, or two share one; named and counted.
    """
    survey = survey_mask_folders(roots, options)
    if survey.problems:
        raise DataError(*survey.problems)
    if extra := [entry.name for entry in survey.entries.skipped if entry.kind == EXTRA]:
        named = first_few(extra)
        logger.warning(
            "%d masks in %s belong to no image and are not used: %s.", len(extra), options.mask_folder, named
        )
    others = [entry for entry in survey.entries.skipped if entry.kind not in ("junk", "not-by-name", EXTRA)]
    if others:
        logger.warning("%d entries of %s are not read: %s.", len(others), roots[0], first_few(others))
    return survey.samples


def survey_mask_folders(roots: Sequence[Path], options: ListOptions) -> Survey:
    """Return the images that have a mask, with the errors that `scan_mask_folders` would raise; arguments as there.

    Raises:
        DataError: a folder is missing, or there are several folders of images.
    """
    assert options.masks is not None, "checked when the options were made"
    if len(roots) != 1 or not options.mask_folder:
        raise DataError(
            "Masks belong to one folder of images: data.root and data.masks. Of several folders, write a list with the "
            "columns path and label, the path of the mask: data.manifest."
        )
    root, folder = roots[0], Path(options.mask_folder)
    for one in (root, folder):
        require_folder(one)
    skipped: list[Entry] = []
    inside = _below(folder, root)
    images = [path for path in walk_images(root, "", skipped) if not (inside and path.startswith(f"{inside}/"))]
    skipped = [entry for entry in skipped if not (inside and entry.name.startswith(f"{inside}/"))]
    masks = {path for path in walk_images(folder, "", []) if path.lower().endswith(ENDING)}
    by_name = {path[: -len(ENDING)]: path for path in sorted(masks)}
    stems = [PurePosixPath(path).with_suffix("").as_posix() for path in images]
    lacking = [path for path, stem in zip(images, stems, strict=True) if stem not in by_name]
    shared = sorted(stem for stem, count in Counter(stems).items() if count > 1)
    problems = []
    if not images:
        problems.append(f"{root} holds no images besides masks.")
    if lacking:
        problems.append(
            f"{len(lacking)} of {len(images)} images in {root} have no mask in {folder}: {first_few(lacking)}. The "
            f"mask of {lacking[0]} is {PurePosixPath(lacking[0]).with_suffix(ENDING)} there, a PNG file. Add it, or "
            "move the image away."
        )
    if shared:
        problems.append(
            f"{len(shared)} masks in {folder} belong to two images each, which differ in their endings: "
            f"{first_few(shared)}. Keep one image for each mask."
        )
    above = Path(os.path.relpath(folder, root)).as_posix()
    rows = [
        (path, f"{above}/{by_name[stem]}", SPLIT_ALIASES.get(path.split("/")[0].lower(), "train"), "")
        for path, stem in zip(images, stems, strict=True)
        if stem in by_name
    ]
    table = pd.DataFrame(sorted(rows), columns=[PATH, LABEL, SPLIT, DIGEST], dtype="str")
    problems += _mixed_splits(table, root)
    skipped += [Entry(LACKING, path) for path in lacking]
    skipped += [
        Entry("shared-mask", path)
        for path, stem in zip(images, stems, strict=True)
        if stem in shared and stem in by_name
    ]
    skipped += [Entry(EXTRA, f"{above}/{by_name[stem]}") for stem in sorted(set(by_name) - set(stems))]
    table = table[~table[PATH].isin([entry.name for entry in skipped])].reset_index(drop=True)
    samples = Samples(root, options.masks.names, table, "segmentation", options.masks)
    entries = Entries(read=len(table), companions=len(table), skipped=tuple(skipped))
    return Survey(samples, entries, tuple(problems))


def _mixed_splits(table: pd.DataFrame, root: Path) -> list[str]:
    """Return what is wrong where folders state splits and other images lie beside them."""
    top = table[PATH].str.split("/").str[0].str.lower()
    stated = top.isin(list(SPLIT_ALIASES)) & table[PATH].str.contains("/", regex=False)
    if not stated.any() or stated.all():
        return []
    others = table[PATH][~stated].tolist()
    return [
        f"{root} mixes split folders with {len(others)} other images: {first_few(others)}. Put all images into train, "
        "val or test, or none."
    ]


def _below(folder: Path, root: Path) -> str:
    """Return the path of a folder below another one; "" where it is not."""
    try:
        return folder.resolve().relative_to(root.resolve()).as_posix()
    except ValueError:
        return ""
