"""Reads the table of samples from folders, a list of files, or tar shards."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, cast

import pandas as pd

from tlkit.data.sources.box_file import scan_box_file, survey_box_file
from tlkit.data.sources.delimited_files import SUFFIXES
from tlkit.data.sources.entries import Entries, Survey
from tlkit.data.sources.folder import require_image_folder, scan_folder, survey_folder
from tlkit.data.sources.list_options import ListOptions
from tlkit.data.sources.manifest import read_manifest, require_list, survey_list
from tlkit.data.sources.mask_folders import scan_mask_folders, survey_mask_folders
from tlkit.data.sources.metadata import add_metadata
from tlkit.data.sources.shared_files import join_shared_files
from tlkit.data.sources.tar_shards import read_shards, require_shards, survey_shards
from tlkit.data.splits.hold_out import require_trainable
from tlkit.errors import DataError
from tlkit.parquet_tables import is_parquet_folder
from tlkit.samples import PATH, Samples

logger = logging.getLogger(__name__)

Root = str | Path | Sequence[str | Path]
CLASS_FOLDERS, SHARD_LABELS = "The class folders", "The labels of the shards"
"""Where classes come from, for messages."""


def read_samples(
    root: Root = (),
    *,
    manifest: str | Path | None = None,
    shards: str | Sequence[str] = (),
    columns: Sequence[str] = (),
    options: ListOptions = ListOptions(),
) -> Samples:
    """Return the table of images; no image is opened.

    Args:
        root: a folder of class folders (see `scan_folder`), or several, merged by class name; a file that lists images
            (see `read_manifest`); or tar shards. With `manifest`: the folder of its paths.
        manifest: a CSV or Parquet file that lists images.
        shards: tar files in WebDataset's format, or patterns of them (see `read_shards`), in place of a folder.
        columns: group columns to take from the manifest or the shards.
        options: how lists, labels and columns are read.

    Raises:
        DataError: the source is missing or wrong, or has fewer than two classes.
    """
    samples, where = _read(root, manifest=manifest, shards=shards, columns=columns, options=options)
    require_trainable(samples, where=where)
    return samples


def require_source(root: Root) -> None:
    """Check that the folders, list or shards exist; they are not read.

    Args:
        root: as for `read_samples`.

    Raises:
        DataError: something does not exist, or nothing is named; all problems at once.
    """
    roots, manifest, shards = _parts(root, None, ())
    checks: list[Callable[[], object]] = [partial(require_image_folder, one) for one in roots]
    if shards:
        checks = [partial(require_shards, shards)]
    elif manifest is not None:
        checks.append(partial(require_list, Path(manifest)))
    problems = [problem for check in checks for problem in _problems_of(check)]
    if problems:
        raise DataError(*problems)


def read_with_columns(
    root: Root | Samples,
    *,
    columns: Sequence[str],
    metadata: str | Path | None = None,
    manifest: str | Path | None = None,
    shards: str | Sequence[str] = (),
    options: ListOptions = ListOptions(),
    judged: bool = False,
) -> Samples:
    """Return the table of images with columns from the list or the shards, or from a metadata file.

    Args:
        root: as for `read_samples`; or samples.
        columns: names of the columns.
        metadata: a CSV file keyed by `path` (see `add_metadata`); it is read even where no column of it is needed.
        manifest: as for `read_samples`.
        shards: as for `read_samples`.
        options: how lists, labels and columns are read.
        judged: whether a model is only judged by the images, so that no class needs one to train on.

    Raises:
        DataError: the source is missing or wrong, no file has a column, or the metadata has no row of any image.
    """
    if isinstance(root, Samples):
        carried = [name for name in columns if name in root.group_columns]
        groups = {name: options.values(root.table[name], what=name) for name in carried}
        samples = root.with_table(root.table.assign(**groups))
    else:
        own = columns if metadata is None else ()
        samples, where = _read(root, manifest=manifest, shards=shards, columns=own, options=options)
        if not judged:
            require_trainable(samples, where=where)
    return with_metadata(samples, columns=columns, metadata=metadata, options=options)


def read_judged(
    data: Path,
    *,
    root: Path | None = None,
    split: str | None = None,
    columns: Sequence[str] = (),
    options: ListOptions = ListOptions(),
) -> Samples:
    """Return labelled images that a model is only judged by.

    Args:
        data: a folder of class folders, a list of images or tar shards.
        root: folder of the paths of a list; default: the list's own.
        split: only the images of this split; default: all.
        columns: group columns to take from a list or shards.
        options: how lists, labels and columns are read.

    Raises:
        DataError: the source is missing or wrong, has no images of the split, or there is a root, but no list.
    """
    if root is None:
        samples = read_with_columns(data, columns=columns, options=options, judged=True)
    elif is_list(data):
        samples = read_with_columns(root, manifest=data, columns=columns, options=options, judged=True)
    else:
        raise DataError(f"A root is the folder of the paths of a list, but {data} is no CSV or Parquet file.")
    return samples_of_split(samples, split, source=data)


def samples_of_split(samples: Samples, split: str | None, *, source: Path) -> Samples:
    """Return the samples of a split; all of them where it is None.

    Raises:
        DataError: there are none.
    """
    found = samples if split is None else samples.split(split)
    if not len(found):
        raise DataError(f"{source} has no images of the split {split!r}. Use train, val or test, or leave --split out.")
    return found


def with_metadata(
    samples: Samples,
    *,
    columns: Sequence[str],
    metadata: str | Path | None = None,
    options: ListOptions = ListOptions(),
) -> Samples:
    """Return samples with the columns that they lack, taken from a metadata file.

    Args:
        samples: the images.
        columns: names of the columns.
        metadata: as for `read_with_columns`.
        options: how the file is read.

    Raises:
        DataError: no file has a column, or the metadata has no row of any image.
    """
    lacking = [name for name in columns if name not in samples.group_columns]
    if metadata is not None:
        return add_metadata(samples, metadata, groups=lacking, options=options)
    if lacking:
        raise DataError(f"The images have no column {lacking[0]!r}. Name a CSV file that has it: --metadata FILE.")
    return samples


def survey_images(
    root: Root, *, manifest: str | Path | None = None, columns: Sequence[str] = (), options: ListOptions = ListOptions()
) -> Survey:
    """Return the table of images with the problems that make it unusable for training.

    Args:
        root: as for `read_samples`.
        manifest: as for `read_samples`.
        columns: group columns to take from the list or the shards.
        options: how lists, labels and columns are read.

    Raises:
        DataError: a folder, a list or a shard is missing, or a list lacks a column.
    """
    roots, manifest, shards = _parts(root, manifest, ())
    _require_list_of_votes(manifest, options)
    if options.task == "segmentation" and manifest is None:
        survey = survey_mask_folders(roots, options)
    elif options.task == "detection" and manifest is None:
        survey = survey_box_file(roots, options)
    elif shards:
        survey = survey_shards(shards, columns=columns)
        survey = replace(survey, samples=_spelled_groups(survey.samples, columns, options))
        survey = _survey_classes(survey, options, what=SHARD_LABELS)
    elif manifest is not None:
        survey = survey_list(manifest, root=roots[0] if roots else None, columns=columns, options=options)
    else:
        survey = survey_folder(roots[0]) if len(roots) == 1 else _survey_folders(roots)
        survey = _survey_folder_classes(survey, options)
    where = source_name(root) if manifest is None else str(manifest)
    trainable = partial(require_trainable, survey.samples, where=where)
    return replace(survey, problems=survey.problems or _problems_of(trainable))


def source_name(root: Root) -> str:
    """Return the source of images as text."""
    return ", ".join(str(one) for one in _roots(root))


def _roots(root: Root) -> list[Path]:
    """Return the paths of a root.

    Raises:
        DataError: it is no path, such as an image in memory, which has no label.
    """
    is_one = isinstance(root, str | os.PathLike | bytes) or not isinstance(root, Iterable)
    roots: list[Any] = [root] if is_one else [*cast(Iterable[Any], root)]
    wrong = [type(one).__name__ for one in roots if not isinstance(one, str | os.PathLike)]
    if wrong:
        what = type(root).__name__ if len(roots) != 1 and not isinstance(root, list | tuple) else wrong[0]
        raise DataError(
            f"The images are given as {what}. Give the path of a folder of class folders, of a CSV or Parquet file "
            "that lists images, or of tar shards, or a list of such paths."
        )
    return [Path(one) for one in roots]


def _read(
    root: Root,
    *,
    manifest: str | Path | None = None,
    shards: str | Sequence[str] = (),
    columns: Sequence[str] = (),
    options: ListOptions = ListOptions(),
) -> tuple[Samples, str]:
    """Return the images and the name of their source."""
    roots, manifest, shards = _parts(root, manifest, shards)
    _require_list_of_votes(manifest, options)
    if options.task == "segmentation" and manifest is None:
        return scan_mask_folders(roots, options), source_name(root)
    if options.task == "detection" and manifest is None:
        return scan_box_file(roots, options), source_name(root)
    if shards:
        samples = _spelled_groups(read_shards(shards, columns=columns), columns, options)
        return options.with_classes(samples, what=SHARD_LABELS), "the shards"
    if manifest is not None:
        samples = read_manifest(manifest, root=roots[0] if roots else None, columns=columns, options=options)
        logger.info("%s lists %d images below %s.", manifest, len(samples), samples.root)
        return samples, str(manifest)
    samples = scan_folder(roots[0]) if len(roots) == 1 else _merge_folders(roots)
    if options.task == "multilabel":
        return join_shared_files(samples, options), source_name(roots)
    return options.with_classes(samples, what=CLASS_FOLDERS), source_name(roots)


def _require_list_of_votes(manifest: str | Path | None, options: ListOptions) -> None:
    if manifest is None and options.annotations != "one":
        raise DataError(
            "annotations: majority takes the labels of several annotators from a list, but the images are not listed. "
            "Name the list: data.manifest."
        )


def _spelled_groups(samples: Samples, columns: Sequence[str], options: ListOptions) -> Samples:
    """Return the images of shards whose groups are read as `ListOptions.values` says."""
    groups = {name: options.values(samples.table[name], what=f"{name} of the shards") for name in columns}
    return samples.with_table(samples.table.assign(**groups))


def _survey_classes(survey: Survey, options: ListOptions, *, what: str) -> Survey:
    """Return a survey with the classes of `ListOptions.survey_classes`, and what is wrong with their order."""
    samples, problem = options.survey_classes(survey.samples, what=what)
    return replace(survey, samples=samples, problems=(*survey.problems, *[problem] * bool(problem)))


def _survey_folder_classes(survey: Survey, options: ListOptions) -> Survey:
    """Return a survey of class folders as `_survey_classes` does; a file in several of them is one image."""
    if options.task != "multilabel":
        return _survey_classes(survey, options, what=CLASS_FOLDERS)
    samples = join_shared_files(survey.samples, options)
    copies = len(survey.samples) - len(samples)
    entries = replace(survey.entries, read=survey.entries.read - copies, companions=survey.entries.companions + copies)
    return replace(survey, samples=samples, entries=entries)


def _parts(
    root: Root, manifest: str | Path | None, shards: str | Sequence[str]
) -> tuple[list[Path], str | Path | None, str | Sequence[str]]:
    """Return folders, list and shards: a root may be a list, and roots may be shards."""
    roots = _roots(root)
    if not shards and manifest is None and roots and all(is_shard(one) for one in roots):
        shards = [str(one) for one in roots]
    if not shards and manifest is None and len(roots) == 1 and is_list(roots[0]):
        roots, manifest = [], roots[0]
    if not roots and manifest is None and not shards:
        raise DataError("No images are named. Give a folder of class folders, or a CSV file that lists images.")
    return roots, manifest, shards


def is_list(path: str | Path) -> bool:
    """Return whether a path names a file that lists images, or a folder NAME.parquet of the parts of one."""
    path = Path(path)
    return path.suffix.lower() in SUFFIXES and (not path.is_dir() or is_parquet_folder(path))


def is_shard(path: str | Path) -> bool:
    """Return whether a path names tar shards, not a folder."""
    return Path(path).suffix.lower() == ".tar" and not Path(path).is_dir()


def is_folder(root: Root) -> bool:
    """Return whether the images lie in folders, which have no columns of their own."""
    return not any(is_list(one) or is_shard(one) for one in _roots(root))


def _merge_folders(roots: Sequence[Path]) -> Samples:
    """Return the images of several folders as one table; classes of the same name are one class."""
    problems, parts = _overlaps(roots), []
    for root in roots:
        try:
            parts.append(scan_folder(root, complete=False))
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
    parts = [survey_folder(root, complete=False) for root in roots]
    entries, empty = Entries(), []
    for root, part in zip(roots, parts, strict=True):
        skipped = tuple(entry._replace(name=f"{root}/{entry.name}") for entry in part.entries.skipped)
        entries += replace(part.entries, skipped=skipped)
        empty += [f"{root}/{name}" for name in part.empty_classes]
    problems = tuple(problem for part in parts for problem in part.problems)
    return Survey(_joined(roots, [part.samples for part in parts]), entries, problems, empty)


def _problems_of(check: Callable[[], object]) -> tuple[str, ...]:
    """Return the problems of the `DataError` that a check raises; empty where it raises none."""
    try:
        check()
    except DataError as error:
        return error.problems
    return ()


def _overlaps(roots: Sequence[Path]) -> list[str]:
    """Return a message for each folder that lies within another or is named twice."""
    whole = [root.resolve() for root in roots]
    return [
        f"The folders {other} and {root} overlap, so images would count twice. Keep one of them."
        for position, (root, path) in enumerate(zip(roots, whole, strict=True))
        for other, above in zip(roots[:position], whole[:position], strict=True)
        if path.is_relative_to(above) or above.is_relative_to(path)
    ]


def _joined(roots: Sequence[Path], parts: Sequence[Samples]) -> Samples:
    """Return the images of several folders in one table, with paths relative to their common folder."""
    absolute = any(root.is_absolute() for root in roots)
    whole = [root.resolve() if absolute else Path(os.path.normpath(root)) for root in roots]
    common = Path(os.path.commonpath(whole if absolute else [str(path) or "." for path in whole]))
    tables = [
        part.table.assign(**{PATH: path.relative_to(common).as_posix() + "/" + part.table[PATH]})
        for path, part in zip(whole, parts, strict=True)
    ]
    table = pd.concat(tables).sort_values(PATH).reset_index(drop=True)
    return Samples(common, tuple(sorted({name for part in parts for name in part.classes})), table)
