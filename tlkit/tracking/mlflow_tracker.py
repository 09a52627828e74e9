"""MLflow, by its client: a server where one is named, else a folder of the run. Only this module imports mlflow.

Measured with mlflow-skinny 3.17.2: its import sends usage statistics and its file store is refused unless told
otherwise, so both are set for the duration of each call, as are short timeouts.
"""

from __future__ import annotations

import io
import json
import logging
import os
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from tlkit.choices import TRACKED_ROWS
from tlkit.csv_files import csv_text
from tlkit.errors import RecipeError, reason_of
from tlkit.tracking.attempts import Attempts, exit_code_of, missing_extra
from tlkit.tracking.flat_config import flat_config
from tlkit.tracking.sampled_rows import confusion_cells, prediction_rows
from tlkit.tracking.tracker import Scalar
from tlkit.tracking.wandb_environment import environment_set

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd

    from tlkit.recipe import TrackingSection

logger = logging.getLogger(__name__)

PARAMS_PER_CALL = 100
METRICS_PER_CALL = 1000
LONGEST_PARAM = 6000
INTERRUPTED = 130


class MlflowTracker:
    """An MLflow run, opened by `create_tracker`. A failure of MLflow is logged and does not end the training run.

    Attributes:
        location: URI of the store, with the ids of experiment and run.
        run_id: MLflow's id of the run.
    """

    def __init__(self, client: Any, run: Any, *, section: TrackingSection, name: str, attempt: Attempts) -> None:
        self._client = client
        self._section = section
        self._name = name
        self._attempt = attempt
        self._finished = False
        self._last_epoch = 0
        self.run_id: str = run.info.run_id
        self.location = f"{client.tracking_uri}, experiment {run.info.experiment_id}, run {self.run_id}"

    def log_config(self, config: Mapping[str, Any]) -> None:
        """Record the configuration as parameters with dotted names, and whole as config.json."""
        from mlflow.entities import Param

        params = [Param(key, str(value)[:LONGEST_PARAM]) for key, value in flat_config(config).items()]

        def action() -> None:
            for start in range(0, len(params), PARAMS_PER_CALL):
                self._client.log_batch(self.run_id, params=params[start : start + PARAMS_PER_CALL])
            self._client.log_text(self.run_id, json.dumps(config, indent=2, default=str), "config.json")

        self._attempt("the configuration", action)

    def log_metrics(self, row: Mapping[str, float], *, epoch: int) -> None:
        """Record the metrics of one epoch; the epoch is their step."""
        self._last_epoch = max(self._last_epoch, epoch)
        self._attempt(f"the metrics of epoch {epoch}", lambda: self._log_numbers(row, step=epoch))

    def log_summary(self, values: Mapping[str, Scalar]) -> None:
        """Record final metrics: numbers as metrics at the last epoch, words as tags."""
        numbers = {k: float(v) for k, v in values.items() if isinstance(v, int | float) and not isinstance(v, bool)}
        words = {key: str(value) for key, value in values.items() if isinstance(value, str | bool)}

        def action() -> None:
            self._log_numbers(numbers, step=self._last_epoch)
            for key, value in words.items():
                self._client.set_tag(self.run_id, key, value)

        self._attempt("the summary", action)

    def log_predictions(self, table: pd.DataFrame, *, limit: int = TRACKED_ROWS, name: str = "predictions") -> None:
        """Record predictions as a CSV file.

        Raises:
            ValueError: a column is missing.
        """
        self.log_table(prediction_rows(table, limit=limit, tool="MLflow"), name=name)

    def log_confusion(
        self, matrix: npt.NDArray[np.int64], classes: Sequence[str], *, name: str = "confusion_matrix"
    ) -> None:
        """Record the non-zero cells of a confusion matrix as a CSV file."""
        self.log_table(confusion_cells(matrix, classes, zeros=False), name=name)

    def log_table(self, table: pd.DataFrame, *, name: str) -> None:
        """Record a table as a CSV file."""
        self._attempt(f"the table {name}", lambda: self._client.log_text(self.run_id, csv_text(table), f"{name}.csv"))

    def log_images(self, table: pd.DataFrame, images: Mapping[str, bytes], *, name: str) -> None:
        """Record predictions as a CSV file, and their images as files numbered like its rows."""
        from PIL import Image

        rows = prediction_rows(table[table["path"].isin(list(images))], limit=len(images), tool="MLflow")
        rows.insert(0, "image", [f"{number:04d}.png" for number in range(len(rows))])
        self.log_table(rows, name=name)

        def action() -> None:
            for file, path in zip(rows["image"], rows["path"], strict=True):
                with Image.open(io.BytesIO(images[path])) as image:
                    self._client.log_image(self.run_id, image, f"{name}/{file}")

        self._attempt(f"the images of {name}", action)

    def log_curve(self, table: pd.DataFrame, *, name: str, x: str, y: str) -> None:
        """Record the points of curves as a CSV file."""
        self.log_table(table, name=name)

    def log_dataset(self, table: pd.DataFrame, *, metadata: Mapping[str, Any]) -> None:
        """Record the images as a CSV file, and the metadata as tags."""
        self.log_table(table, name="dataset")
        self._attempt(
            "the dataset",
            lambda: [self._client.set_tag(self.run_id, f"data.{key}", str(value)) for key, value in metadata.items()],
        )

    def alert(self, title: str, text: str) -> None:
        """Record an alert as the tag "alert" and the note of the run: MLflow sends no messages."""
        self._attempt("the alert", lambda: self._client.set_tag(self.run_id, "alert", title))
        self._attempt("the alert", lambda: self._client.set_tag(self.run_id, "mlflow.note.content", f"{title}: {text}"))

    def log_report(self, page: Path) -> None:
        """Record a page as an artifact, unless `log_report` is false."""
        if self._section.log_report:
            self._attempt(f"the report {page}", lambda: self._client.log_artifact(self.run_id, str(page)))

    def log_model(self, model_dir: Path, *, metadata: Mapping[str, Any], aliases: Sequence[str] = ()) -> None:
        """Record the files of a model as artifacts in "model", unless `log_model` is false; aliases become a tag."""
        if not self._section.log_model:
            return

        def action() -> None:
            self._client.log_artifacts(self.run_id, str(model_dir), "model")
            self._client.log_text(self.run_id, json.dumps(metadata, indent=2, default=str), "model_metadata.json")
            self._client.set_tag(self.run_id, "model.aliases", ",".join(["latest", *aliases]))

        self._attempt(f"the model {model_dir}", action)

    def finish(self, exit_code: int = 0) -> None:
        """Close the MLflow run as finished, failed or killed."""
        if self._finished:
            return
        self._finished = True
        status = "FINISHED" if exit_code == 0 else "KILLED" if exit_code == INTERRUPTED else "FAILED"
        self._attempt("closing the run", lambda: self._client.set_terminated(self.run_id, status=status))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.finish(exit_code_of(kind, error, traceback))

    def _log_numbers(self, values: Mapping[str, float], *, step: int) -> None:
        from mlflow.entities import Metric
        from mlflow.utils.time import get_current_time_millis

        now = get_current_time_millis()
        metrics = [Metric(_metric_name(key), float(value), now, step) for key, value in values.items()]
        for start in range(0, len(metrics), METRICS_PER_CALL):
            self._client.log_batch(self.run_id, metrics=metrics[start : start + METRICS_PER_CALL])


def require_mlflow(section: TrackingSection) -> None:
    """Check what an MLflow run needs, without opening one; errors are those of `create_tracker`."""
    if section.mode == "online" and not os.environ.get("MLFLOW_TRACKING_URI"):
        raise RecipeError(
            "tracking.mode is online, but MLFLOW_TRACKING_URI is not set. Set it to the address of an MLflow server,"
            " or use 'mode: offline', which writes to the run's folder mlruns/."
        )
    if find_spec("mlflow") is None:
        raise missing_extra("mlflow", ModuleNotFoundError("No module named 'mlflow'"))


def open_mlflow(section: TrackingSection, *, name: str, run_dir: Path, config: Mapping[str, Any]) -> MlflowTracker:
    """Return a new MLflow run; arguments and errors are those of `create_tracker`."""
    require_mlflow(section)
    uri = os.environ.get("MLFLOW_TRACKING_URI", "")
    folder = run_dir.absolute() / "mlruns"
    environment = _variables()
    tags = {f"tag.{tag}": "true" for tag in section.tags} | ({"group": section.group} if section.group else {})

    def start(store: str) -> tuple[Any, Any]:
        from mlflow import MlflowClient

        client = MlflowClient(tracking_uri=store)
        found = client.get_experiment_by_name(section.project)
        experiment = found.experiment_id if found else client.create_experiment(section.project)
        return client, client.create_run(experiment, run_name=name, tags=tags)

    try:
        with environment_set(environment):
            if uri and section.mode != "offline":
                try:
                    client, run = start(uri)
                except ImportError:
                    raise
                except Exception as error:
                    logger.warning("Cannot record at %s (%s). Recording in %s instead.", uri, reason_of(error), folder)
                    client, run = start(folder.as_uri())
            else:
                client, run = start(folder.as_uri())
    except ImportError as error:
        raise missing_extra("mlflow", error) from error
    tracker = MlflowTracker(client, run, section=section, name=name, attempt=Attempts("MLflow", environment))
    logger.info("Recording in MLflow: %s.", tracker.location)
    tracker.log_config(config)
    return tracker


def _variables() -> dict[str, str]:
    """Return the environment variables of each call: no usage statistics, the file store, short waits."""
    defaults = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2", "MLFLOW_HTTP_REQUEST_TIMEOUT": "10"}
    own = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_ALLOW_FILE_STORE": "true", "GIT_PYTHON_REFRESH": "quiet"}
    return {name: os.environ.get(name, value) for name, value in defaults.items()} | own


def _metric_name(name: str) -> str:
    """Return a name that MLflow accepts: letters, digits, and _ - . space : /."""
    return "".join(letter if letter.isalnum() or letter in "_-. :/" else "_" for letter in name)
