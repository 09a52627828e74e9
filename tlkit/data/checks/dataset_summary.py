"""Summary of a dataset from file headers: classes, splits, groups, sizes, modes and formats."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from tlkit.choices import TrainedTask
from tlkit.data.checks.mask_check import CheckedMask, examine_masks, mask_problems, with_pixels
from tlkit.data.checks.summary_tables import VOIDS, data_summary_tables, number_quantiles
from tlkit.data.checks.thread_pool import map_files
from tlkit.data.checks.thumbnails import as_jpeg, open_small
from tlkit.data.decode.formats import OPENERS, detect_format
from tlkit.data.sources.list_options import ListOptions
from tlkit.data.sources.metadata import group_names
from tlkit.data.sources.read_bytes import read_bytes
from tlkit.data.sources.read_samples import Root, is_folder, source_name, survey_images, with_metadata
from tlkit.samples import LABEL, PATH, SPLIT, SPLITS, Samples
from tlkit.tables import Table, to_html

FORMAT_VERSION = 1
HEADER_BYTES = 262_144
"""Bytes that hold the headers of nearly every file; otherwise the whole file is read."""
CELL, COLUMNS, ROWS = 64, 10, 2


@dataclass(frozen=True)
class DataSummary:
    """Counts and sizes of the images of a dataset.

    Attributes:
        root: the source of the images, as given.
        images: number of images.
        counts: images by class, label or grade and split; each has all three splits. Empty for numbers.
        groups: images by group column, value and split; a missing value is "(missing)".
        sizes: smallest, median and largest of width, height and megapixels, in that order.
        modes: images by Pillow's mode of the pixels in the file ("RGB", "L", …), most frequent first.
        formats: images by format, most frequent first.
        unreadable: paths whose header cannot be read.
        entries: numbers of the source's files, members or rows: found, read, companions (of shards), excluded, skipped.
        problems: why the images cannot be used for training as they are; empty where they can.
        task: what a label says of an image.
        numbers: of each split its images, and the smallest number, quantiles and the largest; empty for other tasks.
        pixels: of masks the pixels by class and split, the last row those of no known class, "(void)"; empty for other
            tasks.
    """

    root: str
    images: int
    counts: Mapping[str, Mapping[str, int]]
    groups: Mapping[str, Mapping[str, Mapping[str, int]]]
    sizes: Mapping[str, tuple[float, float, float]]
    modes: Mapping[str, int]
    formats: Mapping[str, int]
    unreadable: tuple[str, ...]
    entries: Mapping[str, int] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    task: TrainedTask = "multiclass"
    numbers: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    pixels: Mapping[str, Mapping[str, int]] = field(default_factory=dict)

    def tables(self) -> tuple[Table, ...]:
        """Return the tables of counts by class and group, of sizes, and of formats and modes."""
        return data_summary_tables(self)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        values = asdict(self)
        if self.task != "regression":
            del values["numbers"]
        if self.task != "segmentation":
            del values["pixels"]
        return {"format_version": FORMAT_VERSION, **values}

    def __repr__(self) -> str:
        return f"DataSummary({self.root}: {self.images} images of {len(self.counts)} classes)"

    def _repr_html_(self) -> str:
        return to_html(self.tables())


def summarize_data(
    root: Root,
    *,
    manifest: str | Path | None = None,
    options: ListOptions = ListOptions(),
    metadata: str | Path | None = None,
    groups: str | Sequence[str] = (),
) -> tuple[DataSummary, Samples]:
    """Return the summary of a dataset and its images; headers are read, pixels are not, but for those of masks.

    Args:
        root: a folder, several of them, a list of images or tar shards, as for training (see `read_samples`).
        manifest: a file that lists the images below `root`.
        options: how lists, labels and columns are read.
        metadata: a CSV file keyed by `path`.
        groups: the column or columns of it, of the list or of the shards, to count by; default: all of `metadata` that
            do not look like identifiers.

    Raises:
        DataError: the source, the metadata or a column is missing.
    """
    columns = (groups,) if isinstance(groups, str) else tuple(groups)
    own = () if metadata is not None or (manifest is None and is_folder(root)) else columns
    survey = survey_images(root, manifest=manifest, columns=own, options=options)
    survey.entries.log()
    if metadata is not None and not columns:
        columns = tuple(group_names(survey.samples, metadata, options=options))
    samples = with_metadata(survey.samples, columns=columns, metadata=metadata, options=options)
    problems, pixels = survey.problems, {}
    if samples.masks is not None:
        masks = examine_masks(samples)
        samples, problems = with_pixels(samples, masks), (*problems, *mask_problems(samples, masks))
        pixels = _pixels(samples, masks)
    paths = samples.table[PATH].tolist()
    headers = map_files(lambda path, _: _header(samples.root / path), paths)
    known = [header for header in headers if header is not None]
    widths, heights = (np.array([header[axis] for header in known] or [0]) for axis in (0, 1))
    shapes = {"width": widths, "height": heights, "megapixels": widths * heights / 1e6}
    return (
        DataSummary(
            root=source_name(root) if manifest is None else str(manifest),
            images=len(samples),
            counts=_label_counts(samples),
            groups={name: _by_split(samples.table, name) for name in samples.group_columns},
            sizes={name: (float(v.min()), float(np.median(v)), float(v.max())) for name, v in shapes.items()},
            modes=dict(Counter(header[2] for header in known).most_common()),
            formats=dict(Counter(header[3] for header in known).most_common()),
            unreadable=tuple(path for path, header in zip(paths, headers, strict=True) if header is None),
            entries=survey.entries.counts,
            problems=problems,
            task=samples.task,
            numbers=number_quantiles(samples) if samples.task == "regression" else {},
            pixels=pixels,
        ),
        samples,
    )


def _label_counts(samples: Samples) -> dict[str, dict[str, int]]:
    counts = samples.counts()
    return {str(name): {split: int(counts.loc[name, split]) for split in SPLITS} for name in counts.index}


def _pixels(samples: Samples, masks: Sequence[CheckedMask]) -> dict[str, dict[str, int]]:
    """Return the pixels of each class, and those of none, by split; masks that cannot be used have none."""
    counted = np.column_stack([samples.pixel_counts, [one.void for one in masks]])
    splits = samples.table[SPLIT].to_numpy(dtype=str)
    sums = {split: counted[splits == split].sum(axis=0) for split in SPLITS}
    return {
        name: {split: int(sums[split][place]) for split in SPLITS}
        for place, name in enumerate((*samples.classes, VOIDS))
    }


def _by_split(table: pd.DataFrame, column: str) -> dict[str, dict[str, int]]:
    crossed = pd.crosstab(table[column].fillna("(missing)"), table[SPLIT])
    crossed = crossed.reindex(columns=list(SPLITS), fill_value=0)
    return {str(name): {split: int(row[split]) for split in SPLITS} for name, row in crossed.iterrows()}


def _header(path: Path) -> tuple[int, int, str, str] | None:
    """Return width, height (as stored), mode and format from a file's header; None where it cannot be read."""
    try:
        data = _read_start(path)
        kind = detect_format(data)
        if kind is None:
            return None
        try:
            image = OPENERS[kind](io.BytesIO(data), "")
        except Exception:  # a long header, or a damaged one
            image = OPENERS[kind](io.BytesIO(read_bytes(path)), "")
    except Exception:  # Pillow's readers raise various errors on damaged files
        return None
    return image.width, image.height, image.mode, kind


def _read_start(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(HEADER_BYTES)
    except NotADirectoryError:  # a member of a tar shard
        return read_bytes(path)


def contact_sheets(samples: Samples) -> dict[str, str]:
    """Return one JPEG per class, base64, with up to 20 of its images, drawn at random, 64 pixels each."""
    sheets = {}
    for label, name in enumerate(samples.classes):
        own = samples.table[LABEL] == name
        if samples.has_several:
            own = samples.label_matrix[:, label] == 1
        paths = samples.table.loc[own, PATH].to_numpy()
        chosen = np.sort(np.random.default_rng(0).permutation(len(paths))[: COLUMNS * ROWS])
        rows = -(-len(chosen) // COLUMNS)
        sheet = Image.new("RGB", (COLUMNS * CELL, rows * CELL), (255, 255, 255))
        for place, at in enumerate(chosen):
            image = open_small(samples.root / paths[at], side=CELL)
            if image is not None:
                image.thumbnail((CELL - 2, CELL - 2))
                sheet.paste(image, (place % COLUMNS * CELL, place // COLUMNS * CELL))
        sheets[name] = as_jpeg(sheet)
    return sheets
