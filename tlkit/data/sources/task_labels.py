"""The labels of a list of images by task: one class, several labels, a number or a grade."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from tlkit.box_labels import boxes_in, boxes_text
from tlkit.data.sources.box_file import warn_of_flat_boxes
from tlkit.data.sources.list_options import ListOptions
from tlkit.label_texts import is_number, names_in, rank_grades
from tlkit.parquet_tables import columns_of_lists
from tlkit.predictions.truth_cells import LABEL_CELLS
from tlkit.samples import LABEL
from tlkit.spelling import SEPARATOR, normal_form, unify, warn_of_lookalikes

logger = logging.getLogger(__name__)

AddProblem = Callable[[str, "pd.Index[Any]", str], None]
"""Adds a problem: what is wrong, the rows, and what to do."""


def read_labels(table: pd.DataFrame, options: ListOptions, add_problem: AddProblem, *, file: Path) -> pd.Series[str]:
    """Return the label of each row as `Samples` keeps it.

    Args:
        table: the rows of the list, with the column `label`, or those of single labels.
        options: the task, and how its labels are written.
        add_problem: called where rows have no usable label.
        file: the list, for messages.

    Raises:
        DataError: a class that is to be merged does not occur.
    """
    if options.task == "multilabel":
        return _several(table, options, add_problem, file)
    if options.task == "segmentation":
        return table[LABEL].str.strip()
    if options.task == "detection":
        holds = table[LABEL].map(_holds_boxes).astype(bool)
        add_problem(
            "a label is no list of boxes",
            table.index[~holds],
            'Write JSON such as [["cat", 10, 20, 30, 40, 0]]: class, left, top, width, height in pixels, and 1 for a '
            "crowd; [] where there is no object.",
        )
        boxes = [boxes_in(text) for text in table[LABEL].where(holds, "[]")]
        kept = [[one for one in held if one.width and one.height] for held in boxes]
        warn_of_flat_boxes(sum(map(len, boxes)) - sum(map(len, kept)), file)
        kept = options.boxes(kept, what=f"The classes of the boxes in {file}")
        return pd.Series([boxes_text(held) for held in kept], index=table.index, dtype="str")
    what = f"The labels of {file}"
    if options.task == "regression":
        text = table[LABEL].str.strip()
        wrong = ~text.map(is_number).astype(bool) & (text != "")
        add_problem(
            "a label is no number",
            table.index[wrong],
            "Write numbers with a decimal point, at most 1e30; name their column: data.columns: {label: age}.",
        )
        return text
    if options.names.get(LABEL, LABEL) in columns_of_lists(file):
        add_problem(
            "a label is a list of several",
            table.index[table[LABEL].str.contains(SEPARATOR, regex=False)],
            "State one class for each image, or task: multilabel; labels of several annotators have a row each.",
        )
    found = options.labels(table[LABEL], what=what)
    return options.as_stated(found) if options.task == "ordinal" else found


def grades_of(labels: pd.Series[str], options: ListOptions, *, file: Path) -> tuple[tuple[str, ...] | None, str]:
    """Return the grades in order, None for other tasks, and what is wrong with them; "" = nothing."""
    if options.task != "ordinal":
        return None, ""
    return rank_grades({text for text in labels.unique().tolist() if text.strip()}, options.grades, where=str(file))


def _holds_boxes(text: str) -> bool:
    try:
        boxes = boxes_in(text)
        return all(normal_form(one.name) for one in boxes) and (bool(boxes) or text.strip() == "[]")
    except (ValueError, TypeError, RecursionError):
        return False


def _several(table: pd.DataFrame, options: ListOptions, add_problem: AddProblem, file: Path) -> pd.Series[str]:
    """Return the names of each image's labels, joined in their order."""
    if options.label_columns:
        cells = {name: table[name].str.strip().str.lower().map(LABEL_CELLS) for name in options.label_columns}
        for name, column in cells.items():
            add_problem(
                f"the column {name!r} of a label holds neither 1 nor 0",
                table.index[~column.isin([0, 1])],
                "Training needs to know each label of each image: write 1 or 0, or leave the image out.",
            )
        named = [name for name in cells if SEPARATOR in name]
        add_problem(
            f"the name of a label holds {SEPARATOR!r}: {', '.join(named)}",
            table.index[:1] if named else table.index[:0],
            "Rename its column.",
        )
        names = sorted(cells)
        rows = zip(*(cells[name].tolist() for name in names), strict=True)
        joined = [SEPARATOR.join(name for name, cell in zip(names, row, strict=True) if cell == 1) for row in rows]
        return pd.Series(joined, index=table.index, dtype="str")
    separator = SEPARATOR if options.names.get(LABEL, LABEL) in columns_of_lists(file) else options.separator
    parts = [[one for one in map(str.strip, cell.split(separator)) if one] for cell in table[LABEL]]
    holds = [any(SEPARATOR in one for one in names) for names in parts]
    add_problem(
        f"the name of a label holds {SEPARATOR!r}",
        table.index[pd.Series(holds, index=table.index, dtype=bool)],
        f"Labels are separated by data.label_separator, which is {options.separator!r}.",
    )
    alike = "Write them alike if they are one label."
    if options.verbatim:
        warn_of_lookalikes(
            sorted({name for names in parts for name in names}), what=f"The labels of {file}", hint=lambda _: alike
        )
    else:
        flat = pd.Series([name for names in parts for name in names], dtype="str")
        own = dict(zip(flat, unify(flat, what=f"The labels of {file}", hint=alike)[0], strict=True))
        parts = [[own[name] for name in names] for names in parts]
    if empty := sum(not names for names in parts):
        logger.info("%s: the label is empty in %d of %d rows, which means none of the labels.", file, empty, len(parts))
    return pd.Series([SEPARATOR.join(sorted(set(names))) for names in parts], index=table.index, dtype="str")


def classes_of(labels: pd.Series[str], options: ListOptions, grades: tuple[str, ...] | None) -> tuple[str, ...]:
    """Return the classes, labels or grades in target order; empty for numbers."""
    if options.masks is not None:
        return options.masks.names
    if grades is not None:
        return grades
    columns = options.label_columns if options.task == "multilabel" else ()
    return tuple(sorted(names_in(labels, options.task) | set(columns)))
