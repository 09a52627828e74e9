"""What a run tells an experiment tracker, and the tracker that keeps nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd

Scalar = float | int | str | bool | None

PREDICTION_COLUMNS = ("path", "true", "predicted", "confidence", "correct")


class Tracker(Protocol):
    """Somewhere to record a run. Use it as a context manager: leaving it closes the record on every exit path.

    Attributes:
        location: where the record can be seen: a URL when online, a folder when offline, "" when nothing is kept.
    """

    location: str

    def log_metrics(self, row: Mapping[str, float], *, epoch: int) -> None:
        """Record the metrics of one epoch.

        Args:
            row: metric name → value.
            epoch: number of the epoch, the x axis of every chart.
        """

    def log_summary(self, values: Mapping[str, Scalar]) -> None:
        """Record final figures of the run, such as the test accuracy."""

    def log_predictions(self, table: pd.DataFrame, *, limit: int = 10_000, name: str = "predictions") -> None:
        """Record a table of predictions; group columns never leave the run.

        Args:
            table: one row per image with the columns `path`, `true`, `predicted` (class names), `confidence`
                (probability of the predicted class, 0–1) and `correct`. Other columns are dropped.
            limit: most rows to record; beyond it an evenly spaced sample is taken.
            name: what the table is called, for example "test/predictions".

        Raises:
            ValueError: a column is missing.
        """

    def log_confusion(
        self, matrix: npt.NDArray[np.int64], classes: Sequence[str], *, name: str = "confusion_matrix"
    ) -> None:
        """Record a confusion matrix: as a chart, or, where the tracker cannot draw that many classes, as a table.

        Args:
            matrix: images per true class (rows) and predicted class (columns), shape (C, C).
            classes: the C class names, in the order of the matrix.
            name: what the matrix is called.
        """

    def log_model(self, model_dir: Path, *, metadata: Mapping[str, Any]) -> None:
        """Record a stored model, all files of `model_dir`, with what is known about it."""

    def finish(self, exit_code: int = 0) -> None:
        """Close the record; 0 marks a run that succeeded. Closing twice is harmless."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...


class NullTracker:
    """Keeps nothing, costs nothing."""

    location = ""

    def log_metrics(self, row: Mapping[str, float], *, epoch: int) -> None:
        """Do nothing."""

    def log_summary(self, values: Mapping[str, Scalar]) -> None:
        """Do nothing."""

    def log_predictions(self, table: pd.DataFrame, *, limit: int = 10_000, name: str = "predictions") -> None:
        """Do nothing."""

    def log_confusion(
        self, matrix: npt.NDArray[np.int64], classes: Sequence[str], *, name: str = "confusion_matrix"
    ) -> None:
        """Do nothing."""

    def log_model(self, model_dir: Path, *, metadata: Mapping[str, Any]) -> None:
        """Do nothing."""

    def finish(self, exit_code: int = 0) -> None:
        """Do nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        pass
