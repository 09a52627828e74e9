"""The tables of a `DataSummary`: images by class, group and split, their sizes, formats and modes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from tlkit.samples import SPLITS
from tlkit.tables import Cell, Column, Table, counted

if TYPE_CHECKING:
    import pandas as pd

    from tlkit.data.checks.dataset_summary import DataSummary

SplitCounts = Mapping[str, Mapping[str, int]]


def data_summary_tables(summary: DataSummary) -> tuple[Table, ...]:
    """Return the tables of images per class and split, per value of each group column, of sizes, formats and modes."""
    splits = [split for split in SPLITS if any(row[split] for row in summary.counts.values())]
    files, has = counted(len(summary.unreadable), "file"), "has" if len(summary.unreadable) == 1 else "have"
    headers = f"{files} {has} no readable header; tlkit data doctor names them."
    return (
        replace(count_table("class", summary.counts, splits), notes=_notes(summary)),
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


def count_table(what: str, counts: SplitCounts, splits: Sequence[str]) -> Table:
    """Return the table of images by name and split, with the sums of rows and columns.

    Of labels there is no sum over them, since an image may have several.

    Args:
        what: kind of the names, such as "class".
        counts: images by name and split.
        splits: the splits to show, in order.
    """
    rows: list[tuple[Cell, ...]] = [
        (name, *(row[split] for split in splits), sum(row.values())) for name, row in counts.items()
    ]
    totals = [sum(row[split] for row in counts.values()) for split in splits]
    last: list[tuple[Cell, ...]] = [] if what == "label" else [("all", *totals, sum(totals))]
    return Table(
        name=f"{what}_counts",
        title=f"Images per {what} and split",
        columns=(
            Column("name", what),
            *(Column(split, split, "count") for split in splits),
            Column("all", "all", "count"),
        ),
        rows=(*rows, *last),
        marks={len(rows): "total"} if last else {},
    )
