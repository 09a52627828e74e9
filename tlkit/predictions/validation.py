"""Validation of predictions: names, class codes, probabilities and group columns, with messages for the user."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tlkit.arrays import Floats, Ints, Mask
from tlkit.errors import did_you_mean, first_few
from tlkit.spelling import match_names, spellings, text_of, unify

logger = logging.getLogger(__name__)

PATH, Y_TRUE, Y_PRED, PROBA_PREFIX = "path", "y_true", "y_pred", "proba_"
SUM_TOLERANCE = 1e-4  # a float32 softmax over 20,000 classes stays within 1e-5

NO_GROUPS = (
    "There are no group columns at all. Join a CSV of them, keyed by path: in a recipe by data.metadata and "
    "data.groups, for a file of predictions by --groups."
)

Strings = npt.NDArray[np.str_]


def is_reserved(column: str) -> bool:
    """Return whether a column name is reserved for the predictions, so that no group column can have it."""
    return column in (PATH, Y_TRUE, Y_PRED) or column.startswith(PROBA_PREFIX)


def no_truth(count: int, what: str, *, consequence: str) -> str:
    """Return the problem of predictions of another task without any truth, a "label" or "number", and the remedies."""
    return (
        f"None of the {count} images has a true {what}, so {consequence}. If another column holds it, name it: "
        "--y-true COLUMN (in Python, y_true=). If another file does, join it: --groups FILE."
    )


def no_label(count: int, *, consequence: str, group_columns: Sequence[str] = ()) -> str:
    """Return the problem of predictions without any label, and the remedies."""
    others = f" (the other columns: {first_few(group_columns)})" if group_columns else ""
    return (
        f"None of the {count} images has a label (y_true), so {consequence}. If another column holds the labels, name "
        f"it: --y-true COLUMN{others}. If another file does, join it: --groups FILE."
    )


def as_text(values: object) -> pd.Series[str]:
    """Return a column as strings with NA for missing; only a null or an empty text is missing.

    Floats that are all whole become integers ("3", not "3.0"), because one missing cell makes pandas convert integers
    to floats. Lists are joined by ";".

    Raises:
        ValueError: a value has no text (see `text_of`).
    """
    column = pd.Series(values).reset_index(drop=True)
    if isinstance(column.dtype, pd.StringDtype):  # asked first: tables of text can have thousands of columns
        return _without_blanks(column.astype("string"))
    if pd.api.types.is_float_dtype(column.dtype):
        present = column.dropna().astype("float64")  # a float16 cannot be compared with 2**53
        if (present.abs() < 2**53).all() and (present == present.round()).all():  # beyond, floats skip integers
            column = column.astype("Int64")
    elif column.dtype == object:
        column = column.map(text_of, na_action="ignore")
    return _without_blanks(column.astype("string"))


def _without_blanks(text: pd.Series[str]) -> pd.Series[str]:
    blank = text == ""
    return text.mask(blank, pd.NA) if blank.any() else text


def name_problems(classes: tuple[str, ...], paths: Strings) -> list[str]:
    """Return the problems of class names and paths."""
    problems = []
    if not classes:
        problems.append("there are no classes. Give at least one class name.")
    if "" in classes:
        problems.append("a class has an empty name. Give every class a name.")
    if twice := repeated(classes):
        problems.append(f"the class names must differ, but these occur twice: {first_few(twice)}.")
    if len(paths) == 0:
        problems.append("there are no rows. Give one row per image.")
    if (empty := int((paths == "").sum())) > 0:
        problems.append(f"{empty} of {len(paths)} rows have no path. Give every image its path.")
    if twice := repeated(paths[paths != ""].tolist()):
        count = f"{len(twice)} paths occur" if len(twice) > 1 else "1 path occurs"
        problems.append(f"{count} more than once: {first_few(twice)}. Keep one row per image.")
    return problems


def repeated(names: Sequence[str]) -> list[str]:
    """Return the names that occur more than once, in order of appearance."""
    return [name for name, count in Counter(names).items() if count > 1]


def class_codes(
    values: object, *, classes: tuple[str, ...], paths: Strings, column: str, may_be_missing: bool, verbatim: bool
) -> tuple[Ints, list[str]]:
    """Return positions in `classes`, shape (N,), -1 = missing, and their problems.

    Args:
        values: one per image: class names (missing = unknown), or integer positions in `classes` (-1 = unknown).
        classes: class names.
        paths: paths of the images, shape (N,), for the messages.
        column: "y_true" or "y_pred", for the messages.
        may_be_missing: whether an image may have no value.
        verbatim: take only names that are written exactly as the class.
    """
    given = np.asarray(values)
    if given.shape != paths.shape:
        return np.full(len(paths), -1), [f"{column} has shape {given.shape}, but there are {len(paths)} paths."]
    problems = []
    if np.issubdtype(given.dtype, np.integer):
        codes = given.astype(np.int64)
        wrong = (codes < -1) | (codes >= len(classes))
        if wrong.any():
            problems.append(
                f"{column} is outside 0…{len(classes) - 1} in {_rows(wrong)}: "
                f"{_examples(paths, wrong, codes.tolist())}. It must be a position among the {len(classes)} classes."
            )
    else:
        names = as_text(values)
        position = {name: index for index, name in enumerate(classes)}
        given_names = names.dropna().unique().tolist()
        known = dict(zip(classes, classes, strict=True)) if verbatim else match_names(given_names, classes)
        codes = np.array([position[known[name]] if name in known else -1 for name in names], dtype=np.int64)
        if other := [f"{name!r} as {found!r}" for name, found in known.items() if name != found]:
            logger.info("%s: spellings that are read as a class: %s.", column, first_few(other))
        wrong = (codes < 0) & names.notna().to_numpy()
        if wrong.any():
            problems.append(_unknown_classes(column, names[wrong].tolist(), classes))
    missing: Mask = (codes == -1) & ~wrong
    if missing.any() and not may_be_missing:
        problems.append(f"{column} is missing in {_rows(missing)}: {first_few(paths[missing].tolist())}.")
    return codes, problems


def proba_problems(proba: Floats, *, classes: tuple[str, ...], paths: Strings) -> list[str]:
    """Return the problems of class probabilities: shape, values that are not finite or negative, sums of rows."""
    shape = (len(paths), len(classes))
    if proba.shape != shape:
        return [
            f"proba has shape {proba.shape}, but {shape[0]} paths and {shape[1]} classes need {shape}: "
            "one row per image, one column per class."
        ]
    problems = []
    finite: Mask = np.asarray(np.isfinite(proba).all(axis=1))
    if not finite.all():
        problems.append(
            f"proba is NaN or infinite in {_rows(~finite)}: {first_few(paths[~finite].tolist())}. "
            "Find out why the model gives no number there."
        )
    sums = np.where(finite, proba.sum(axis=1, where=finite[:, None]), 1.0)
    off = np.abs(sums - 1.0) > SUM_TOLERANCE
    if off.any():
        totals = [f"sum {total:.6g}" for total in sums]
        problems.append(
            f"the rows of proba must sum to one, but {off.sum()} of {len(off)} do not: "
            f"{_examples(paths, off, totals)}. {_sum_advice(proba[off], sums[off])}"
        )
    negative = finite & ~off & (proba < 0).any(axis=1)
    if negative.any():
        problems.append(
            f"proba is negative in {_rows(negative)}: {first_few(paths[negative].tolist())}. "
            "A probability lies between 0 and 1."
        )
    return problems


def group_table(
    groups: pd.DataFrame | None, *, paths: Strings | None = None, source: str, verbatim: bool
) -> tuple[pd.DataFrame, list[str]]:
    """Return the group columns as strings with NA for missing, and their problems.

    Args:
        groups: the columns; None = none.
        paths: paths of the images, shape (N,), whose rows 0…N-1 the columns hold; None = rows by the index of `groups`.
        source: name of the table, for the log.
        verbatim: keep values as they are written; else one spelling for each value.
    """
    index: pd.Index[Any] = pd.RangeIndex(0 if paths is None else len(paths))
    if groups is None:
        return pd.DataFrame(index=index), []
    names = [str(name) for name in groups.columns]
    problems = []
    if paths is None:
        index = groups.index
    elif len(groups) != len(paths):
        problems.append(f"groups has {len(groups)} rows, but there are {len(paths)} paths.")
    if twice := repeated(names):
        problems.append(f"group columns must have different names, but these occur twice: {first_few(twice)}.")
    if taken := [name for name in names if is_reserved(name)]:
        problems.append(
            f"a group column cannot be called {first_few(taken)}: path, y_true, y_pred and proba_… are taken. "
            "Rename it."
        )
    if "" in names:
        problems.append("a group column has no name. Give it one.")
    if problems:
        return pd.DataFrame(index=index), problems
    columns = {}
    for name, (_, column) in zip(names, groups.items(), strict=True):
        try:
            columns[name] = _group_values(column, what=f"{name} of {source}", verbatim=verbatim)
        except ValueError as error:
            problems.append(f"the group column {name!r} cannot be used: {error}.")
    if problems:
        return pd.DataFrame(index=index), problems
    return pd.DataFrame(columns, index=index), []


def _group_values(column: pd.Series[Any], *, what: str, verbatim: bool) -> Any:
    """Return a column as an array of strings with NA for missing, with one spelling for each value.

    Text that stays as it is takes the short way: a table may have thousands of columns, most of them never used.
    """
    if isinstance(column.dtype, pd.StringDtype):
        texts = column.array.astype("string")
        found = [text for text in texts.unique().tolist() if isinstance(text, str)]
        if "" not in found and (verbatim or all(text == value for text, value in spellings(found).items())):
            return texts
    text = as_text(column)
    return (text if verbatim else one_spelling(text, what=what, hint=None)).array


def one_spelling(*columns: pd.Series[str], what: str, hint: str | None = "Write them alike if they are one.") -> Any:
    """Return a text column, or several, with one spelling for each value (see `unify`); white space is missing."""
    read = [_without_blanks(column) for column in unify(*columns, what=what, hint=hint)]
    return read[0] if len(read) == 1 else read


def _rows(mask: Mask) -> str:
    return f"{int(mask.sum())} of {len(mask)} rows"


def _examples(paths: Strings, mask: Mask, seen: Sequence[object]) -> str:
    return first_few([f"{paths[row]} ({seen[row]})" for row in np.flatnonzero(mask).tolist()])


def _unknown_classes(column: str, names: list[str], classes: tuple[str, ...]) -> str:
    counts = Counter(names).most_common()
    seen = first_few([f"{name!r} ({count} row{'s' if count > 1 else ''})" for name, count in counts])
    return (
        f"{column} holds names that are not among the {len(classes)} classes: {seen}."
        f"{did_you_mean(counts[0][0], classes)} The classes are: {first_few(classes)}."
    )


def _sum_advice(rows: Floats, sums: Floats) -> str:
    """Return the likely cause of rows that do not sum to one, and the remedy."""
    if (rows >= 0).all() and (np.abs(sums - 100.0) < 2.0).all():
        return "They look like percentages: divide by 100."
    if (rows >= 0).all() and (np.abs(sums - 1.0) < 0.02).all():
        return "They look rounded: write more digits, or divide each row by its sum."
    if (rows >= 0).all() and (np.abs(sums - 1.0) < 0.5).all() and np.ptp(sums) < 1e-3:
        return f"They look like probabilities times {sums.mean():.4g}: divide each row by its sum."
    if (rows >= 0).all() and (np.abs(sums - 1.0) < 0.2).all():
        return "They are close to probabilities: find out what moves their sums, or divide each row by its sum."
    if (rows < 0).any() or (rows > 1).any():
        return "They look like logits: apply softmax once."
    return (
        "They look like independent scores, one per class, which --task multilabel judges; for one class per image, "
        "divide each row by its sum, or leave the probabilities out."
    )
