"""Weights & Biases with all files in the run directory. Only this module imports wandb.

Measured with wandb 0.31.0: an offline run opens in about 0.6 s, makes no network connection, writes no file outside the
run directory and leaves no process running.
"""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self

import wandb

from tlkit.choices import TrackerMode
from tlkit.errors import RecipeError, reason_of
from tlkit.tracking.tracker import PREDICTION_COLUMNS, Scalar
from tlkit.tracking.wandb_environment import check_names, environment_set, wandb_variables

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd

    from tlkit.recipe import TrackingSection

logger = logging.getLogger(__name__)

CHART_CLASSES = 100  # W&B's confusion chart silently drops further classes
ARTIFACT_NAME = 128  # longest name of an artifact
INIT_TIMEOUT_S = 30.0  # W&B's default for a server that does not answer is 90 s
FINISH_TIMEOUT_S = 600.0  # W&B has no timeout after a lost connection; data that is not uploaded stays on disk


@dataclass
class _Session:
    """W&B's session in this process: number of open trackers, and whether tlkit started the session."""

    open: int = 0
    ours: bool = False


_session = _Session()


class WandbTracker:
    """A W&B run, opened by `create_tracker`. A failure of W&B is logged and does not end the training run.

    Attributes:
        location: URL of the run when online; its folder, for `wandb sync`, when offline.
        directory: folder with W&B's files of the run.
    """

    def __init__(self, run: Any, *, environment: Mapping[str, str], name: str, section: TrackingSection) -> None:
        self._run = run
        self._environment = environment
        self._name = name
        self._section = section
        self._finished = False
        self.directory = Path(run.dir).parent
        self.location = str(self.directory if run.offline else run.url)
        _session.open += 1

    def log_metrics(self, row: Mapping[str, float], *, epoch: int) -> None:
        """Record the metrics of one epoch; the charts have the epoch as x axis."""
        self._attempt(f"the metrics of epoch {epoch}", lambda: self._run.log({**row, "epoch": epoch}))

    def log_summary(self, values: Mapping[str, Scalar]) -> None:
        """Record final metrics in the run's summary."""
        self._attempt("the summary", lambda: self._run.summary.update(dict(values)))

    def log_predictions(self, table: pd.DataFrame, *, limit: int = 10_000, name: str = "predictions") -> None:
        """Record predictions as a W&B Table with the columns path, true, predicted, confidence and correct only.

        Raises:
            ValueError: a column is missing.
        """
        missing = [column for column in PREDICTION_COLUMNS if column not in table.columns]
        if missing:
            raise ValueError(f"the table of predictions has no column {', '.join(missing)}")
        rows = table[list(PREDICTION_COLUMNS)]
        if len(rows) > limit:
            logger.info("Recording %d of %d predictions in W&B, evenly spaced.", limit, len(rows))
            rows = rows.iloc[[index * len(rows) // limit for index in range(limit)]]
        rows = rows.reset_index(drop=True)
        self._attempt(f"the table {name}", lambda: self._run.log({name: wandb.Table(dataframe=rows)}))

    def log_confusion(
        self, matrix: npt.NDArray[np.int64], classes: Sequence[str], *, name: str = "confusion_matrix"
    ) -> None:
        """Record a confusion matrix as W&B's chart, or above 100 classes as a table of its non-zero cells."""
        as_chart = len(classes) <= CHART_CLASSES
        cells = [
            [true, predicted, int(matrix[row, column])]
            for row, true in enumerate(classes)
            for column, predicted in enumerate(classes)
            if as_chart or matrix[row, column]
        ]
        if not as_chart:
            limit = f"W&B's confusion chart has at most {CHART_CLASSES} classes"
            logger.info("%s: %s is a table of the %d non-zero cells of %d.", limit, name, len(cells), len(classes))
        self._attempt(f"the confusion matrix {name}", lambda: self._run.log({name: _confusion(cells, chart=as_chart)}))

    def log_table(self, table: pd.DataFrame, *, name: str) -> None:
        """Record a table as a W&B Table."""
        self._attempt(f"the table {name}", lambda: self._run.log({name: wandb.Table(dataframe=table)}))

    def log_report(self, page: Path) -> None:
        """Record a page as an HTML panel and as an artifact of type "report", unless `log_report` is false."""
        if not self._section.log_report:
            return

        def action() -> None:
            self._run.log({"report": wandb.Html(page.read_text(encoding="utf-8"), inject=False, data_is_not_path=True)})
            artifact = wandb.Artifact(f"{self._name[: ARTIFACT_NAME - 7]}-report", type="report")
            artifact.add_file(str(page), name="report.html", policy="immutable", skip_cache=True)
            self._run.log_artifact(artifact)

        self._attempt(f"the report {page}", action)

    def log_model(self, model_dir: Path, *, metadata: Mapping[str, Any], aliases: Sequence[str] = ()) -> None:
        """Record the files of `model_dir` as an artifact of type "model", unless the recipe says `log_model: false`.

        Its aliases are "latest" and those given. The artifact refers to the files without copying them: an offline run
        needs them until it is synced.
        """
        if not self._section.log_model:
            return

        def action() -> None:
            artifact = wandb.Artifact(self._name, type="model", metadata=dict(metadata))
            artifact.add_dir(str(model_dir), policy="immutable", skip_cache=True)
            self._run.log_artifact(artifact, aliases=["latest", *aliases])

        self._attempt(f"the model {model_dir}", action)

    def finish(self, exit_code: int = 0) -> None:
        """Close the W&B run and, with the last open one, W&B's background process."""
        if self._finished:
            return
        self._finished = True
        _session.open -= 1
        self._attempt(
            f"closing the run; upload missing data with: wandb sync {self.directory}",
            lambda: self._run.finish(exit_code=exit_code),
        )
        with environment_set(self._environment):
            _close_session()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if isinstance(error, SystemExit):
            self.finish(error.code if isinstance(error.code, int) else int(error.code is not None))
        else:
            self.finish(0 if error is None else 1)

    def _attempt(self, subject: str, action: Callable[[], object]) -> None:
        """Call W&B; an error of W&B is logged, so that it never costs a trained model."""
        try:
            with environment_set(self._environment):
                action()
        except Exception as error:
            reason = f"{type(error).__name__}: {error}".removesuffix(": ")
            logger.warning("W&B failed at %s (%s). The run continues.", subject, reason)


def open_wandb(section: TrackingSection, *, name: str, run_dir: Path, config: Mapping[str, Any]) -> WandbTracker:
    """Return a new W&B run with its files in `run_dir`; arguments and errors are those of `create_tracker`."""
    check_names(project=section.project, tags=section.tags, name=name)
    environment = wandb_variables(run_dir)
    earlier = sorted(path for path in (run_dir / "wandb").glob("*run-*-*") if path.is_dir())

    def start(chosen: Literal["online", "offline"]) -> Any:
        run = wandb.init(
            project=section.project,
            entity=section.entity,
            tags=list(section.tags),
            name=name,
            config=dict(config),
            dir=str(run_dir),
            mode=chosen,
            reinit="create_new",  # leaves a run that the user has open in this process unchanged
            settings=_settings(),
        )
        run.define_metric("epoch")
        run.define_metric("*", step_metric="epoch")
        return run

    try:
        chosen = _open_session(section.mode, environment=environment)
        with environment_set(environment):
            run = start("offline") if chosen == "offline" else _start_online(start, folder=run_dir / "wandb")
    except BaseException:
        _close_session()
        raise
    tracker = WandbTracker(run, environment=environment, name=name, section=section)
    if run.offline:
        logger.info("Recording offline in W&B. Upload later with: wandb sync %s", tracker.location)
    else:
        logger.info("Recording online in W&B: %s", tracker.location)
    if earlier:
        logger.info("This record has the whole history of the run; %s ends where the run was stopped.", earlier[-1])
    return tracker


def _settings() -> wandb.Settings:
    return wandb.Settings(
        silent=True,  # no output on the terminal; tlkit logs what matters, wandb/debug.log has everything
        quiet=True,
        console="off",  # stdout and stderr are not captured
        label_disable=True,
        init_timeout=float(os.environ.get("WANDB_INIT_TIMEOUT", INIT_TIMEOUT_S)),
        finish_timeout=float(os.environ.get("WANDB_FINISH_TIMEOUT", FINISH_TIMEOUT_S)),
        finish_timeout_raises=True,
    )


def _open_session(mode: TrackerMode, *, environment: Mapping[str, str]) -> Literal["online", "offline"]:
    """Start W&B's background process where none is running, and return the mode. Never prompts, never connects."""
    if mode == "auto" and os.environ.get("WANDB_MODE") in ("online", "offline"):
        mode = "online" if os.environ["WANDB_MODE"] == "online" else "offline"
        logger.info("tracking.mode is auto: following WANDB_MODE=%s.", mode)
    user_settings = Path(os.environ.get("WANDB_CONFIG_DIR", "~/.config/wandb"), "settings").expanduser()
    if _session.open == 0:
        _session.ours = wandb.run is None and "WANDB_SERVICE" not in os.environ
    with environment_set(environment):
        if _session.ours:
            wandb.setup(
                settings=wandb.Settings(
                    silent=True,
                    quiet=True,
                    mode="offline" if mode == "offline" else "online",
                    settings_system=str(user_settings),  # server and key stored by `wandb login`
                )
            )
        if mode == "offline" or (mode == "auto" and not _logged_in()):
            if mode == "auto":
                logger.info("No W&B API key is configured (`wandb login` stores one).")
            return "offline"
        if mode == "online" and not _logged_in():
            raise RecipeError(
                "tracking.mode is online, but no W&B API key is configured. Run `wandb login`, set WANDB_API_KEY,"
                " or use 'mode: offline' and upload later with `wandb sync`."
            )
    return "online"


def _logged_in() -> bool:
    """Return whether W&B has credentials: in the environment, a netrc file or its settings."""
    if wandb.run is not None:
        return not wandb.run.offline
    try:
        return bool(wandb.login(prompt=False, verify=False))
    except wandb.errors.AuthenticationError as error:
        logger.warning("W&B's API key cannot be used: %s", error)
        return False


def _start_online(start: Callable[[Literal["online", "offline"]], Any], *, folder: Path) -> Any:
    """Return a new online run, or an offline one where the server cannot be reached."""
    before = set(folder.glob("run-*"))
    try:
        return start("online")
    except Exception as error:
        reason = reason_of(error)
        logger.warning("Cannot record online in W&B (%s). Recording offline instead.", reason)
    for leftover in set(folder.glob("run-*")) - before:
        shutil.rmtree(leftover, ignore_errors=True)  # `wandb sync --sync-all` would upload this empty run
    return start("offline")


def _confusion(cells: list[list[Any]], *, chart: bool) -> Any:
    """Return W&B's confusion chart or a table. `wandb.plot.confusion_matrix` needs one row per image, not counts."""
    if not chart:
        return wandb.Table(columns=["true", "predicted", "images"], data=cells)
    columns = ["Actual", "Predicted", "nPredictions"]
    return wandb.plot_table(
        vega_spec_name="wandb/confusion_matrix/v1",
        data_table=wandb.Table(columns=columns, data=cells),
        fields={column: column for column in columns},
        string_fields={"title": "Confusion matrix"},
    )


def _close_session() -> None:
    """End W&B's background process, unless the user started it or a run is open."""
    if _session.open or not _session.ours or wandb.run is not None:
        return
    _session.ours = False
    try:
        wandb.teardown()
    except (Exception, SystemExit) as error:
        logger.warning("W&B's background process failed to end (%s).", error)
