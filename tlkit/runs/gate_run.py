"""`gate`: verdicts of a file of gates on a run or on predictions. Needs no torch."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tlkit.audit.gates.gate_report import GateReport
from tlkit.audit.gates.gate_verdicts import judge_gates
from tlkit.audit.gates.task_gates import judge_task_gates
from tlkit.audit.options import AuditOptions
from tlkit.audit.rates import NUMBER_MEANS, TASK_METRICS
from tlkit.choices import Y_PRED, Y_TRUE, Task
from tlkit.errors import PredictionsError, TlkitError
from tlkit.evaluation.compared_models import AnyTable
from tlkit.parquet_tables import is_parquet_folder
from tlkit.predictions import Joinable, NumberPredictions, Predictions, read_predictions
from tlkit.predictions.box_reading import read_detection
from tlkit.predictions.task_predictions import TaskPredictions
from tlkit.recipe.gates_file import GatesFile, load_gates
from tlkit.runs import RunDirectory
from tlkit.runs.assess_split import warn_trained_on
from tlkit.runs.compare_runs import TABLES, table_of
from tlkit.runs.find_run import is_run
from tlkit.runs.run_options import options_of_run
from tlkit.runs.task_judgement import read_task_predictions

if TYPE_CHECKING:
    from tlkit.runs.run import Run


def gate(
    judged: Run | AnyTable,
    gates: str | os.PathLike[str] | GatesFile,
    *,
    split: str | None = None,
    groups: Joinable | None = None,
    y_true: str = Y_TRUE,
    y_pred: str = Y_PRED,
    truth: str | os.PathLike[str] | None = None,
    options: AuditOptions | None = None,
) -> GateReport:
    """Return the verdicts of a file of gates (tolerances, limits, "no worse than") on a run or on predictions.

    Args:
        judged: a run, or predictions with their group columns.
        gates: the YAML file, such as recipes/gates.yaml.
        split: for a run: test by default, or val where there is no test split; also the baseline's split.
        groups: more group columns, as a CSV file or a table keyed by path, to join.
        y_true: column of the true classes, where the baseline is a file of predictions that has it.
        y_pred: the same for the predicted classes.
        truth: true boxes in COCO's format, beside which a baseline in that format is judged, unless the gates name
            others. Default: those of the run.
        options: of the audit behind the gates; the file overrides them. Default: those of the run's recipe, or
            `AuditOptions()`.

    Returns:
        The verdict on every gate; `exit_code` is 0 = all pass, 1 = one failed, 3 = not enough data.

    Raises:
        RecipeError: the file of gates is wrong; all its problems at once.
        PredictionsError: a column or class of the gates is not in the predictions; or true boxes are named for another
            task than detection.
        RunError: there is no such baseline.

    Example:
        >>> from tlkit import read_predictions
        >>> report = gate(read_predictions("predictions.csv"), "gates.yaml")
        >>> report.verdict, report.exit_code
        ('NOT ENOUGH DATA', 3)
    """
    chosen = split
    if isinstance(judged, TABLES):
        predictions = judged if groups is None else judged.with_groups(groups)
    else:
        chosen = judged.judged_split(split)
        warn_trained_on(chosen, judged.directory.name)
        predictions, options = table_of(judged, chosen, groups=groups), options or options_of_run(judged)
    task: Task = "multiclass" if isinstance(predictions, Predictions) else predictions.task
    if truth is not None and task != "detection":
        raise PredictionsError(f"truth is the file of true boxes, and the task is {task}. Leave it out.")
    file = gates if isinstance(gates, GatesFile) else load_task_gates(gates, task)
    if isinstance(predictions, Predictions):
        return judge_gates(predictions, file, baseline=_baseline(file, chosen, (y_true, y_pred)), options=options)
    baseline = None
    if (worse := file.gates.no_worse_than) is not None:
        if truth is None and chosen is not None and not isinstance(judged, TABLES):
            truth = judged.directory.boxes(chosen)[0]
        with _named(file.where("no_worse_than", "baseline")):
            baseline = task_table_of(
                Path(worse.baseline), task, split=chosen, like=predictions, truth=worse.truth or truth
            )
    return judge_task_gates(predictions, file, baseline=baseline, options=options)


def load_task_gates(path: str | os.PathLike[str], task: Task) -> GatesFile:
    """Return the gates of a file, checked for the rates and means of a task.

    Raises:
        RecipeError: the file of gates is wrong; all its problems at once.
    """
    if task not in TASK_METRICS:
        raise PredictionsError(f"There are no gates for the task {task}. Leave the gates out.")
    numbers = task in ("ordinal", "regression")
    return load_gates(path, metrics=TASK_METRICS[task], means=NUMBER_MEANS if numbers else (), unit_margin=numbers)


def task_table_of(
    path: Path, task: Task, *, split: str | None, like: TaskPredictions, truth: str | os.PathLike[str] | None = None
) -> TaskPredictions:
    """Return the predictions of a baseline, a run or a file, of the same task as others.

    Args:
        path: the run, or the file.
        task: the task.
        split: split of a run.
        like: predictions of the task, for the order of grades.
        truth: true boxes of a file in COCO's format.

    Raises:
        PredictionsError: the file is of another task, or cannot be read.
    """
    if not is_run(path) and (path.suffix.lower() in (".csv", ".parquet") or is_parquet_folder(path)):
        grades = like.grades if isinstance(like, NumberPredictions) else ()
        found = read_task_predictions(path, task, grades=grades or None)
    elif task == "detection" and path.suffix.lower() == ".json":
        if truth is None:
            raise PredictionsError(
                f"{path} holds boxes without the true ones. Name their file beside it, in COCO's format: "
                f"no_worse_than: {{baseline: {path}, truth: TRUE.json}}."
            )
        found = read_detection(path, Path(truth))
    else:
        directory = RunDirectory.open(path)
        file = directory.predictions(directory.judged_split(split))
        found = read_task_predictions(file, task)
    return found


@contextmanager
def _named(where: str) -> Iterator[None]:
    """Put the place of a gate before the problems of what it names."""
    try:
        yield
    except TlkitError as error:
        raise type(error)(*(f"{where}  {problem}" for problem in error.problems)) from None


def _baseline(file: GatesFile, split: str | None, columns: tuple[str, str]) -> Predictions | None:
    """Return the predictions of the baseline; None if the gates name none."""
    worse = file.gates.no_worse_than
    if worse is None:
        return None
    path, where = Path(worse.baseline), file.where("no_worse_than", "baseline")
    if path.suffix.lower() == ".json":
        raise PredictionsError(
            f"{where}  {path} holds rates without images, which cannot be paired. Name the run it belongs to, or its "
            "CSV or Parquet file of predictions."
        )
    with _named(where):
        if not is_run(path) and (path.suffix.lower() in (".csv", ".parquet") or is_parquet_folder(path)):
            return _read(path, columns)
        directory = RunDirectory.open(path)
        return read_predictions(directory.predictions(directory.judged_split(split)))


def _read(path: Path, columns: tuple[str, str]) -> Predictions:
    """Return the baseline's predictions, read with the given columns, else with the default ones."""
    y_true, y_pred = columns
    try:
        return read_predictions(path, y_true=y_true, y_pred=y_pred)
    except PredictionsError as error:
        try:
            return read_predictions(path)
        except PredictionsError:
            raise error from None
