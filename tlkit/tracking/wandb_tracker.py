"""Weights & Biases with all files in the run directory. Only this module and `wandb_media` import wandb.

Measured with wandb 0.31.0: an offline run opens in about 0.6 s, makes no network connection, writes no file outside the
run directory and leaves no process running.
"""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self

import wandb

from tlkit.choices import TRACKED_ROWS, TrackerMode
from tlkit.csv_files import csv_text
from tlkit.errors import RecipeError, reason_of
from tlkit.tracking.attempts import Attempts, exit_code_of
from tlkit.tracking.sampled_rows import prediction_rows
from tlkit.tracking.tracker import PHASE, Scalar
from tlkit.tracking.wandb_environment import check_names, environment_set, wandb_variables
from tlkit.tracking.wandb_media import confusion_chart, curve_chart, image_table

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd

    from tlkit.recipe import TrackingSection

logger = logging.getLogger(__name__)

ARTIFACT_NAME = 128  # longest name of an artifact
ALERT_TITLE = 63
SUMMARIES = {"train/loss": "min", "val/loss": "min", "val/worst_group_accuracy": "max"}
"""What W&B's summary keeps of metrics by epoch; `val/accuracy` becomes that of the kept epoch."""
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

    def __init__(
        self, run: Any, *, environment: Mapping[str, str], name: str, section: TrackingSection, folder: Path
    ) -> None:
        self._run = run
        self._environment = environment
        self._attempt = Attempts("W&B", environment)
        self._dataset = f"{name[: ARTIFACT_NAME - 8]}-dataset"
        self._folder = folder
        self._has_dataset = False
        self._phases: dict[int, list[dict[str, float]]] = {}
        self._name = name
        self._section = section
        self._finished = False
        self.directory = Path(run.dir).parent
        self.location = str(self.directory if run.offline else run.url)
        _session.open += 1

    def log_metrics(self, row: Mapping[str, float], *, epoch: int) -> None:
        """Record the metrics of one epoch; the charts have the epoch as x axis."""
        self._attempt(f"the metrics of epoch {epoch}", lambda: self._run.log({**row, "epoch": epoch}))
        if self._section.phase_runs and PHASE in row:
            self._phases.setdefault(int(row[PHASE]), []).append({**row, "epoch": epoch})

    def log_summary(self, values: Mapping[str, Scalar]) -> None:
        """Record final metrics in the run's summary."""
        self._attempt("the summary", lambda: self._run.summary.update(dict(values)))

    def log_predictions(self, table: pd.DataFrame, *, limit: int = TRACKED_ROWS, name: str = "predictions") -> None:
        """Record predictions as a W&B Table with the columns path, true, predicted, confidence and correct only.

        Raises:
            ValueError: a column is missing.
        """
        rows = prediction_rows(table, limit=limit, tool="W&B")
        self._attempt(f"the table {name}", lambda: self._run.log({name: wandb.Table(dataframe=rows)}))

    def log_confusion(
        self, matrix: npt.NDArray[np.int64], classes: Sequence[str], *, name: str = "confusion_matrix"
    ) -> None:
        """Record a confusion matrix as W&B's chart, or above 100 classes as a table of its non-zero cells."""
        self._attempt(
            f"the confusion matrix {name}", lambda: self._run.log({name: confusion_chart(matrix, classes, name=name)})
        )

    def log_table(self, table: pd.DataFrame, *, name: str) -> None:
        """Record a table as a W&B Table."""
        self._attempt(f"the table {name}", lambda: self._run.log({name: wandb.Table(dataframe=table)}))

    def log_images(self, table: pd.DataFrame, images: Mapping[str, bytes], *, name: str) -> None:
        """Record predictions as a W&B Table with their images in the first column."""
        self._attempt(f"the images of {name}", lambda: self._run.log({name: image_table(table, images)}))

    def log_curve(self, table: pd.DataFrame, *, name: str, x: str, y: str) -> None:
        """Record curves as a W&B line chart, and all their columns as a W&B Table with "_points" at its name."""

        def action() -> None:
            points = wandb.Table(dataframe=table)
            self._run.log({name: curve_chart(table, name=name, x=x, y=y), f"{name}_points": points})

        self._attempt(f"the curve {name}", action)

    def log_dataset(self, table: pd.DataFrame, *, metadata: Mapping[str, Any]) -> None:
        """Record the list of images as an artifact of type "dataset", which the model's artifact names in "dataset".

        Its version is one and the same for the same list: W&B compares content. It is an output of the run, since W&B
        marks an input only after it has waited for the server, which could cost a run.
        """

        def action() -> None:
            artifact = wandb.Artifact(self._dataset, type="dataset", metadata=dict(metadata))
            with artifact.new_file("images.csv", encoding="utf-8") as file:
                file.write(csv_text(table))
            self._run.log_artifact(artifact, aliases=["latest", f"data-{str(metadata.get('fingerprint', ''))[:12]}"])

        self._has_dataset = True
        self._attempt("the dataset", action)

    def alert(self, title: str, text: str) -> None:
        """Send an alert to those who watch the project; an offline run sends it when it is synced."""
        self._attempt("the alert", lambda: self._run.alert(title=title[:ALERT_TITLE], text=text, level="WARN"))

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
            facts = {**metadata, **({"dataset": f"{self._dataset}:latest"} if self._has_dataset else {})}
            artifact = wandb.Artifact(self._name, type="model", metadata=facts)
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
        for phase, rows in self._phases.items():
            self._attempt(f"the run of phase {phase}", partial(self._record_phase, phase, rows))
        with environment_set(self._environment):
            _close_session()

    def _record_phase(self, phase: int, rows: Sequence[Mapping[str, float]]) -> None:
        """Record the epochs of a phase as a run of its own, in the group of this run."""
        run = wandb.init(
            project=self._section.project,
            entity=self._section.entity,
            group=self._section.group or self._name,
            job_type="phase",
            name=f"{self._name}-phase-{phase}",
            config={"phase": phase, "run": self._name},
            dir=str(self._folder),
            mode="offline" if self._run.offline else "online",
            reinit="create_new",
            settings=_settings(),
        )
        _define_metrics(run)
        for row in rows:
            run.log(dict(row))
        run.finish()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.finish(exit_code_of(kind, error, traceback))


def require_variables() -> None:
    """Check that W&B can read its environment variables.

    Raises:
        RecipeError: it refuses values; the error names all of them.
    """
    problems = []
    for name in sorted(one for one in os.environ if one.startswith("WANDB_")):
        try:
            wandb.Settings().update_from_env_vars({name: os.environ[name]})
        except ValueError as error:
            reason = str(error).splitlines()[2:3] or [str(error)]
            problems.append(
                f"The environment variable {name} is {os.environ[name]!r}, which W&B refuses: {reason[0].strip()}. "
                "Unset it, or correct it."
            )
    if problems:
        raise RecipeError(*problems)


def require_key() -> None:
    """Check that W&B has credentials, as an online run needs them; writes nothing that stays.

    Raises:
        RecipeError: it has none.
    """
    with tempfile.TemporaryDirectory() as folder:
        try:
            _open_session("online", environment=wandb_variables(Path(folder)))
        finally:
            _close_session()


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
            group=section.group or (name if section.phase_runs else None),
            job_type=section.job_type,
            name=name,
            config=dict(config),
            dir=str(run_dir),
            mode=chosen,
            reinit="create_new",  # leaves a run that the user has open in this process unchanged
            settings=_settings(),
        )
        _define_metrics(run)
        return run

    try:
        chosen = _open_session(section.mode, environment=environment)
        with environment_set(environment):
            run = start("offline") if chosen == "offline" else _start_online(start, folder=run_dir / "wandb")
    except BaseException:
        _close_session()
        raise
    tracker = WandbTracker(run, environment=environment, name=name, section=section, folder=run_dir)
    if run.offline:
        logger.info("Recording offline in W&B. Upload later with: wandb sync %s", tracker.location)
    else:
        logger.info("Recording online in W&B: %s", tracker.location)
    if earlier:
        logger.info("This record has the whole history of the run; %s ends where the run was stopped.", earlier[-1])
    return tracker


def _define_metrics(run: Any) -> None:
    """Give every chart the epoch as x axis, and some metrics a summary."""
    run.define_metric("epoch")
    run.define_metric("*", step_metric="epoch")
    for metric, summary in SUMMARIES.items():
        run.define_metric(metric, step_metric="epoch", summary=summary)


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


def _close_session() -> None:
    """End W&B's background process, unless the user started it or a run is open."""
    if _session.open or not _session.ours or wandb.run is not None:
        return
    _session.ours = False
    try:
        wandb.teardown()
    except (Exception, SystemExit) as error:
        logger.warning("W&B's background process failed to end (%s).", error)
