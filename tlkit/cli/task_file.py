"""`TaskFile`: a file of predictions of another task than one class, as command-line options describe it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from tlkit.choices import PATH, Y_PRED, Y_TRUE, Task
from tlkit.cli.labelled_data import LabelledData, refuse_both_labels
from tlkit.errors import DataError, PredictionsError

if TYPE_CHECKING:
    from tlkit.predictions import MaskPredictions, MultilabelPredictions, NumberPredictions
    from tlkit.predictions.detection_predictions import DetectionPredictions
    from tlkit.predictions.joined_tables import JoinedTable
    from tlkit.predictions.task_predictions import TaskPredictions


@dataclass(frozen=True)
class TaskFile:
    """What the command line says of a file of predictions and its task.

    Attributes:
        path: the file; of masks a folder.
        stated: task of the command line; None = the one in the file, else multiclass.
        val: file of predictions of val; None = none.
        coverage: of intervals calibrated on val; None = the default.
        grades: names of the grades, separated by commas.
        separator: between the labels of a cell.
        truth: file of true boxes, or folder of true masks.
        min_score: smallest score of a box that counts; None = the default.
        classes: names of the classes of masks, separated by commas, perhaps each with its number: road=7,car=26.
        void: number of the pixels of masks that count nowhere.
        groups: file of group columns to join.
        y_true: column of the truth.
        y_pred: column of the predictions.
        path_column: column of the paths.
        verbatim: keep the spelling of group values.
        data: labelled images that an exported file predicts; none of other files.
        split: split of them; None = all.
        by: columns to take from their list.
    """

    path: Path
    stated: Task | None = None
    val: Path | None = None
    coverage: float | None = None
    grades: str | None = None
    separator: str | None = None
    truth: Path | None = None
    min_score: float | None = None
    classes: str | None = None
    void: int | None = None
    groups: Path | None = None
    y_true: str = Y_TRUE
    y_pred: str = Y_PRED
    path_column: str = PATH
    verbatim: bool = False
    data: LabelledData = field(default_factory=LabelledData)
    split: str | None = None
    by: tuple[str, ...] = ()

    @cached_property
    def is_exported(self) -> bool:
        """Whether it is an exported file, which predicts the images of `data`."""
        from tlkit.exported import is_exported

        return is_exported(self.path)

    @cached_property
    def task(self) -> Task:
        """The task: as stated, else what the file says, else multiclass."""
        from tlkit.exported.task_of_file import task_of_exported
        from tlkit.predictions.task_reading import task_of_file

        return self.stated or task_of_file(self.path) or task_of_exported(self.path) or "multiclass"

    @property
    def for_tasks(self) -> dict[str, object]:
        """The options of other tasks than one class for each image, with the values that are given."""
        given = {"--val": self.val, "--coverage": self.coverage, "--grades": self.grades, "--separator": self.separator}
        return {**given, "--truth": self.truth, "--min-score": self.min_score, **self.of_masks}

    @property
    def of_masks(self) -> dict[str, object]:
        """The options of masks, with the values that are given."""
        return {"--classes": self.classes, "--void": None if self.void is None else str(self.void)}

    @property
    def for_files(self) -> dict[str, object]:
        """The options of labelled images, which apply to exported files alone, with what does not apply."""
        given: dict[str, object] = {"--split": self.split, **self.data.given}
        return dict.fromkeys(given) if self.is_exported else given

    @property
    def is_other_task(self) -> bool:
        """Whether the task is another one than one class for each image.

        Raises:
            PredictionsError: options of other tasks are given with multiclass, or a task is stated for a run.
        """
        if self.path.is_dir() and self.stated not in (None, "multiclass") and (self.path / "recipe.yaml").exists():
            raise PredictionsError(f"{self.path} is a run, which has its own task. --task is for files of predictions.")
        if self.task != "multiclass":
            return True
        boxes = "detection" if self.truth is not None or self.min_score is not None else "multilabel"
        example = "segmentation" if any(self.of_masks.values()) else boxes
        self._refuse(
            self.for_tasks, f"is for another task than one class for each image: name it, such as --task {example}."
        )
        return False

    def refuse(self, options: Mapping[str, object]) -> None:
        """Check that options that are about one class for each image are not given.

        Raises:
            PredictionsError: one is.
        """
        own: dict[str, object] = {}
        if self.task != "ordinal":
            own["--grades"] = self.grades
        if self.task != "multilabel":
            own |= {"--separator": self.separator, "--label-column": self.data.label_columns}
        if self.task not in ("ordinal", "regression") or self.val is None:
            own["--coverage"] = self.coverage
        if self.task not in ("detection", "segmentation"):
            own["--truth"] = self.truth
        if self.task != "detection":
            own["--min-score"] = self.min_score
        if self.task != "segmentation":
            own |= self.of_masks
        if self.task in ("detection", "segmentation"):
            own["--val"] = self.val
            own["--verbatim"] = self.verbatim and self.groups is None  # all other text is names of files
        self._refuse({**options, **own}, f"does not apply to a file of the task {self.task}. Leave it out.")

    def _refuse(self, options: Mapping[str, object], why: str) -> None:
        if problems := [f"{name} {why}" for name, value in options.items() if value]:
            raise PredictionsError(*problems)

    def open_labels(self) -> MultilabelPredictions:
        """Return the predictions of several labels in the file, with group columns joined."""
        return self._with_group_labels(self._read_labels(self.path))

    def open_val_labels(self, path: Path, *, cluster_by: str | None) -> MultilabelPredictions:
        """Return those of val; columns are joined only where the clusters or the labels are not in the file itself."""
        found = self._read_labels(path)
        if not found.known.any():
            return self._with_group_labels(found)
        if cluster_by is None or cluster_by in found.groups.columns:
            return found
        return self._with_group_labels(found, y_true="y_true")  # labels of the file itself stay

    def _with_group_labels(self, found: MultilabelPredictions, y_true: str | None = None) -> MultilabelPredictions:
        from tlkit.spelling import SEPARATOR

        if self._joined is None:
            return found
        separator = self.separator or SEPARATOR
        return found.with_groups(
            self._joined, y_true=y_true or self.y_true, separator=separator, verbatim=self.verbatim
        )

    @cached_property
    def _joined(self) -> JoinedTable | None:
        """The table of groups, which is read once."""
        from tlkit.predictions.joined_tables import read_joined

        return None if self.groups is None else read_joined(self.groups)

    def _truth_in(self, path: Path) -> str:
        """Return the column of the truth in a file; the one of `y_true` may stand in the table of groups instead."""
        from tlkit.cli.run_or_file import truth_of_val
        from tlkit.predictions.validation import Y_TRUE

        names = [] if self._joined is None else list(map(str, self._joined.columns.columns))
        if path != self.path:
            several = self.task == "multilabel"
            return truth_of_val(path, names, y_true=self.y_true, path_column=self.path_column, several_labels=several)
        beside = any(name == self.y_true or name.startswith(f"{self.y_true}_") for name in names)
        return Y_TRUE if beside else self.y_true

    def _read_labels(self, path: Path) -> MultilabelPredictions:
        from tlkit.predictions import MultilabelPredictions, read_multilabel
        from tlkit.spelling import SEPARATOR

        if self.is_exported and path == self.path:
            found = self._predicted()
            assert isinstance(found, MultilabelPredictions), "the file says its task"
            return found
        return read_multilabel(
            path,
            y_true=self._truth_in(path),
            y_pred=self.y_pred,
            path_column=self.path_column,
            separator=self.separator or SEPARATOR,
            verbatim=self.verbatim,
        )

    def _predicted(self) -> TaskPredictions:
        """Return what an exported file predicts of the labelled images."""
        from tlkit.exported.labelled_predictions import predict_task_images

        if self.data.path is None:
            raise DataError(
                f"{self.path} is an exported file, which needs labelled images to judge by: --data LIST.csv."
            )
        if self.val is None and self.groups is None:  # whose labels may lie in one cell
            refuse_both_labels({}, self.data.label_columns, self.separator)
        grades = () if self.grades is None else tuple(one.strip() for one in self.grades.split(","))
        options = self.data.options(
            task="multilabel" if self.task == "multilabel" else "multiclass",  # the file says which other task
            separator=self.separator,
            grades=grades,
            verbatim=self.verbatim,
        )
        columns = () if self.groups is not None else self.by
        return predict_task_images(self.path, split=self.split, columns=columns, options=options, **self.data.source())

    def open_boxes(self) -> DetectionPredictions:
        """Return the boxes of the file and of that of the truth, or a table by tlkit, with group columns joined."""
        from tlkit.predictions.box_reading import read_boxes, read_detection

        if self.path.suffix.lower() == ".parquet":
            self._refuse({"--truth": self.truth}, "is for COCO's files; a table by tlkit has both. Leave it out.")
            found = read_boxes(self.path)
            return found if self.groups is None else found.with_groups(self.groups, verbatim=self.verbatim)
        if self.truth is None:
            raise PredictionsError(
                "Predicted boxes are judged with the true ones: --truth FILE.json, in COCO's format."
            )
        found = read_detection(self.path, self.truth)
        return found if self.groups is None else found.with_groups(self.groups, verbatim=self.verbatim)

    def open_masks(self) -> MaskPredictions:
        """Return the masks of the folder beside those of the truth, or a table by tlkit, with group columns joined."""
        from tlkit.mask_classes import MaskClasses
        from tlkit.predictions import read_mask_folders, read_masks

        if self.is_exported:
            raise PredictionsError(
                f"{self.path} predicts masks, which are judged in a folder: tlkit predict {self.path} IMAGES --out "
                "FOLDER, then tlkit evaluate FOLDER --task segmentation --truth MASKS --classes NAMES."
            )

        if self.path.suffix.lower() == ".parquet":
            self._refuse(
                {"--truth": self.truth, **self.of_masks},
                "is for folders of masks; a table by tlkit has both. Leave it out.",
            )
            found = read_masks(self.path)
        elif self.truth is None or self.classes is None:
            raise PredictionsError(
                "Predicted masks are judged with the true ones, and their classes: --truth FOLDER --classes NAMES, in "
                "the order of their numbers from 0, such as background,cat; or with numbers, background=0,cat=255."
            )
        else:
            try:
                classes = MaskClasses.of(numbered_classes(self.classes), void=self.void)
            except ValueError as error:
                raise PredictionsError(f"--classes, --void: {error}") from error
            found = read_mask_folders(self.path, self.truth, classes)
        return found if self.groups is None else found.with_groups(self.groups, verbatim=self.verbatim)

    def open_table(self) -> TaskPredictions:
        """Return the predictions of the file's task, with group columns joined."""
        if self.task == "detection":
            return self.open_boxes()
        if self.task == "segmentation":
            return self.open_masks()
        return self.open_labels() if self.task == "multilabel" else self.open_numbers(self.path)

    def open_numbers(self, path: Path) -> NumberPredictions:
        """Return the numbers or grades in a file; columns are joined to val only where the truth is not in its file."""
        from tlkit.predictions import NumberPredictions, read_numbers

        if self.is_exported and path == self.path:
            predicted = self._predicted()
            assert isinstance(predicted, NumberPredictions), "the file says its task"
            return self._with_group_numbers(predicted)
        found = read_numbers(
            path,
            task="ordinal" if self.task == "ordinal" else "regression",
            y_true=self._truth_in(path),
            y_pred=self.y_pred,
            path_column=self.path_column,
            grades=None if self.grades is None else [one.strip() for one in self.grades.split(",")],
            verbatim=self.verbatim,
        )
        return found if path != self.path and found.known.any() else self._with_group_numbers(found)

    def _with_group_numbers(self, found: NumberPredictions) -> NumberPredictions:
        if self._joined is None:
            return found
        return found.with_groups(self._joined, y_true=self.y_true, verbatim=self.verbatim)


def numbered_classes(text: str) -> dict[str, int]:
    """Return the classes in a text with their numbers: as it states them, else from 0.

    Raises:
        ValueError: a name is repeated, or what stands after "=" is no number, or is there for some names only.
    """
    parts = [part.strip().rpartition("=") for part in text.split(",")]
    stated = [name for name, mark, _ in parts if mark]
    if stated and (len(stated) < len(parts) or not all(number.strip().isdecimal() for _, _, number in parts)):
        raise ValueError(f"write a whole number after each name, or after none: background=0,cat=255. Got {text}.")
    named = [
        (name.strip(), int(number)) if mark else (number, place) for place, (name, mark, number) in enumerate(parts)
    ]
    if len(dict(named)) < len(named):
        raise ValueError(f"each class needs a name of its own. Got {text}.")
    return dict(named)
