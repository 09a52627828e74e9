"""`NumberPredictions`: a true and a predicted number, or grade, of every image, and an interval where there is one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from tlkit.arrays import Floats, Ints, Mask
from tlkit.errors import PredictionsError, first_few
from tlkit.predictions.image_columns import ImageColumns
from tlkit.predictions.joined_tables import Joinable
from tlkit.predictions.prediction_files import write_parquet_table
from tlkit.predictions.predictions import Predictions
from tlkit.predictions.truth_cells import grade_cells, number_cells
from tlkit.predictions.unreadable import Unreadable
from tlkit.predictions.unreadable_rows import with_unreadable
from tlkit.predictions.validation import Y_PRED, Y_TRUE, Strings, as_text

LOWER, UPPER = "lower", "upper"
MOST_NUMBER = 1e30
"""Largest amount of a number: the interval of a mean squared error takes its eighth power."""
NumberTask = Literal["ordinal", "regression"]


@dataclass(frozen=True, eq=False, repr=False)
class NumberPredictions:
    """Predictions of a number (regression) or of an ordered grade (ordinal). Build it with `build`.

    Attributes:
        images: path and group columns.
        y_true: true number, shape (N,), NaN where it is unknown. Of grades it is the position in `grades`.
        y_pred: predicted number, shape (N,).
        lower: lower end of each image's interval, shape (N,); None without intervals.
        upper: upper end.
        grades: names of the grades from the lowest on; empty for numbers.

    Example:
        >>> found = NumberPredictions.build(path=["a.jpg", "b.jpg"], y_true=[3.0, None], y_pred=[2.5, 4.0])
        >>> found, found.labelled.errors.tolist()
        (NumberPredictions(regression, 2 images, 1 labelled, no groups), [-0.5])
    """

    images: ImageColumns
    y_true: Floats
    y_pred: Floats
    lower: Floats | None = None
    upper: Floats | None = None
    grades: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for array in (self.y_true, self.y_pred, self.lower, self.upper):
            assert array is None or array.shape == (len(self.images),), "one number per image"
            if array is not None:
                array.setflags(write=False)
        assert (self.lower is None) == (self.upper is None), "an interval has two ends"

    @classmethod
    def build(
        cls,
        *,
        path: Sequence[str] | Strings,
        y_pred: npt.ArrayLike,
        y_true: npt.ArrayLike | None = None,
        lower: npt.ArrayLike | None = None,
        upper: npt.ArrayLike | None = None,
        grades: Sequence[str] = (),
        groups: pd.DataFrame | None = None,
        source: str = "predictions",
        verbatim: bool = False,
    ) -> NumberPredictions:
        """Return the predictions after checking all arguments.

        Args:
            path: N different paths.
            y_pred: predicted numbers, shape (N,); of grades their positions in `grades`.
            y_true: true numbers, None or NaN where unknown; default: all unknown.
            lower: lower ends of intervals, shape (N,); only with `upper`.
            upper: upper ends.
            grades: names of the grades from the lowest on, at least two; none for numbers.
            groups: group columns, N rows in the order of `path`.
            source: name of the data, for messages.
            verbatim: keep group values as they are written.

        Raises:
            PredictionsError: shapes disagree, paths repeat, a number is not finite or no grade, an end of an interval
                is missing or above the other.
        """
        names = tuple(str(grade) for grade in grades)
        images, problems = ImageColumns.checked(
            path, groups, names=names or ("number",), source=source, verbatim=verbatim
        )
        columns: dict[str, Floats] = {Y_TRUE: np.full(len(images), np.nan)}
        given = {Y_TRUE: y_true, Y_PRED: y_pred, LOWER: lower, UPPER: upper}
        columns |= {name: np.array(values, dtype=np.float64) for name, values in given.items() if values is not None}
        wrong_shape = [name for name, values in columns.items() if values.shape != (len(images),)]
        problems += [
            f"{name} has shape {columns[name].shape}, but there are {len(images)} paths." for name in wrong_shape
        ]
        if (lower is None) != (upper is None):
            problems.append("an interval needs both ends. Give lower and upper, or neither.")
        if len(names) == 1:
            problems.append(f"there is only one grade, {names[0]!r}. Give at least two, from the lowest on.")
        if not wrong_shape:
            problems += _number_problems(columns, images.path, len(names))
        if problems:
            raise PredictionsError(*(f"{source}: {problem}" for problem in problems))
        return cls(images, columns[Y_TRUE], columns[Y_PRED], columns.get(LOWER), columns.get(UPPER), names)

    def __len__(self) -> int:
        return len(self.images)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, NumberPredictions):
            return NotImplemented
        pairs = [(getattr(self, name), getattr(other, name)) for name in (Y_TRUE, Y_PRED, LOWER, UPPER)]
        return (self.grades, self.images) == (other.grades, other.images) and all(
            a is b if a is None or b is None else np.array_equal(a, b, equal_nan=True) for a, b in pairs
        )

    __hash__ = None  # type: ignore[assignment]  # arrays have no hash

    def __repr__(self) -> str:
        groups = f"groups: {first_few(list(self.groups.columns))}" if self.groups.shape[1] else "no groups"
        intervals = "" if self.lower is None else ", with intervals"
        return (
            f"NumberPredictions({self.task}, {len(self)} images, {int(self.known.sum())} labelled{intervals}, {groups})"
        )

    @property
    def task(self) -> NumberTask:
        """Ordinal where there are grades, else regression."""
        return "ordinal" if self.grades else "regression"

    @property
    def path(self) -> Strings:
        """Path of each image, shape (N,)."""
        return self.images.path

    @property
    def groups(self) -> pd.DataFrame:
        """Group columns, shape (N, G)."""
        return self.images.groups

    @property
    def known(self) -> Mask:
        """Whether the true number is known, shape (N,)."""
        return np.asarray(np.isfinite(self.y_true))

    @property
    def labelled(self) -> NumberPredictions:
        """The images whose true number is known."""
        return self if self.known.all() else self.take(self.known)

    @property
    def errors(self) -> Floats:
        """Prediction minus truth, shape (N,); NaN where the truth is unknown."""
        return np.asarray(self.y_pred - self.y_true)

    @property
    def covered(self) -> Mask:
        """Whether the truth lies in its interval, ends included, shape (N,)."""
        assert self.lower is not None and self.upper is not None, "coverage needs intervals"
        return np.asarray((self.lower <= self.y_true) & (self.y_true <= self.upper))

    def take(self, rows: Mask | Ints) -> NumberPredictions:
        """Return some of the images."""
        return replace(
            self,
            images=self.images.take(rows),
            y_true=self.y_true[rows],
            y_pred=self.y_pred[rows],
            lower=None if self.lower is None else self.lower[rows],
            upper=None if self.upper is None else self.upper[rows],
        )

    def with_groups(self, table: Joinable, *, y_true: str = Y_TRUE, verbatim: bool = False) -> NumberPredictions:
        """Return the predictions with group columns, and true numbers or grades, joined by path.

        Args:
            table: as for `ImageColumns.with_groups`.
            y_true: its column of the truth; "y_true" does only where the truth of no image is known.
            verbatim: keep grades and values of groups as they are written.

        Raises:
            PredictionsError: as for `ImageColumns.with_groups`; or a cell is no number, or no grade.
        """
        joined, truth = self.images.join(table), self.y_true
        if y_true in joined.columns and (y_true != Y_TRUE or not self.known.any()):
            text = as_text(joined.of_images()[y_true]).rename(y_true)
            truth = (
                grade_cells(joined.source, text, self.grades, verbatim=verbatim)
                if self.grades
                else number_cells(joined.source, text)
            )
            if problems := _number_problems({Y_TRUE: truth}, self.path, len(self.grades)):
                raise PredictionsError(*(f"{joined.source}: {problem}" for problem in problems))
            joined = joined.without([y_true], int(np.isfinite(truth).sum()))
        return replace(self, y_true=truth, images=self.images.with_columns(joined, verbatim=verbatim))

    def as_classes(self) -> Predictions:
        """Return grades as classes, in their order, without the intervals: for accuracy, kappa and confusions."""
        assert self.grades, "only grades are classes"
        truth = np.where(self.known, self.y_true, -1.0).astype(np.int64)
        return Predictions(self.grades, self.path, truth, self.y_pred.astype(np.int64), None, self.groups)

    def table(self, *, unreadable: Sequence[Unreadable] | None = None) -> pd.DataFrame:
        """Return one row per image: path, y_true, y_pred, lower, upper, group columns; grades by name.

        Ends of intervals that are no grades stay positions.

        Args:
            unreadable: images without a prediction, which get rows and a column `error` with the reasons.
        """
        path, groups = self.images.table()
        columns: dict[str, object] = {Y_TRUE: self.y_true, Y_PRED: self.y_pred}
        if self.grades:
            names = np.array([*self.grades, None], dtype=object)
            places = [np.where(np.isfinite(one), one, -1).astype(np.int64) for one in (self.y_true, self.y_pred)]
            columns = dict(zip((Y_TRUE, Y_PRED), (pd.array(names[one], dtype="string") for one in places), strict=True))
        ends = {} if self.lower is None or self.upper is None else {LOWER: self.lower, UPPER: self.upper}
        columns |= ends
        if self.grades and all(np.isin(one, np.arange(len(self.grades))).all() for one in ends.values()):
            named = np.array(self.grades, dtype=object)
            columns |= {name: pd.array(named[one.astype(np.int64)], dtype="string") for name, one in ends.items()}
        table = pd.concat([path, pd.DataFrame(columns), groups], axis=1)
        return table if unreadable is None else with_unreadable(table, unreadable)

    def to_parquet(self, path: Path | str, *, unreadable: Sequence[Unreadable] | None = None) -> None:
        """Write the predictions as Parquet, atomically; `read_numbers` returns equal ones."""
        noted: dict[str, object] = {
            "task": self.task,
            "classes": list(self.grades),
            "groups": list(self.groups.columns),
        }
        write_parquet_table(Path(path), self.table(unreadable=unreadable), noted=noted)


def _number_problems(columns: dict[str, Floats], paths: Strings, grades: int) -> list[str]:
    problems = []
    for name, values in columns.items():
        wrong = ~np.isfinite(values) if name == Y_PRED else np.isinf(values) if name == Y_TRUE else np.isnan(values)
        if wrong.any():
            problems.append(
                f"{name} is no number in {int(wrong.sum())} of {len(values)} rows: {first_few(paths[wrong].tolist())}."
            )
        elif (large := np.isfinite(values) & (np.abs(values) > MOST_NUMBER)).any():
            problems.append(
                f"{name} lies beyond ±{MOST_NUMBER:g} in {int(large.sum())} of {len(values)} rows, where powers are "
                f"no numbers: {first_few(paths[large].tolist())}. Use another unit."
            )
        elif grades and name in (Y_TRUE, Y_PRED):
            held = values[np.isfinite(values)]
            if (strange := held[(held != np.round(held)) | (held < 0) | (held >= grades)]).size:
                problems.append(
                    f"{name} holds {strange[0]:g}, which is no position of the {grades} grades. Round predictions to "
                    "grades, or judge them as numbers: task regression."
                )
    if LOWER in columns and UPPER in columns and (crossed := columns[LOWER] > columns[UPPER]).any():
        problems.append(f"lower is above upper in {int(crossed.sum())} rows: {first_few(paths[crossed].tolist())}.")
    return problems
