"""Where images come from: folders, a list of files, or tar shards; all of them become one table of samples."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import fields
from functools import partial
from pathlib import Path

import pandas as pd

from tlkit.data.sources.delimited_files import SUFFIXES
from tlkit.data.sources.folder import Ignored, Survey, require_folder, scan_folder, survey_folder
from tlkit.data.sources.manifest import read_manifest, require_list
from tlkit.data.sources.metadata import add_metadata
from tlkit.data.sources.tar_shards import read_shards, require_shards
from tlkit.data.splits.hold_out import require_trainable
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
    samples, where = _read(root, manifest=manifest, shards=shards, columns=columns)
    require_trainable(samples, where=where)
    return samples


def require_source(root: Root = (), *, manifest: str | Path | None = None, shards: str | Sequence[str] = ()) -> None:
    """Check that the folders, list or shards are there, unread: what is mistyped is known before anything dear starts.

    Args:
        root: as for `read_samples`, as the others are.
        manifest: a CSV or Parquet file that lists images.
        shards: tar files, or patterns of them.

    Raises:
        DataError: something is not there, or nothing is named; all of it at once.
    """
    roots, manifest, shards = _parts(root, manifest, shards)
    checks: list[Callable[[], object]] = [partial(require_folder, one) for one in roots]
    if shards:
        checks = [partial(require_shards, shards)]
    elif manifest is not None:
        checks.append(partial(require_list, Path(manifest)))
    problems: list[str] = []
    for check in checks:
        try:
            check()
        except DataError as error:
            problems += error.problems
    if problems:
        raise DataError(*problems)


def read_with_columns(
    root: Root, *, columns: Sequence[str], metadata: str | Path | None = None, manifest: str | Path | None = None
) -> Samples:
    """Read the table of images with columns that come from the list or the shards, or else from a metadata file.

    Args:
        root: as for `read_samples`.
        columns: names of the columns.
        metadata: a CSV file keyed by `path` (see `add_metadata`).
        manifest: as for `read_samples`.

    Raises:
        DataError: what is given is missing or wrong, or a column is nowhere.
    """
    samples = read_samples(root, manifest=manifest, columns=columns if metadata is None else ())
    lacking = [name for name in columns if name not in samples.group_columns]
    if lacking and metadata is None:
        raise DataError(f"The images have no column {lacking[0]!r}. Name a CSV file that has it: --metadata FILE.")
    return add_metadata(samples, metadata, groups=lacking) if lacking and metadata is not None else samples


def survey_images(root: Root) -> Survey:
    """Read the table of images as `read_samples` does, but report what keeps it from being trained on.

    Raises:
        DataError: there is nothing to look at: a folder, a list or a shard is missing, or a list or shard is wrong.
    """
    roots = _roots(root)
    if roots and not any(is_list(one) or is_shard(one) for one in roots):
        return survey_folder(roots[0]) if len(roots) == 1 else _survey_folders(roots)
    samples, where = _read(root)
    what = "the list names" if is_list(roots[0]) else "the shards hold"
    return Survey(
        samples,
        Ignored(),
        _why_not_trainable(samples, where),
        unchecked=f"Only what {what} was looked at: hidden, loose and empty files and folders beside it are not told.",
    )


def source_name(root: Root) -> str:
    """Return what was given as the source of images, in words."""
    return ", ".join(str(one) for one in _roots(root))


def _roots(root: Root) -> list[Path]:
    return [Path(root)] if isinstance(root, str | Path) else [Path(one) for one in root]


def _read(
    root: Root, *, manifest: str | Path | None = None, shards: str | Sequence[str] = (), columns: Sequence[str] = ()
) -> tuple[Samples, str]:
    """Return the images, and what holds them, in words."""
    roots, manifest, shards = _parts(root, manifest, shards)
    if shards:
        return read_shards(shards, columns=columns), "the shards"
    if manifest is not None:
        samples = read_manifest(manifest, root=roots[0] if roots else None, columns=columns)
        logger.info("%s lists %d images below %s.", manifest, len(samples), samples.root)
        return samples, str(manifest)
    return (scan_folder(roots[0]) if len(roots) == 1 else _merge_folders(roots)), source_name(roots)


def _parts(
    root: Root, manifest: str | Path | None, shards: str | Sequence[str]
) -> tuple[list[Path], str | Path | None, str | Sequence[str]]:
    """Return folders, list and shards as they are meant: a root may be a list, and roots may be shards.

    Raises:
        DataError: none of them is named.
    """
    roots = _roots(root)
    if not shards and manifest is None and roots and all(is_shard(one) for one in roots):
        shards = [str(one) for one in roots]
    if not shards and manifest is None and len(roots) == 1 and is_list(roots[0]):
        roots, manifest = [], roots[0]
    if not roots and manifest is None and not shards:
        raise DataError("No images are named. Give a folder of class folders, or a CSV file that lists images.")
    return roots, manifest, shards


def is_list(path: str | Path) -> bool:
    """Tell whether a path means a file that lists images, rather than a folder of them."""
    return Path(path).suffix in SUFFIXES and not Path(path).is_dir()


def is_shard(path: str | Path) -> bool:
    """Tell whether a path means tar shards, rather than a folder of images."""
    return Path(path).suffix == ".tar" and not Path(path).is_dir()


def _merge_folders(roots: Sequence[Path]) -> Samples:
    """Read several folders of images as one; classes of the same name are one class.

    Raises:
        DataError: a folder lies within another or is named twice, or one of them cannot be used; all of it at once.
    """
    problems = _overlaps(roots)
    parts = []
    for root in roots:
        try:
            parts.append(scan_folder(root, whole=False))
        except DataError as error:
            problems += error.problems
    if problems:
        raise DataError(*problems)
    for root, part in zip(roots, parts, strict=True):
        logger.info("%s: %d images of %d classes.", root, len(part), len(part.classes))
    return _joined(roots, parts)


def _survey_folders(roots: Sequence[Path]) -> Survey:
    overlaps = _overlaps(roots)
    if overlaps:
        raise DataError(*overlaps)
    parts = [survey_folder(root, whole=False) for root in roots]
    samples = _joined(roots, [part.samples for part in parts])
    ignored = Ignored()
    for root, part in zip(roots, parts, strict=True):
        for field in fields(Ignored):
            getattr(ignored, field.name).extend(f"{root}/{item}" for item in getattr(part.ignored, field.name))
    problems = tuple(problem for part in parts for problem in part.problems)
    return Survey(samples, ignored, problems or _why_not_trainable(samples, source_name(roots)))


def _why_not_trainable(samples: Samples, where: str) -> tuple[str, ...]:
    try:
        require_trainable(samples, where=where)
    except DataError as error:
        return error.problems
    return ()


def _overlaps(roots: Sequence[Path]) -> list[str]:
    """Name the folders that lie within others, or are named twice."""
    whole = [root.resolve() for root in roots]
    return [
        f"The folders {other} and {root} overlap, so images would count twice. Keep one of them."
        for position, (root, path) in enumerate(zip(roots, whole, strict=True))
        for other, above in zip(roots[:position], whole[:position], strict=True)
        if path.is_relative_to(above) or above.is_relative_to(path)
    ]


def _joined(roots: Sequence[Path], parts: Sequence[Samples]) -> Samples:
    """Join the images of several folders into one table.

    The paths are relative to the folder that holds all of them, so that the same name in two folders stays two images.
    """
    absolute = any(root.is_absolute() for root in roots)
    whole = [root.resolve() if absolute else Path(os.path.normpath(root)) for root in roots]
    common = Path(os.path.commonpath(whole if absolute else [str(path) or "." for path in whole]))
    tables = [
        part.table.assign(**{PATH: path.relative_to(common).as_posix() + "/" + part.table[PATH]})
        for path, part in zip(whole, parts, strict=True)
    ]
    table = pd.concat(tables).sort_values(PATH).reset_index(drop=True)
    return Samples(common, tuple(sorted({name for part in parts for name in part.classes})), table)
