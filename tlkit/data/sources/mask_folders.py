"""Folders of images beside a folder of masks, for segmentation; no file is opened."""

from __future__ import annotations

import logging
import os
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import pandas as pd

from tlkit.data.sources.entries import Entries, Entry, Survey
from tlkit.data.sources.folder import require_image_folder
from tlkit.data.sources.list_options import ListOptions
from tlkit.data.sources.shard_splits import SPLIT_ALIASES
from tlkit.data.sources.walk import walk_images
from tlkit.errors import DataError, first_few
from tlkit.samples import DIGEST, LABEL, PATH, SPLIT, Samples

logger = logging.getLogger(__name__)

ENDING = ".png"
LACKING, EXTRA, SHARED, SEVERAL = "no-mask", "extra-mask", "shared-mask", "several-masks"
"""Kinds of entries: images without a mask, masks of no image, images that share one, and images with several."""


def scan_mask_folders(roots: Sequence[Path], options: ListOptions) -> Samples:
    """Return the images of a folder with the paths of their masks, sorted by path.

    The mask of `root/a/b.jpg` is `masks/a/b.png`. A folder train, val or test (or an alias) at the top of `root` states
    the split of its images; else every image belongs to train.

    Args:
        roots: the folder of images; other folders cannot be merged with it.
        options: the folder and the classes of the masks.

    Raises:
        DataError: a folder is missing or empty, images have no mask or several, or two share one; named and counted.
    """
    survey = survey_mask_folders(roots, options)
    if survey.problems:
        raise DataError(*survey.problems)
    if extra := [entry for entry in survey.entries.skipped if entry.kind == EXTRA]:
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
        DataError: a folder is missing, there are several folders of images, or the masks lie among the images.
    """
    assert options.masks is not None, "checked when the options were made"
    if len(roots) != 1 or not options.mask_folder:
        raise DataError(
            "Masks belong to one folder of images: data.root and data.masks. Of several folders, write a list with the "
            "columns path and label, the path of the mask: data.manifest."
        )
    root, folder = roots[0], Path(options.mask_folder)
    for one in (root, folder):
        require_image_folder(one)
    if folder.resolve() == root.resolve():
        raise DataError(
            f"data.root and data.masks are one folder, {root}. Move the masks into a folder of their own, such as "
            f"{root / 'masks'}."
        )
    images, skipped = _entries_without(root, _below(folder, root))
    named, others = _entries_without(folder, _below(root, folder))
    above = Path(os.path.relpath(folder, root)).as_posix()
    skipped += [entry._replace(name=f"{above}/{entry.name}") for entry in others]
    masks: dict[str, list[str]] = {}
    for path in named:
        if path.lower().endswith(ENDING):
            masks.setdefault(path[: -len(ENDING)], []).append(path)
        else:
            skipped.append(Entry(EXTRA, f"{above}/{path}", "not a PNG file"))
    stems = [PurePosixPath(path).with_suffix("").as_posix() for path in images]
    lacking = [path for path, stem in zip(images, stems, strict=True) if stem not in masks]
    shared = {stem for stem, count in Counter(stems).items() if count > 1 and stem in masks}
    several = {stem for stem in stems if len(masks.get(stem, ())) > 1}
    wrong = dict.fromkeys(several, SEVERAL) | dict.fromkeys(shared, SHARED)
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
            f"{first_few(sorted(shared))}. Keep one image for each mask."
        )
    if several:
        problems.append(
            f"{len(several)} images in {root} have several masks in {folder}, whose names differ in case alone: "
            f"{first_few([' and '.join(masks[stem]) for stem in sorted(several)])}. Keep one of them."
        )
    rows = [
        (path, f"{above}/{masks[stem][0]}", SPLIT_ALIASES.get(path.split("/")[0].lower(), "train"), "")
        for path, stem in zip(images, stems, strict=True)
        if stem in masks and stem not in wrong
    ]
    table = pd.DataFrame(sorted(rows), columns=[PATH, LABEL, SPLIT, DIGEST], dtype="str")
    problems += _mixed_splits(table, root)
    skipped += [Entry(LACKING, path) for path in lacking]
    skipped += [
        Entry(wrong[stem], path, " and ".join(masks[stem]))
        for path, stem in zip(images, stems, strict=True)
        if stem in wrong
    ]
    wrong |= dict.fromkeys(set(masks) - set(stems), EXTRA)
    skipped += [
        Entry(wrong[stem], f"{above}/{file}") for stem in sorted(set(masks) & set(wrong)) for file in masks[stem]
    ]
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


def _entries_without(folder: Path, left_out: str) -> tuple[list[str], list[Entry]]:
    """Return the images of a folder and its other entries, without those of a folder below it; "" = none is there."""
    skipped: list[Entry] = []
    images = list(walk_images(folder, "", skipped))
    if left_out:
        within = re.compile(rf"{re.escape(left_out)}(/|$)")
        images = [path for path in images if not within.match(path)]
        skipped = [entry for entry in skipped if not within.match(entry.name)]
    return images, skipped


def _below(folder: Path, root: Path) -> str:
    """Return the path of a folder below another one; "" where it is not."""
    try:
        return folder.resolve().relative_to(root.resolve()).as_posix()
    except ValueError:
        return ""
