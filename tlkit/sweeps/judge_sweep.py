"""Chooses the winner of a sweep on val, judges it against the default recipe on test, and writes the results."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd

from tlkit.csv_files import csv_text
from tlkit.disk import write_text
from tlkit.evaluation.metric_comparison import MetricComparison, compare_metric
from tlkit.recipe import dump_recipe
from tlkit.recipe.sweep_file import Choices, Parameter, SweepFile
from tlkit.recipe.value_messages import in_yaml
from tlkit.recipe.yaml_nodes import read_yaml
from tlkit.render.plots import to_svg
from tlkit.render.plots.sweep_plots import plot_importance, plot_trials
from tlkit.runs.compare_runs import compare_with, table_of
from tlkit.runs.run import Run, open_run
from tlkit.runs.run_options import options_of_run
from tlkit.stats.estimate import Estimate
from tlkit.sweeps.study import SweepStudy
from tlkit.sweeps.sweep_folder import DEFAULT, SweepFolder
from tlkit.sweeps.sweep_result import SweepResult, TrialRow, best_of

MOST_LETTERS = 95
"""Letters of a sweep's name in that of its best recipe, whose limit is 100."""


def judge_sweep(
    file: SweepFile, folder: SweepFolder, study: SweepStudy, *, default: Estimate, higher_is_better: bool
) -> SweepResult:
    """Return the result of a sweep: its winner on val, and on test the comparison with the default recipe.

    Args:
        file: the sweep.
        folder: its folder.
        study: its trials.
        default: figure of the default recipe on val.
        higher_is_better: whether a higher value of the metric is better.
    """
    trials = study.rows()
    best = best_of(trials, higher_is_better=higher_is_better)
    judged, comparison, split = None, None, None
    if best is not None and (folder.path / folder.run_name(best)).is_dir():
        first, second = open_run(folder.path / DEFAULT), open_run(folder.path / folder.run_name(best))
        if "test" in first.directory.predicted_splits and "test" in second.directory.predicted_splits:
            split = "test"
            judged = _compare_by_metric(first, second, file.settings.metric, split)
            if first.task == "multiclass":
                comparison = compare_with(first, second, split=split, names=(DEFAULT, second.directory.name))
    return SweepResult(
        name=file.settings.name,
        metric=file.settings.metric,
        higher_is_better=higher_is_better,
        trials=trials,
        default=default,
        best=best,
        importances=study.importances(),
        split=split,
        judged=judged,
        comparison=comparison,
        confidence=file.recipe_with({}).evaluate.confidence,
    )


def _compare_by_metric(first: Run, second: Run, metric: str, split: str) -> MetricComparison:
    """Return the paired comparison by the metric, with the clusters and weights of the recipe's audit."""
    options = options_of_run(first)
    return compare_metric(
        {DEFAULT: table_of(first, split), second.directory.name: table_of(second, split)},
        metric,
        cluster_by=options.pair_by or options.cluster_by,
        weights=options.weights,
        confidence=options.confidence,
        alpha=options.alpha,
    )


def write_result(result: SweepResult, file: SweepFile, folder: SweepFolder) -> tuple[Path, ...]:
    """Write result.json, trials.csv, best_recipe.yaml, history.svg and importance.svg; return what was written."""
    written = {folder.result: json.dumps(result.to_dict(), indent=2, ensure_ascii=False) + "\n"}
    written[folder.sweep / "trials.csv"] = csv_text(trials_frame(result))
    if result.winner is not None:
        written[folder.best_recipe] = best_recipe(result.winner, file)
        written[folder.sweep / "history.svg"] = to_svg(lambda: plot_trials(result))
    if result.importances:
        written[folder.sweep / "importance.svg"] = to_svg(lambda: plot_importance(result))
    with folder.locked():
        for path, text in written.items():
            write_text(path, text)
    return tuple(written)


def best_recipe(winner: TrialRow, file: SweepFile) -> str:
    """Return the winner's recipe as YAML: the default recipe with its values, and with its own report."""
    values = {one.key: _recipe_value(one, winner.settings[one.key]) for one in file.space}
    recipe = file.recipe_with({**values, "name": f"{file.settings.name[:MOST_LETTERS]}-best"})
    assert winner.figure is not None, "a winner has a figure"
    head = (
        f"# Winner of the sweep {file.settings.name}: trial {winner.number}, {file.settings.metric} "
        f"{winner.figure.format()} on val, which chose it.\n"
    )
    return head + dump_recipe(recipe)


def trials_frame(result: SweepResult) -> pd.DataFrame:
    """Return one row per trial, by number: state, figure with interval, seconds, and every searched key."""
    return pd.DataFrame(
        [
            {
                "trial": row.number,
                "state": row.state,
                result.metric: None if row.figure is None else row.figure.value,
                "low": None if row.figure is None else row.figure.low,
                "high": None if row.figure is None else row.figure.high,
                "n": None if row.figure is None else row.figure.n,
                "seconds": row.seconds,
                "starts": row.starts,
                "reason": row.reason,
                **row.settings,
            }
            for row in result.trials
        ]
    )


def _recipe_value(parameter: Parameter, text: str) -> object:
    """Return the value of a key from its YAML text."""
    if isinstance(parameter, Choices):
        return next(one for one in parameter.values if in_yaml(one) == text)
    return read_yaml(text, source="trials").value
