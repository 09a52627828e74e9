"""The images: counts, unreadable files and leaks, as the data doctor found them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from tlkit.data.checks.leak_tables import leak_table
from tlkit.data.checks.summary_tables import class_count_table
from tlkit.render.plots import plot_class_counts
from tlkit.render.report.page_section import Figure, Fold, PageSection, VerdictBadge
from tlkit.tables import Column, Table, counted

if TYPE_CHECKING:
    import pandas as pd

    from tlkit.render.report.run_contents import RunContents

MOST_CLASSES = 200  # rows of the table of images per class
MOST_ROWS = 200  # of the tables of files


def data_section(run: RunContents) -> PageSection:
    """Return the images by class and split, the files that could not be read, and the leaks."""
    counts, excluded, leaks = run.counts, excluded_table(run.excluded), leaks_table(run.leaks)
    by_class = {str(name): {str(split): int(n) for split, n in row.items()} for name, row in counts.iterrows()}
    figure = Figure.draw(
        lambda: plot_class_counts(by_class),
        alt="Images by class and split. The numbers are in the table below.",
        caption="One bar for each class, colored by split; the smallest class is on top.",
    )
    problems = [table.title for table in (excluded, leaks) if table is not None and table.rows]
    folds = [Fold("Images by class and split", (counts_table(counts),))]
    if excluded.rows:
        reason = "These files could not be read. They are in no split and in no figure of this report."
        folds.append(Fold(excluded.title, (replace(excluded, title=""),), (reason,)))
    if leaks is not None:
        reason = "Also in an earlier split: identical, saved again, resized or mirrored, or of the same group."
        folds.append(Fold(leaks.title, (replace(leaks, title=""),), (reason,)))
    claim = data_sentence(counts)
    claim += f" Found by the data doctor: {'; '.join(problems)}." if problems else " Every image could be read."
    verdict = VerdictBadge(f"{counted(len(problems), 'finding')}", "open") if problems else None
    return PageSection("data", "Data", claim, (figure, *folds), verdict)


def counts_table(counts: pd.DataFrame, *, what: str = "class") -> Table:
    """Return the number of images per class and split, with totals; above 200 classes those with the fewest images."""
    table = class_count_table(counts.loc[:, counts.sum() > 0], what=what)
    if len(counts) <= MOST_CLASSES:
        return table
    classes, total = table.rows[: len(counts)], table.rows[len(counts) :]
    smallest = counts.sum(axis=1).to_numpy().argsort(kind="stable")[:MOST_CLASSES]
    many = {"class": "classes", "class of pixels": "classes of pixels"}.get(what, f"{what}s")
    note = f"The {MOST_CLASSES} {many} with the fewest images, of {len(counts)}. All are in split.csv."
    rows = (*(classes[at] for at in sorted(smallest.tolist())), *total)
    return replace(table, rows=rows, notes=(note,), marks={MOST_CLASSES: "total"} if total else {})


def data_sentence(counts: pd.DataFrame) -> str:
    """Return the number of images and classes as a sentence."""
    total = int(counts.to_numpy().sum())
    parts = [f"{int(counts[split].sum()):,} {split}" for split in counts.columns if counts[split].sum()]
    return f"{total:,} images of {len(counts)} classes: {', '.join(parts)}."


def excluded_table(excluded: Sequence[tuple[str, str]]) -> Table:
    """Return the excluded files with the reasons."""
    return Table(
        name="excluded",
        title=f"{counted(len(excluded), 'file')} excluded",
        columns=(Column("file", "file"), Column("reason", "reason")),
        rows=tuple(excluded),
    ).head(MOST_ROWS)


def leaks_table(leaks: pd.DataFrame | None) -> Table | None:
    """Return the assessed images with duplicates in an earlier split; None if there are none."""
    if leaks is None or leaks.empty:
        return None
    what = "had duplicates in an earlier split, which were excluded from it"
    dropped = (leaks["dropped"] != "").all()
    title = f"{counted(len(leaks), 'image')} {what if dropped else 'have duplicates in an earlier split'}"
    return leak_table(leaks, title=title).head(MOST_ROWS)
