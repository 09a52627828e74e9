"""`Predictions`: path, true class, predicted class, class probabilities and groups of every image."""

from __future__ import annotations

import html
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import pandas as pd

from tlkit.arrays import Floats, Ints
from tlkit.choices import Task
from tlkit.errors import PredictionsError, first_few
from tlkit.predictions.joined_tables import Joinable, paths_in_table, read_joined, with_known_paths
from tlkit.predictions.prediction_files import write_parquet_table
from tlkit.predictions.stored_probabilities import as_matrix, renormalized
from tlkit.predictions.unreadable import Unreadable
from tlkit.predictions.unreadable_rows import with_unreadable
from tlkit.predictions.validation import (
    PATH,
    PROBA_PREFIX,
    Y_PRED,
    Y_TRUE,
    Strings,
    class_codes,
    group_table,
    name_problems,
    proba_problems,
)

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False, repr=False)
class Predictions:
    """A model's predictions, with labels and group columns. Build it with `Predictions.build`, which checks the values.

    Attributes:
        classes: class names; index = integer target.
        path: path of each image, shape (N,), all different.
        y_true: position of the true class, shape (N,), in 0…C-1, or -1 where the label is unknown.
        y_pred: position of the predicted class, shape (N,), in 0…C-1. It need not be the most probable class: a
            threshold may have been applied.
        proba: class probabilities, shape (N, C), in [0, 1], rows sum to one; None where only the class is known.
        groups: group columns, shape (N, G), rows 0…N-1, strings (pandas' "string") with NA for missing.
        tta: test-time augmentation that `proba` is the average over, such as "flip"; "none" = none, or unknown.

    The arrays are read-only; treat `groups` as read-only too.

    Example:
        >>> import pandas as pd
        >>> predictions = Predictions.build(
        ...     classes=["cat", "dog"], path=["a.jpg", "b.jpg"], y_true=["cat", "dog"],
        ...     proba=[[0.9, 0.1], [0.6, 0.4]], groups=pd.DataFrame({"light": ["day", None]}))
        >>> predictions
        Predictions(2 images, 2 labelled, 2 classes, with proba, groups: light)
        >>> predictions.correct.tolist()
        [True, False]
    """

    classes: tuple[str, ...]
    path: Strings
    y_true: Ints
    y_pred: Ints
    proba: Floats | None
    groups: pd.DataFrame
    tta: str = "none"

    task: ClassVar[Task] = "multiclass"

    def __post_init__(self) -> None:
        n = len(self.path)
        assert self.y_true.shape == self.y_pred.shape == (n,), "one y_true and one y_pred per path"
        assert self.proba is None or self.proba.shape == (n, len(self.classes)), "one row of proba per path"
        assert len(self.groups) == n, "one row of groups per path"
        for array in (self.path, self.y_true, self.y_pred, self.proba):
            if array is not None:
                array.setflags(write=False)

    @classmethod
    def build(
        cls,
        *,
        classes: Sequence[str],
        path: Sequence[str] | Strings,
        y_true: npt.ArrayLike | None = None,
        proba: npt.ArrayLike | None = None,
        groups: pd.DataFrame | None = None,
        y_pred: npt.ArrayLike | None = None,
        tta: str = "none",
        source: str = "predictions",
        verbatim: bool = False,
    ) -> Predictions:
        """Return the predictions after checking all arguments.

        Args:
            classes: C different class names.
            path: N different paths.
            y_true: N class names (missing = unknown) or integer positions in `classes` (-1 = unknown); default:
                all unknown.
            proba: class probabilities, shape (N, C): softmax of the logits, taken once. Rows that do not sum to one
                because of how they are stored (float16, bfloat16, few digits) are divided by their sum.
            groups: group columns, N rows in the order of `path`; values are converted to text, one spelling for each
                value, and null or empty text is missing.
            y_pred: N class names or integer positions; default: the most probable class, the first of equals.
            tta: test-time augmentation that `proba` is the average over.
            source: name of the data, for messages.
            verbatim: keep group values as they are written; else "7", "7.0" and "7 " are one (see `tlkit.spelling`).

        Raises:
            PredictionsError: shapes disagree; names or paths repeat; a class name is unknown; a row of proba is not
                finite, is negative or does not sum to one within 1e-4 for another reason than rounding; neither proba
                nor y_pred is given.
        """
        names = tuple(str(name) for name in classes)
        paths = np.array([str(entry) for entry in path], dtype=str).reshape(-1)
        problems = name_problems(names, paths)
        codes_of = partial(class_codes, classes=names, paths=paths, verbatim=verbatim)
        truth: Ints = np.full(len(paths), -1, dtype=np.int64)
        if y_true is not None:
            truth, found = codes_of(y_true, column=Y_TRUE, may_be_missing=True)
            problems += found
        matrix = None if proba is None else renormalized(as_matrix(proba), source=source)
        wrong_proba = [] if matrix is None else proba_problems(matrix, classes=names, paths=paths)
        problems += wrong_proba
        guess: Ints = truth
        if y_pred is not None:
            guess, found = codes_of(y_pred, column=Y_PRED, may_be_missing=False)
            problems += found
        elif matrix is None:
            problems.append("neither proba nor y_pred is given. Give at least one of them.")
        elif not wrong_proba and names:
            guess = matrix.argmax(axis=1).astype(np.int64)
        table, found = group_table(groups, paths=paths, source=source, verbatim=verbatim)
        problems += found
        if problems:
            raise PredictionsError(*(f"{source}: {problem}" for problem in problems))
        if y_pred is not None and matrix is not None and (odd := int((guess != matrix.argmax(axis=1)).sum())):
            logger.info(
                "%s: y_pred is not the most probable class in %d of %d rows; y_pred is used.", source, odd, len(paths)
            )
        return cls(names, paths, truth, guess, matrix, table, tta)

    def __len__(self) -> int:
        return len(self.path)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Predictions):
            return NotImplemented
        if (self.proba is None) != (other.proba is None):
            return False
        arrays = ("path", "y_true", "y_pred", "proba")
        return (
            (self.classes, self.tta) == (other.classes, other.tta)
            and all(np.array_equal(getattr(self, name), getattr(other, name)) for name in arrays)
            and self.groups.equals(other.groups)
        )

    __hash__ = None  # type: ignore[assignment]  # arrays have no hash

    def __repr__(self) -> str:
        proba = "with proba" if self.proba is not None else "without proba"
        groups = f"groups: {first_few(self.group_columns)}" if self.group_columns else "no groups"
        labelled = int((self.y_true >= 0).sum())
        tta = f", tta: {self.tta}" if self.tta != "none" else ""
        return (
            f"Predictions({len(self)} images, {labelled} labelled, {len(self.classes)} classes, {proba}, {groups}{tta})"
        )

    def _repr_html_(self) -> str:
        """Return what a notebook shows: the size and the first five rows, without the probabilities of each class."""
        head = self.take(np.arange(min(5, len(self))))
        table = head.table(proba=False)
        if head.confidence is not None:
            table.insert(3, "confidence", head.confidence.round(3))
        return f"<p>{html.escape(repr(self))}</p>{table.to_html(index=False, escape=True, na_rep='')}"

    @property
    def group_columns(self) -> tuple[str, ...]:
        """Names of the group columns, in table order."""
        return tuple(self.groups.columns)

    @property
    def confidence(self) -> Floats | None:
        """Probability of the most probable class, shape (N,), in [1/C, 1]; None without proba."""
        return None if self.proba is None else np.asarray(self.proba.max(axis=1))

    @property
    def correct(self) -> npt.NDArray[np.bool_]:
        """Whether the prediction is right, shape (N,); False where the label is unknown."""
        return np.asarray(self.y_true == self.y_pred)

    @property
    def labelled(self) -> Predictions:
        """The images whose label is known."""
        return self if (self.y_true >= 0).all() else self.take(self.y_true >= 0)

    def take(self, rows: npt.NDArray[np.bool_] | npt.NDArray[np.integer]) -> Predictions:
        """Return some of the images; `classes` is unchanged.

        Args:
            rows: a mask of shape (N,), or positions.
        """
        return replace(
            self,
            path=self.path[rows],
            y_true=self.y_true[rows],
            y_pred=self.y_pred[rows],
            proba=None if self.proba is None else self.proba[rows],
            groups=self.groups.loc[rows].reset_index(drop=True),
        )

    def with_groups(self, table: Joinable, *, y_true: str = Y_TRUE, verbatim: bool = False) -> Predictions:
        """Return the predictions with group columns, and labels, joined by path.

        Images that are not in the table get missing values; their number is logged. Columns of equal names are
        replaced. Where no path of the table is one of the predictions, either may lack the folders that all paths of
        the other have in common; all of one must then match, and it is logged.

        Args:
            table: a CSV or Parquet file or a DataFrame with a column (or an index) `path` and one column per attribute.
            y_true: its column that labels the images; "y_true" does only where no prediction has a label.
            verbatim: as for `build`.

        Raises:
            PredictionsError: the table cannot be read, lacks `path`, repeats a path, has none of the paths, or labels
                images with unknown classes.
        """
        joined_table = read_joined(table)
        source = joined_table.source
        columns = with_known_paths(joined_table.columns, self.path, source=source)
        paths = paths_in_table(self.path, columns, source=source)
        matched = np.isin(paths, columns.index.to_numpy(dtype=str))
        if not matched.all():
            missing = self.path[~matched].tolist()
            logger.warning(
                "%s: %d of %d images are not in it, so their groups are missing: %s.",
                source,
                len(missing),
                len(self),
                first_few(missing),
            )
        problems: list[str] = []
        truth: Ints = self.y_true
        if y_true in columns.columns and (y_true != Y_TRUE or not (truth >= 0).any()):
            labels = columns.pop(y_true).reindex(paths).to_numpy(dtype=object)
            truth, problems = class_codes(
                labels, classes=self.classes, paths=self.path, column=y_true, may_be_missing=True, verbatim=verbatim
            )
            logger.info("%s: its column %s labels %d of %d images.", source, y_true, int((truth >= 0).sum()), len(self))
        columns, found = group_table(columns, source=source, verbatim=verbatim)
        problems += found
        if problems:
            raise PredictionsError(*(f"{source}: {problem}" for problem in problems))
        joined = columns.reindex(paths).reset_index(drop=True)
        if replaced := [name for name in joined.columns if name in self.groups.columns]:
            logger.info("%s: replaces the group column %s.", source, first_few(replaced))
        return replace(self, y_true=truth, groups=pd.concat([self.groups.drop(columns=replaced), joined], axis=1))

    def table(self, *, proba: bool = True, unreadable: Sequence[Unreadable] | None = None) -> pd.DataFrame:
        """Return one row per image: path, y_true, y_pred (class names, NA = unknown), proba_<class>…, group columns.

        Args:
            proba: whether to include the probability of each class.
            unreadable: images without a prediction, which get rows and a column `error` with the reasons.
        """
        names = np.array([*self.classes, None], dtype=object)  # position -1 finds None
        columns: dict[str, object] = {
            PATH: pd.array(self.path.astype(object), dtype="string"),
            Y_TRUE: pd.array(names[self.y_true], dtype="string"),
            Y_PRED: pd.array(names[self.y_pred], dtype="string"),
        }
        if proba and self.proba is not None:
            columns |= {f"{PROBA_PREFIX}{name}": self.proba[:, index] for index, name in enumerate(self.classes)}
        table = pd.concat([pd.DataFrame(columns), self.groups], axis=1)
        return table if unreadable is None else with_unreadable(table, unreadable)

    def to_parquet(self, path: Path | str, *, unreadable: Sequence[Unreadable] | None = None) -> None:
        """Write the predictions as Parquet, atomically; `read_predictions` returns equal ones.

        Probabilities are stored as float32 where that loses nothing (a model that computes in float32), else as
        float64. `unreadable` is that of `table`.
        """
        table = self.table(unreadable=unreadable)
        if self.proba is not None and np.array_equal(self.proba, self.proba.astype(np.float32)):
            table = table.astype({f"{PROBA_PREFIX}{name}": np.float32 for name in self.classes})
        noted: dict[str, object] = {
            "task": self.task,
            "classes": list(self.classes),
            "groups": list(self.group_columns),
        }
        if self.tta != "none":
            noted["tta"] = self.tta
        write_parquet_table(Path(path), table, noted=noted)
