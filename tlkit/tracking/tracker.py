"""`Tracker`: the interface of experiment trackers, and the tracker that records nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self

from tlkit.choices import TRACKED_ROWS

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd

Scalar = float | int | str | bool | None

PREDICTION_COLUMNS = ("path", "true", "predicted", "confidence", "correct")
PHASE = "train/phase"
"""Metric: number of the phase of the strategy that an epoch belongs to, from 1."""


class Tracker(Protocol):
    """Records a run in an experiment tracker. Leaving its context closes the record on every exit path.

    Attributes:
        location: where the record is: a URL when online, a folder when offline, "" when nothing is recorded.
    """

    location: str

    def log_metrics(self, row: Mapping[str, float], *, epoch: int) -> None:
        """Record the metrics of one epoch.

        Args:
            row: metric name → value.
            epoch: number of the epoch, the x axis of the charts.
        """

    def log_summary(self, values: Mapping[str, Scalar]) -> None:
        """Record final metrics of the run, such as the test accuracy."""

    def log_predictions(self, table: pd.DataFrame, *, limit: int = TRACKED_ROWS, name: str = "predictions") -> None:
        """Record a table of predictions without its group columns.

        Args:
            table: one row per image with the columns `path`, `true`, `predicted` (class names), `confidence`
                (probability of the predicted class, 0–1) and `correct`. Other columns are dropped.
            limit: maximum number of rows; of more rows an evenly spaced sample is recorded.
            name: name of the table, for example "test/predictions".

        Raises:
            ValueError: a column is missing.
        """

    def log_confusion(
        self, matrix: npt.NDArray[np.int64], classes: Sequence[str], *, name: str = "confusion_matrix"
    ) -> None:
        """Record a confusion matrix as a chart, or as a table where it has too many classes for one.

        Args:
            matrix: images per true class (rows) and predicted class (columns), shape (C, C).
            classes: the C class names, in the order of the matrix.
            name: name of the matrix.
        """

    def log_table(self, table: pd.DataFrame, *, name: str) -> None:
        """Record a table of numbers and names, a row for each class for example."""

    def log_images(self, table: pd.DataFrame, images: Mapping[str, bytes], *, name: str) -> None:
        """Record predictions with their images, without group columns.

        Args:
            table: one row per image with the columns of `log_predictions`. Other columns are dropped.
            images: by path a JPEG; rows without one are left out.
            name: name of the table, for example "test/images".
        """

    def log_curve(self, table: pd.DataFrame, *, name: str, x: str, y: str) -> None:
        """Record curves.

        Args:
            table: one row per point with the columns `series` (name of the curve), x and y; other columns are
                recorded as well where the tracker has tables.
            name: name of the chart, for example "test/pr_curve".
            x: column of the horizontal axis.
            y: column of the vertical axis.
        """

    def log_dataset(self, table: pd.DataFrame, *, metadata: Mapping[str, Any]) -> None:
        """Record which images were used, a row for each without its groups, with facts such as the fingerprint."""

    def alert(self, title: str, text: str) -> None:
        """Send an alert to those who follow the run, such as that its audit fails."""

    def log_report(self, page: Path) -> None:
        """Record an HTML page that needs no other file: to look at, and as a file to download."""

    def log_model(self, model_dir: Path, *, metadata: Mapping[str, Any], aliases: Sequence[str] = ()) -> None:
        """Record all files of a stored model with its metadata, under other names too, such as "best"."""

    def finish(self, exit_code: int = 0) -> None:
        """Close the record; exit code 0 = the run succeeded. Further calls do nothing."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...


class NullTracker:
    """A tracker that records nothing."""

    location = ""

    def log_metrics(self, row: Mapping[str, float], *, epoch: int) -> None:
        """Do nothing."""

    def log_summary(self, values: Mapping[str, Scalar]) -> None:
        """Do nothing."""

    def log_predictions(self, table: pd.DataFrame, *, limit: int = TRACKED_ROWS, name: str = "predictions") -> None:
        """Do nothing."""

    def log_confusion(
        self, matrix: npt.NDArray[np.int64], classes: Sequence[str], *, name: str = "confusion_matrix"
    ) -> None:
        """Do nothing."""

    def log_table(self, table: pd.DataFrame, *, name: str) -> None:
        """Do nothing."""

    def log_images(self, table: pd.DataFrame, images: Mapping[str, bytes], *, name: str) -> None:
        """Do nothing."""

    def log_curve(self, table: pd.DataFrame, *, name: str, x: str, y: str) -> None:
        """Do nothing."""

    def log_dataset(self, table: pd.DataFrame, *, metadata: Mapping[str, Any]) -> None:
        """Do nothing."""

    def alert(self, title: str, text: str) -> None:
        """Do nothing."""

    def log_report(self, page: Path) -> None:
        """Do nothing."""

    def log_model(self, model_dir: Path, *, metadata: Mapping[str, Any], aliases: Sequence[str] = ()) -> None:
        """Do nothing."""

    def finish(self, exit_code: int = 0) -> None:
        """Do nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        pass
