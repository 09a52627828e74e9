"""`gate`: verdicts of a file of gates on a run or on predictions. Needs no torch."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from tlkit.audit.gates.gate_report import GateReport
from tlkit.audit.gates.gate_verdicts import judge_gates
from tlkit.audit.options import AuditOptions
from tlkit.audit.rates import METRICS
from tlkit.errors import PredictionsError, TlkitError
from tlkit.parquet_tables import is_parquet_folder
from tlkit.predictions import Joinable, Predictions, read_predictions
from tlkit.recipe.gates_file import GatesFile, load_gates
from tlkit.runs import RunDirectory
from tlkit.runs.assess_split import warn_trained_on
from tlkit.runs.directory import is_run
from tlkit.runs.run_options import options_of_run

if TYPE_CHECKING:
    from tlkit.runs.run import Run


def gate(
    judged: Run | Predictions,
    gates: str | os.PathLike[str] | GatesFile,
    *,
    split: str | None = None,
    groups: Joinable | None = None,
    y_true: str = "y_true",
    y_pred: str = "y_pred",
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
        options: of the audit behind the gates; the file overrides them. Default: those of the run's recipe, or
            `AuditOptions()`.

    Returns:
        The verdict on every gate; `exit_code` is 0 = all pass, 1 = one failed, 3 = not enough data.

    Raises:
        RecipeError: the file of gates is wrong; all its problems at once.
        PredictionsError: a column or class of the gates is not in the predictions.
        RunError: there is no such baseline.

    Example:
        >>> from tlkit import read_predictions
        >>> report = gate(read_predictions("predictions.csv"), "gates.yaml")
        >>> report.verdict, report.exit_code
        ('NOT ENOUGH DATA', 3)
    """
    file = gates if isinstance(gates, GatesFile) else load_gates(gates, metrics=METRICS)
    chosen = split
    if isinstance(judged, Predictions):
        predictions = judged if groups is None else judged.with_groups(groups)
    else:
        chosen = judged.judged_split(split)
        warn_trained_on(chosen, judged.directory.name)
        predictions, options = judged.predictions(chosen, groups=groups), options or options_of_run(judged)
    return judge_gates(predictions, file, baseline=_baseline(file, chosen, (y_true, y_pred)), options=options)


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
    try:
        if not is_run(path) and (path.suffix.lower() in (".csv", ".parquet") or is_parquet_folder(path)):
            return _read(path, columns)
        directory = RunDirectory.open(path)
        return read_predictions(directory.predictions(directory.judged_split(split)))
    except TlkitError as error:
        raise type(error)(*(f"{where}  {problem}" for problem in error.problems)) from None


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
