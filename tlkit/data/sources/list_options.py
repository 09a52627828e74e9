"""How lists of images and metadata are read: names of their columns, spellings, classes to merge, several labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd

from tlkit.box_labels import BoxLabel
from tlkit.choices import ANNOTATIONS, Annotations, TrainedTask
from tlkit.data.sources.delimited_files import MAPPED
from tlkit.errors import DataError, did_you_mean, first_few
from tlkit.label_texts import rank_grades
from tlkit.mask_classes import MaskClasses
from tlkit.recipe.value_messages import in_yaml
from tlkit.samples import LABEL, Samples
from tlkit.spelling import SEPARATOR, match_names, unify, warn_of_lookalikes

ALIKE = "Write them alike if they are one class."
MERGE = "If they are one class, merge them: data.merge_classes: {}."


@dataclass(frozen=True, kw_only=True)
class ListOptions:
    """How tables of images are read.

    Attributes:
        names: the file's own name of `path`, `label` or `split`, where it is another: {"path": "image"}.
        verbatim: keep values as they are written; else two spellings of one value are one (see `tlkit.spelling`).
        merge_classes: classes that are read as another one: {"anger": ["ANGER", "Anger"]}.
        annotations: what several rows of one image are: an error ("one"), or labels of several annotators, of which
            the majority counts ("majority"), with the shares of all classes kept for training ("soft").
        task: what a label says of an image.
        separator: between several labels of an image in one column.
        label_columns: columns of one label each, with 1 or 0, in place of the column of several labels.
        grades: names of ordered grades from the lowest on; empty = they are numbers.
        masks: the classes of pixels and their numbers, for segmentation.
        mask_folder: folder of the masks of a folder of images; "" = a list names them.
        box_file: file of the boxes of a folder of images, for detection.
    """

    names: Mapping[str, str] = field(default_factory=dict)
    verbatim: bool = False
    merge_classes: Mapping[str, Sequence[str]] = field(default_factory=dict)
    annotations: Annotations = ANNOTATIONS
    task: TrainedTask = "multiclass"
    separator: str = SEPARATOR
    label_columns: Sequence[str] = ()
    grades: Sequence[str] = ()
    masks: MaskClasses | None = None
    mask_folder: str = ""
    box_file: str = ""

    def __post_init__(self) -> None:
        problems = [
            f"There is no column {name!r} to name: {', '.join(MAPPED)} can have another name in a list."
            f"{did_you_mean(name, MAPPED)} Columns of groups keep their own."
            for name in self.names
            if name not in MAPPED
        ]
        stated = list(self.names.values())
        problems += [
            f"The columns {' and '.join(own for own, name in self.names.items() if name == both)} both have the name "
            f"{both!r} in a list. State a column of its own for each."
            for both in dict.fromkeys(stated)
            if stated.count(both) > 1
        ]
        merged = [one for names in self.merge_classes.values() for one in names]
        if twice := sorted({one for one in merged if merged.count(one) > 1}):
            problems.append(f"merge_classes merges {first_few(twice)} into two classes. Keep one of them.")
        if self.task == "segmentation" and self.masks is None:
            problems.append("The classes of the masks are not stated: data.mask_classes (in Python, masks=).")
        if self.task in ("multilabel", "regression", "segmentation", "detection") and (
            self.annotations != "one" or self.merge_classes
        ):
            given = "annotations" if self.annotations != "one" else "merge_classes"
            problems.append(f"{given} is about one class for each image, and the task is {self.task}. Leave it out.")
        if problems:
            raise DataError(*problems)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of a list that hold the labels."""
        return tuple(self.label_columns) or (LABEL,)

    def values(self, column: pd.Series[str], *, what: str) -> pd.Series[str]:
        """Return a column with one spelling for each value; what looks alike is warned of."""
        return column if self.verbatim else unify(column, what=what)[0]

    def labels(self, column: pd.Series[str], *, what: str) -> pd.Series[str]:
        """Return labels with one spelling for each class, and with classes merged.

        Raises:
            DataError: a class that is to be merged does not occur.
        """
        if not self.verbatim:
            column = unify(column, what=what, hint=None)[0]
        known = [str(name) for name in column.dropna().unique()]
        found = match_names([one for names in self.merge_classes.values() for one in names], known)
        target = {found[one]: name for name, names in self.merge_classes.items() for one in names if one in found}
        lacking = [
            one
            for names in self.merge_classes.values()
            for one in names
            if one not in found and one not in self.merge_classes
        ]
        if lacking:
            raise DataError(
                f"merge_classes names {first_few(lacking)}. {what} have no such class."
                f"{did_you_mean(lacking[0], known)} The classes are {first_few(sorted(known))}."
            )
        if target:
            column = column.map(lambda name: target.get(name, name), na_action="ignore").astype(column.dtype)
        warn_of_lookalikes(
            sorted(set(column.dropna()) - {""}),
            what=what,
            hint=lambda alike: MERGE.format(in_yaml({alike[-1]: list(alike[:-1])})),
        )
        return column

    def boxes(self, boxes: Sequence[Sequence[BoxLabel]], *, what: str) -> list[list[BoxLabel]]:
        """Return the boxes of each image with one spelling for each class; what looks alike is warned of."""
        names = pd.Series([one.name for held in boxes for one in held], dtype="str")
        if self.verbatim:
            warn_of_lookalikes(sorted(set(names)), what=what, hint=lambda _: ALIKE)
            return [list(held) for held in boxes]
        own = dict(zip(names, unify(names, what=what, hint=ALIKE)[0], strict=True))
        return [[one._replace(name=own[one.name]) for one in held] for held in boxes]

    def as_stated(self, column: pd.Series[str]) -> pd.Series[str]:
        """Return labels with grades as `grades` writes them, where they are other spellings."""
        if self.verbatim or not self.grades:
            return column
        own = match_names(column.dropna().unique().tolist(), list(self.grades))
        return column.map(lambda name: own.get(name, name), na_action="ignore").astype(column.dtype)

    def with_classes(self, samples: Samples, *, what: str) -> Samples:
        """Return samples of one class for each image whose labels are read as `labels` says; grades get their order.

        Raises:
            DataError: as `survey_classes`, or the order of the grades is not known.
        """
        samples, problem = self.survey_classes(samples, what=what)
        if problem:
            raise DataError(problem)
        return samples

    def survey_classes(self, samples: Samples, *, what: str) -> tuple[Samples, str]:
        """Return samples as `with_classes` does, and what is wrong with the order of their grades; "" = nothing.

        Raises:
            DataError: a class that is to be merged does not occur, or the task needs several labels or numbers, which
                class folders and shards do not have.
        """
        if self.task in ("multilabel", "regression"):
            need = "several labels for each image" if self.task == "multilabel" else "a number for each image"
            raise DataError(
                f"{what} give one class for each image, and the task is {self.task}, which needs {need}. List the "
                "images in a CSV file with the columns path and label: data.manifest."
            )
        column = self.as_stated(self.labels(samples.table[LABEL], what=what))
        classes, problem = tuple(sorted(set(column))), ""
        if self.task == "ordinal":
            classes, problem = rank_grades(classes, self.grades, where=what[0].lower() + what[1:])
        return Samples(samples.root, classes, samples.table.assign(**{LABEL: column}), self.task), problem
