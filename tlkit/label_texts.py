"""The labels of images as texts: several names, numbers, and grades in their order."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from itertools import pairwise

from tlkit.box_labels import boxes_in
from tlkit.choices import TrainedTask
from tlkit.errors import DataError, first_few
from tlkit.spelling import SEPARATOR


def label_names(text: str) -> list[str]:
    """Return the names in the text of several labels.

    Example:
        >>> label_names("cat;dog"), label_names("")
        (['cat', 'dog'], [])
    """
    return text.split(SEPARATOR) if text else []


def names_in(labels: Iterable[str], task: TrainedTask) -> set[str]:
    """Return the names of classes, labels or grades in the labels of images; none of numbers and masks."""
    if task in ("regression", "segmentation"):
        return set()
    distinct = set(labels)
    if task == "detection":
        return {one.name for text in distinct for one in boxes_in(text)}
    return {name for text in distinct for name in label_names(text)} if task == "multilabel" else distinct


def is_number(text: str) -> bool:
    """Return whether a text is a finite number of at most 1e30, the largest that predictions may hold.

    Example:
        >>> [is_number(text) for text in ("3.5", "-1e3", "nan", "three", "1_000")]
        [True, True, False, False, False]
    """
    if "_" in text or not text.isascii():  # Python takes them, other readers of the list do not
        return False
    try:
        return abs(float(text)) <= 1e30
    except ValueError:
        return False


def grades_in_order(labels: Collection[str], stated: Sequence[str] = (), *, where: str) -> tuple[str, ...]:
    """Return the names of grades from the lowest on: as stated, else by their numbers.

    Args:
        labels: the grades that occur.
        stated: all grades in their order; empty = they are numbers.
        where: where they come from, for the message.

    Raises:
        DataError: the order is not known, as two grades are one number, or a grade that occurs is not among those
            stated.

    Example:
        >>> grades_in_order({"10", "9", "1"}, where="the list")
        ('1', '9', '10')
    """
    names, problem = rank_grades(labels, stated, where=where)
    if problem:
        raise DataError(problem)
    return names


def rank_grades(labels: Collection[str], stated: Sequence[str] = (), *, where: str) -> tuple[tuple[str, ...], str]:
    """Return the names of grades as `grades_in_order` does, and what is wrong with them instead of raising it.

    Grades that are wrong come last, in the order of their names.

    Args:
        labels: as for `grades_in_order`.
        stated: as there.
        where: as there.

    Returns:
        The names, and the problem; "" = none.

    Example:
        >>> rank_grades({"2", "1", "x"}, ["1", "2"], where="The list")[0]
        ('1', '2', 'x')
    """
    if stated:
        if strange := sorted(set(labels) - set(stated)):
            return (*stated, *strange), (
                f"{where} has the grades {first_few(strange)}, which data.grades does not name: {first_few(stated)}. "
                "Add them in their order, or correct the labels."
            )
        return tuple(stated), ""
    words = sorted(text for text in labels if not is_number(text))
    names = sorted(set(labels) - set(words), key=lambda text: (float(text), text))
    if words:
        return (*names, *words), (
            f"The grades of {where} are no numbers ({first_few(words)}), so their order is not known. State it from "
            "the lowest on: data.grades: [none, mild, severe]."
        )
    if same := [f"{one} and {two}" for one, two in pairwise(names) if float(one) == float(two)]:
        return tuple(names), (
            f"{where} has grades that are one number: {first_few(same)}. Write them alike, or state all grades from "
            "the lowest on: data.grades."
        )
    return tuple(names), ""
