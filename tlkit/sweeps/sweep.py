"""`run_sweep`: fits the default recipe and the trials of a sweep, alone or beside other processes, and judges it."""

from __future__ import annotations

import logging
import math
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from time import monotonic, sleep

from tlkit.choices import Task
from tlkit.errors import DataError, ModelError, PredictionsError, RecipeError, RunError
from tlkit.evaluation.score_names import facts_of
from tlkit.recipe import Recipe
from tlkit.recipe.sweep_file import SweepFile, load_sweep
from tlkit.runs.directory import RUNS
from tlkit.runs.lock import HAS_LOCKS
from tlkit.stats.task_measures import TASK_FIGURES, figure_facts
from tlkit.sweeps.fit_trial import Fitted, FitTrial, OnEpoch, TrialFitter
from tlkit.sweeps.judge_sweep import judge_sweep, write_result
from tlkit.sweeps.study import SweepStudy, TakenTrial
from tlkit.sweeps.sweep_folder import DEFAULT, SweepFolder
from tlkit.sweeps.sweep_result import SweepResult, best_of
from tlkit.sweeps.sweep_tables import short

logger = logging.getLogger(__name__)

POLL_S = 0.2  # while others work on the last trials
FAILS_THE_TRIAL = (RecipeError, DataError, ModelError, PredictionsError)
"""Errors of a trial's values; a `RunError`, such as a full disk, ends the sweep."""


def run_sweep(
    path: str | Path,
    *,
    trials: int | None = None,
    workers: int = 1,
    runs_dir: str | Path = RUNS,
    fit: FitTrial | None = None,
) -> SweepResult:
    """Run a sweep to its end, or go on with it, and return its result; the same call may run in several processes.

    The default recipe is fitted first, then the trials, each in a run directory of its own. The winner has the best
    figure on val. It is compared with the default recipe on test, which chose nothing.

    Args:
        path: the sweep file.
        trials: number of trials, in place of the file's.
        workers: processes on this machine that work on the trials.
        runs_dir: folder of the sweep's folder.
        fit: fits a trial, in this process alone; default: `tlkit.fit`.

    Raises:
        TlkitError: the sweep file, its recipe, the data or the folder cannot be used, or Optuna is not installed.
        KeyboardInterrupt: Ctrl-C; the same call goes on with the sweep.

    Example:
        >>> found = run_sweep("sweep.yaml", trials=2)
        >>> [trial.state for trial in found.trials]
        ['complete', 'complete']
    """
    if fit is not None and workers > 1:
        raise RunError("A fit of your own runs in this process alone. Leave out workers, or start the script twice.")
    file, fit = load_sweep(path), fit or TrialFitter()
    if trials is not None:
        settings = file.settings.model_copy(update={"trials": trials})
        file = SweepFile(file.source, settings, file.recipe, file.space)
    task = _trial_recipe(file, {}, DEFAULT).task
    if task != "multiclass" and "metric" not in file.settings.model_fields_set:
        settings = file.settings.model_copy(update={"metric": next(iter(TASK_FIGURES[task]))})
        file = SweepFile(file.source, settings, file.recipe, file.space)
    higher_is_better = _higher_is_better(file, task)
    if workers > 1 and not HAS_LOCKS:
        raise RunError("This system has no file locks, so a sweep works in one process here. Leave out --workers.")
    folder = SweepFolder(Path(runs_dir) / file.settings.name)
    folder.open(file)
    study = SweepStudy(file, folder, higher_is_better=higher_is_better)
    with folder.default_locked():  # it fills the feature cache, and finds out whether the data can be used
        default = fit(_trial_recipe(file, {}, DEFAULT), folder.path, metric=file.settings.metric)
    if workers > 1:
        _work_in_processes(path, trials=trials, workers=workers, runs_dir=Path(runs_dir))
    _work(file, folder, study, fit, val=default.val)
    result = judge_sweep(file, folder, study, default=default.estimate, higher_is_better=higher_is_better)
    write_result(result, file, folder)
    return result


def _work(file: SweepFile, folder: SweepFolder, study: SweepStudy, fit: FitTrial, *, val: str) -> None:
    """Work on trials until all are finished, also those that other processes had begun."""
    while True:
        with study.take() as taken:
            if taken == "done":
                return
            if isinstance(taken, TakenTrial):
                _work_on(taken, file, folder, study, fit, val=val)
                continue
        sleep(POLL_S)


def _work_on(
    taken: TakenTrial, file: SweepFile, folder: SweepFolder, study: SweepStudy, fit: FitTrial, *, val: str
) -> None:
    begun = monotonic()
    try:
        recipe = _trial_recipe(file, taken.values, folder.run_name(taken.row))
        watch = _watch(taken, study, recipe) if file.settings.pruner != "none" else None
        fitted = fit(recipe, folder.path, metric=file.settings.metric, on_epoch=watch)
        if fitted.val != val:
            raise DataError("its val images are not those of the default recipe, so it cannot be compared.")
    except FAILS_THE_TRIAL as error:
        study.fail(taken, error.problems[0], seconds=monotonic() - begun)
        logger.warning("Trial %d failed: %s", taken.row, error.problems[0])
        return
    except KeyboardInterrupt:
        study.stop(taken)
        raise
    study.finish(taken, fitted.estimate, pruned=fitted.pruned, seconds=monotonic() - begun)
    _log_trial(taken, fitted, file, study)


def _log_trial(taken: TakenTrial, fitted: Fitted, file: SweepFile, study: SweepStudy) -> None:
    """Log one line on a trial."""
    rows = study.rows()
    metric = file.settings.metric
    higher = study.higher_is_better
    ended = sum(row.state != "unfinished" for row in rows)
    best = best_of(rows, higher_is_better=higher)
    settings = next(row for row in rows if row.number == taken.row).settings
    values = ", ".join(f"{key}={short(value)}" for key, value in settings.items())
    logger.info(
        "Trial %d (%d of %d): val %s %s%s; %s. Best so far: trial %s.",
        taken.row,
        ended,
        study.trials,
        metric,
        fitted.estimate.format(),
        ", pruned" if fitted.pruned else "",
        values,
        "none" if best is None else best,
    )


def _trial_recipe(file: SweepFile, values: Mapping[str, object], name: str) -> Recipe:
    """Return the recipe of a trial: the default with its values, a name of its own, and no report."""
    return file.recipe_with({**values, "name": name, "report.enabled": False})


def _watch(taken: TakenTrial, study: SweepStudy, recipe: Recipe) -> OnEpoch:
    """Return what reports the monitored metric of each epoch, in the direction of the sweep, and says when to stop."""
    monitor = recipe.train.monitor
    same = (not monitor.endswith("loss")) == study.higher_is_better

    def on_epoch(row: Mapping[str, float]) -> bool:
        value = row.get(monitor, math.nan)
        return study.should_prune(taken, value if same else -value, epoch=int(row["epoch"]))

    return on_epoch


def _work_in_processes(path: str | Path, *, trials: int | None, workers: int, runs_dir: Path) -> None:
    """Start the same sweep in several processes and wait for them; this one finishes what they leave."""
    command = [sys.executable, "-m", "tlkit", "sweep", str(path), "--runs-dir", str(runs_dir)]
    command += [] if trials is None else ["--trials", str(trials)]
    threads = str(max(1, (os.cpu_count() or 1) // workers))
    environment = {"OMP_NUM_THREADS": threads, **os.environ}
    started: list[subprocess.Popen[bytes]] = []
    try:
        for _ in range(workers):
            started.append(subprocess.Popen(command, stdout=subprocess.DEVNULL, env=environment))  # noqa: S603, PERF401
        for process in started:
            process.wait()
    finally:
        for process in started:
            if process.poll() is None:
                process.terminate()
                process.wait()
    if lost := [process.returncode for process in started if process.returncode]:
        logger.warning("%d of %d processes ended early (exit %s).", len(lost), workers, ", ".join(map(str, lost)))


def _higher_is_better(file: SweepFile, task: Task) -> bool:
    """Return whether a higher value of the metric is better.

    Raises:
        PredictionsError: there is no such metric of the task.
    """
    metric = file.settings.metric
    if task == "multiclass":
        return facts_of(metric, _some_classes(metric)).higher_is_better
    return figure_facts(task, metric).higher_is_better


def _some_classes(metric: str) -> tuple[str, ...]:
    """Return class names with which a metric exists, before the real ones are known."""
    rank = metric.removeprefix("top_")
    others = int(rank) + 1 if rank != metric and rank.isdecimal() else 2
    return (metric.partition(":")[2] or "a", *map(str, range(min(others, 10_000))))
