"""Where images come from: folders, a list of files, or tar shards; all of them become one table of samples."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from tlkit.data.folder import scan_folder
from tlkit.data.manifest import SUFFIXES, read_manifest
from tlkit.data.shards import read_shards
from tlkit.data.split import require_trainable
from tlkit.errors import DataError
from tlkit.samples import PATH, Samples

logger = logging.getLogger(__name__)

Root = str | Path | Sequence[str | Path]


def read_samples(
    root: Root = (),
    *,
    manifest: str | Path | None = None,
    shards: str | Sequence[str] = (),
    columns: Sequence[str] = (),
) -> Samples:
    """Read the table of images from wherever they are, unopened.

    Args:
        root: a folder of class folders (see `scan_folder`); a list of such folders, merged by class name; or a file
            that lists images (see `read_manifest`); or tar shards. With `manifest`: the folder that its paths are
            relative to.
        manifest: a CSV or Parquet file that lists images.
        shards: tar files in WebDataset's format, or patterns of them (see `read_shards`), instead of a folder.
        columns: group columns to take from the manifest or the shards.

    Raises:
        DataError: what is given is missing, wrong or holds no classes to learn.
    """
    roots = [Path(root)] if isinstance(root, str | Path) else [Path(one) for one in root]
    if not shards and manifest is None and roots and all(is_shard(one) for one in roots):
        shards = [str(one) for one in roots]
    if shards:
        samples = read_shards(shards, columns=columns)
        require_trainable(samples, where="the shards")
        return samples
    if manifest is None and len(roots) == 1 and is_list(roots[0]):
        roots, manifest = [], roots[0]
    if manifest is not None:
        samples = read_manifest(manifest, root=roots[0] if roots else None, columns=columns)
        logger.info("%s lists %d images below %s.", manifest, len(samples), samples.root)
        require_trainable(samples, where=str(manifest))
        return samples
    if not roots:
        raise DataError("No images are named. Give a folder of class folders, or a CSV file that lists images.")
    return scan_folder(roots[0]) if len(roots) == 1 else merge_folders(roots)


def is_list(path: str | Path) -> bool:
    """Tell whether a path means a file that lists images, rather than a folder of them."""
    return Path(path).suffix in SUFFIXES and not Path(path).is_dir()


def is_shard(path: str | Path) -> bool:
    """Tell whether a path means tar shards, rather than a folder of images."""
    return Path(path).suffix == ".tar" and not Path(path).is_dir()


def merge_folders(roots: Sequence[Path]) -> Samples:
    """Read several folders of images as one; classes of the same name are one class.

    The paths are relative to the folder that holds all of them, so that the same name in two folders stays two images.

    Raises:
        DataError: a folder lies within another or is named twice, or one of them cannot be used; all of it at once.
    """
    problems = []
    whole = [root.resolve() for root in roots]
    for position, (root, path) in enumerate(zip(roots, whole, strict=True)):
        for other, above in zip(roots[:position], whole[:position], strict=True):
            if path == above or path.is_relative_to(above) or above.is_relative_to(path):
                problems.append(
                    f"The folders {other} and {root} overlap, so images would count twice. Keep one of them."
                )
    parts = []
    for root in roots:
        try:
            parts.append(scan_folder(root, whole=False))
        except DataError as error:
            problems += error.problems
    if problems:
        raise DataError(*problems)
    absolute = any(root.is_absolute() for root in roots)
    common = Path(os.path.commonpath(whole if absolute else [os.path.normpath(root) or "." for root in roots]))
    tables = []
    for root, path, part in zip(roots, whole, parts, strict=True):
        before = (path if absolute else Path(os.path.normpath(root))).relative_to(common).as_posix()
        tables.append(part.table.assign(**{PATH: before + "/" + part.table[PATH]}))
        logger.info("%s: %d images of %d classes.", root, len(part), len(part.classes))
    table = pd.concat(tables).sort_values(PATH).reset_index(drop=True)
    merged = Samples(common, tuple(sorted({name for part in parts for name in part.classes})), table)
    require_trainable(merged, where=", ".join(str(root) for root in roots))
    return merged
