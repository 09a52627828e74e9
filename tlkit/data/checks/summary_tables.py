"""The tables of a `DataSummary`: images by class, group and split, their sizes, formats and modes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from tlkit.choices import TrainedTask
from tlkit.samples import SPLIT, SPLITS, Samples
from tlkit.tables import Cell, Column, Table, counted

if TYPE_CHECKING:
    import pandas as pd

    from tlkit.data.checks.dataset_summary import DataSummary

SplitCounts = Mapping[str, Mapping[str, int]]
SEVERAL = ("label", "class of pixels")
"""What one image may have several of."""
VOIDS = "(void)"
"""The name of the pixels of no known class."""
QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)


def data_summary_tables(summary: DataSummary) -> tuple[Table, ...]:
    """Return the tables of images per class and split, per value of each group column, of sizes, formats and modes."""
    splits = [split for split in SPLITS if any(row[split] for row in summary.counts.values())]
    if summary.task == "regression":
        first = number_table(summary.numbers)
    else:
        first = count_table(COUNTED[summary.task], summary.counts, splits)
    files, has = counted(len(summary.unreadable), "file"), "has" if len(summary.unreadable) == 1 else "have"
    headers = f"{files} {has} no readable header; tlkit data doctor names them."
    return (
        replace(first, notes=_notes(summary)),
        *((pixel_table(summary.pixels, splits),) if summary.pixels else ()),
        *(count_table(name, counts, splits) for name, counts in summary.groups.items()),
        Table(
            name="sizes",
            title="Sizes in pixels",
            columns=(
                Column("size", "size"),
                *(Column(name, name, "significant", digits=4) for name in ("smallest", "median", "largest")),
            ),
            rows=tuple((name, *values) for name, values in summary.sizes.items()),
        ),
        Table(
            name="formats",
            title="Formats and modes",
            columns=(Column("format", "format or mode"), Column("images", "images", "count")),
            rows=(*summary.formats.items(), *summary.modes.items()),
            notes=(headers,) if summary.unreadable else (),
        ),
    )


def _notes(summary: DataSummary) -> tuple[str, ...]:
    """Return what is not counted, and why the images cannot be used for training as they are."""
    skipped, excluded = (summary.entries.get(name, 0) for name in ("skipped", "excluded"))
    left_out = [f"{count:,} {word}" for count, word in ((excluded, "set aside"), (skipped, "skipped")) if count]
    found = f"Of {summary.entries.get('found', 0):,} entries: {' and '.join(left_out)}; tlkit data doctor names them."
    return (*((found,) if left_out else ()), *(f"Not usable for training: {one}" for one in summary.problems))


def class_count_table(counts: pd.DataFrame, *, what: str = "class") -> Table:
    """Return the table of images per class, label or grade and split from `Samples.counts()`."""
    rows = zip(map(str, counts.index), counts.to_numpy(dtype=int).tolist(), strict=True)
    splits = [str(split) for split in counts.columns]
    return count_table(what, {name: dict(zip(splits, row, strict=True)) for name, row in rows}, splits)


COUNTED: Mapping[TrainedTask, str] = {
    "multiclass": "class",
    "multilabel": "label",
    "ordinal": "grade",
    "segmentation": "class of pixels",
    "detection": "class of boxes",
}
"""What the images of each task are counted by; numbers have quantiles instead."""


def sample_tables(samples: Samples) -> tuple[Table, ...]:
    """Return the images per class, label or grade and split, or the quantiles of the numbers of each split."""
    if samples.task != "regression":
        return (class_count_table(samples.counts(), what=COUNTED[samples.task]),)
    return (number_table(number_quantiles(samples)),)


def number_quantiles(samples: Samples) -> dict[str, tuple[float, ...]]:
    """Return the number of images of each split, and the quantiles of their numbers at `QUANTILES`."""
    values, splits = samples.target_values, samples.table[SPLIT].to_numpy(dtype=str)
    held = {split: values[splits == split] for split in SPLITS}
    return {
        split: (float(len(own)), *(float(one) for one in np.quantile(own, QUANTILES)))
        for split, own in held.items()
        if len(own)
    }


def number_table(numbers: Mapping[str, Sequence[float]]) -> Table:
    """Return the table of `number_quantiles`."""
    names = ("smallest", "5 %", "25 %", "median", "75 %", "95 %", "largest")
    return Table(
        name="numbers",
        title="Numbers by split",
        columns=(
            Column("split", "split"),
            Column("images", "images", "count"),
            *(Column(name, name, "significant", digits=4) for name in names),
        ),
        rows=tuple((split, int(count), *values) for split, (count, *values) in numbers.items()),
    )


def pixel_table(pixels: SplitCounts, splits: Sequence[str]) -> Table:
    """Return the table of the shares of the classes of all pixels, of each split and over all, and of those of none.

    Args:
        pixels: by class and split, the last row those of no known class.
        splits: the splits to show, in order.
    """
    totals = {split: sum(row[split] for row in pixels.values()) for split in splits}
    every = sum(totals.values())
    rows = [
        (
            name,
            *(row[split] / totals[split] if totals[split] else None for split in splits),
            sum(row.values()) / every if every else None,
            sum(row.values()),
        )
        for name, row in pixels.items()
    ]
    return Table(
        name="pixel_shares",
        title="Shares of the pixels by class and split",
        columns=(
            Column("name", "class of pixels"),
            *(Column(split, split, "percent") for split in splits),
            Column("all", "all", "percent"),
            Column("pixels", "pixels", "count"),
        ),
        rows=tuple(rows),
    )


def count_table(what: str, counts: SplitCounts, splits: Sequence[str]) -> Table:
    """Return the table of images by name and split, with the sums of rows and columns.

    Of labels, and of classes of pixels, there is no sum over them, since an image may have several.

    Args:
        what: kind of the names, such as "class".
        counts: images by name and split.
        splits: the splits to show, in order.
    """
    rows: list[tuple[Cell, ...]] = [
        (name, *(row[split] for split in splits), sum(row.values())) for name, row in counts.items()
    ]
    totals = [sum(row[split] for row in counts.values()) for split in splits]
    last: list[tuple[Cell, ...]] = [] if what in SEVERAL else [("all", *totals, sum(totals))]
    return Table(
        name=f"{what.replace(' ', '_')}_counts",
        title=f"Images per {what} and split",
        columns=(
            Column("name", what),
            *(Column(split, split, "count") for split in splits),
            Column("all", "all", "count"),
        ),
        rows=(*rows, *last),
        marks={len(rows): "total"} if last else {},
    )
