"""TensorBoard, by torch's own writer, in the run's folder `tensorboard/`. Only this module imports it."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from tlkit.choices import TRACKED_ROWS
from tlkit.tracking.attempts import Attempts, exit_code_of, missing_extra
from tlkit.tracking.flat_config import flat_config
from tlkit.tracking.sampled_rows import confusion_cells, prediction_rows
from tlkit.tracking.tracker import Scalar

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd

logger = logging.getLogger(__name__)

MOST_ROWS = 100
"""Rows of a table that is shown as text: TensorBoard has no tables."""


class TensorboardTracker:
    """Event files of TensorBoard, opened by `create_tracker`. A failure to write one does not end the training run.

    Attributes:
        location: folder of the event files.
    """

    def __init__(self, writer: Any, *, folder: Path, config: Mapping[str, Any]) -> None:
        self._writer = writer
        self._config = config
        self._attempt = Attempts("TensorBoard", {})
        self._numbers: dict[str, float] = {}
        self._finished = False
        self.location = str(folder)

    def log_metrics(self, row: Mapping[str, float], *, epoch: int) -> None:
        """Record the metrics of one epoch; the epoch is their step."""

        def action() -> None:
            for name, value in row.items():
                self._writer.add_scalar(name, value, epoch)
            self._writer.flush()  # a killed process loses nothing

        self._attempt(f"the metrics of epoch {epoch}", action)

    def log_summary(self, values: Mapping[str, Scalar]) -> None:
        """Record final metrics as metrics of the HParams tab, written at the end, and all of them as text."""
        numbers = {k: float(v) for k, v in values.items() if isinstance(v, int | float) and not isinstance(v, bool)}
        self._numbers |= numbers
        rows = "\n".join(f"| {name} | {value} |" for name, value in values.items())
        first = next(iter(values), "summary").split("/")[0]
        self._text(f"summary/{first}", f"| name | value |\n|---|---|\n{rows}")

    def log_predictions(self, table: pd.DataFrame, *, limit: int = TRACKED_ROWS, name: str = "predictions") -> None:
        """Record at most 100 predictions as text.

        Raises:
            ValueError: a column is missing.
        """
        self.log_table(prediction_rows(table, limit=min(limit, MOST_ROWS), tool="TensorBoard"), name=name)

    def log_confusion(
        self, matrix: npt.NDArray[np.int64], classes: Sequence[str], *, name: str = "confusion_matrix"
    ) -> None:
        """Record the most frequent cells of a confusion matrix as text."""
        cells = confusion_cells(matrix, classes, zeros=False)
        self.log_table(cells.sort_values("images", ascending=False, kind="stable"), name=name)

    def log_table(self, table: pd.DataFrame, *, name: str) -> None:
        """Record the first 100 rows of a table as text."""
        shown = table.head(MOST_ROWS)
        cells = [[str(cell).replace("|", "\\|") for cell in row] for row in shown.itertuples(index=False)]
        lines = [list(map(str, table.columns)), ["---"] * len(table.columns), *cells]
        text = "\n".join(f"| {' | '.join(line)} |" for line in lines)
        more = f"\n\nThe first {MOST_ROWS} of {len(table)} rows." if len(table) > MOST_ROWS else ""
        self._text(name, text + more)

    def log_images(self, table: pd.DataFrame, images: Mapping[str, bytes], *, name: str) -> None:
        """Record images, each named by its number, true and predicted class."""
        import numpy as np
        from PIL import Image

        rows = prediction_rows(table[table["path"].isin(list(images))], limit=len(images), tool="TensorBoard")

        def action() -> None:
            for number, row in enumerate(rows.to_dict("records")):
                with Image.open(io.BytesIO(images[row["path"]])) as image:
                    pixels = np.asarray(image.convert("RGB"))
                title = f"{number:04d} {row['true']} predicted {row['predicted']} {row['confidence']:.0%}"
                self._writer.add_image(f"{name}/{title}", pixels, dataformats="HWC")

        self._attempt(f"the images of {name}", action)

    def log_curve(self, table: pd.DataFrame, *, name: str, x: str, y: str) -> None:
        """Record curves as text and as scalars over x in thousandths: a step is a whole number."""

        def action() -> None:
            for row in table.to_dict("records"):
                self._writer.add_scalar(f"{name}/{row['series']}", row[y], round(1000 * float(row[x])))

        self.log_table(table, name=name)
        self._attempt(f"the curve {name}", action)

    def log_dataset(self, table: pd.DataFrame, *, metadata: Mapping[str, Any]) -> None:
        """Record the facts about the images as text."""
        self._text("dataset", f"{len(table)} images\n\n```json\n{json.dumps(metadata, indent=2, default=str)}\n```")

    def alert(self, title: str, text: str) -> None:
        """Record an alert as text: TensorBoard sends no messages."""
        self._text("alert", f"**{title}**\n\n{text}")

    def log_report(self, page: Path) -> None:
        """Record where the page is: TensorBoard stores no files."""
        self._text("report", str(page.name))

    def log_model(self, model_dir: Path, *, metadata: Mapping[str, Any], aliases: Sequence[str] = ()) -> None:
        """Record the metadata of a model as text: TensorBoard stores no files."""
        self._text("model", f"```json\n{json.dumps(metadata, indent=2, default=str)}\n```")

    def finish(self, exit_code: int = 0) -> None:
        """Write hyperparameters and final metrics for the HParams tab, and close the event files."""
        if self._finished:
            return
        self._finished = True

        def action() -> None:
            if self._numbers:
                self._writer.add_hparams(flat_config(self._config), self._numbers, run_name=".")

        self._attempt("the hyperparameters", action)
        self._attempt("closing the run", self._writer.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.finish(exit_code_of(kind, error, traceback))

    def _text(self, name: str, text: str) -> None:
        self._attempt(f"the text {name}", lambda: self._writer.add_text(name, text))


def open_tensorboard(run_dir: Path, *, config: Mapping[str, Any]) -> TensorboardTracker:
    """Return new event files of TensorBoard, which replace what earlier processes of the run recorded.

    Raises:
        RecipeError: tensorboard is not installed.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise missing_extra("tensorboard", error) from error
    folder = run_dir.absolute() / "tensorboard"
    writer = SummaryWriter(str(folder), purge_step=0 if folder.is_dir() else None)
    tracker = TensorboardTracker(writer, folder=folder, config=config)
    tracker._text("config", f"```json\n{json.dumps(config, indent=2, default=str)}\n```")
    logger.info("Recording for TensorBoard. Look at it with: tensorboard --logdir %s", folder)
    return tracker
