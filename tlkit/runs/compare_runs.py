"""Comparison of two runs, or of a run with predictions, and their display names. Needs no torch."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tlkit.audit.groups.group_columns import By
from tlkit.audit.model_comparison import Comparison, compare_models
from tlkit.audit.options import AuditOptions, AuditOverrides
from tlkit.audit.task_comparison import TaskComparison, compare_task_models
from tlkit.choices import OBJECT_SIZE
from tlkit.errors import PredictionsError
from tlkit.evaluation.compared_models import AnyTable
from tlkit.evaluation.metric_comparison import MetricComparison, compare_metric
from tlkit.predictions import (
    DetectionPredictions,
    Joinable,
    MaskPredictions,
    MultilabelPredictions,
    NumberPredictions,
    Predictions,
)
from tlkit.predictions.task_predictions import TaskPredictions
from tlkit.runs.assess_split import leaked_paths, warn_trained_on
from tlkit.runs.run_options import options_of_run

if TYPE_CHECKING:
    from tlkit.runs.run import Run

logger = logging.getLogger(__name__)

FILES = (".csv", ".parquet", ".json")
TABLES = (Predictions, MultilabelPredictions, NumberPredictions, MaskPredictions, DetectionPredictions)


def compare_with(
    first: Run | Predictions,
    second: Run | Predictions,
    *,
    by: By | Sequence[By] | None = None,
    split: str | None = None,
    names: tuple[str, str] | None = None,
    cluster_by: str | None = None,
    weights: str | None = None,
) -> Comparison:
    """Return the comparison of two models on the images that both predicted; see `Run.compare`.

    The options are those of the recipe of the first run among the two.

    Args:
        first: the first model: a run, or predictions.
        second: the second model.
        by: group columns; default: the recipe's `audit.by`, else all that do not look like identifiers.
        split: for a run: test by default, or val where there is no test split.
        names: what to call the two; default: the directories of runs.
        cluster_by: group column of the clusters; default: the recipe's `audit.cluster_by`.
        weights: group column of the images' weights; default: the recipe's `audit.weights`.

    Raises:
        PredictionsError: the two have no image in common, or a column is missing.
    """
    pair = _pair(first, second, split=split, options={"by": by or None, "cluster_by": cluster_by, "weights": weights})
    one, two = pair.tables
    if not (isinstance(one, Predictions) and isinstance(two, Predictions)):
        task = next(table.task for table in pair.tables if not isinstance(table, Predictions))
        raise PredictionsError(f"The models are of the task {task}. Compare them by `Run.task_compare`.")
    return compare_models(
        one,
        two,
        pair.options,
        names=names or _names(first, second),
        leaked=pair.leaked,
        all_columns=not pair.options.columns,
    )


def compare_task_with(
    first: Run | TaskPredictions,
    second: Run | TaskPredictions,
    *,
    metric: str | None = None,
    by: By | Sequence[By] | None = None,
    split: str | None = None,
    names: tuple[str, str] | None = None,
    cluster_by: str | None = None,
    weights: str | None = None,
) -> TaskComparison:
    """Return the comparison of two models of labels, grades, numbers, masks or boxes; see `Run.task_compare`.

    Args:
        first: the first model: a run, or predictions.
        second: the second model.
        metric: the one figure to compare; None = all of the task.
        by: group columns; default: the recipe's `audit.by`, else all that do not look like identifiers.
        split: for a run: test by default, or val where there is no test split.
        names: what to call the two; default: the directories of runs.
        cluster_by: group column of the clusters; default: the recipe's.
        weights: group column of the images' weights; default: the recipe's.

    Raises:
        PredictionsError: the two are not of one such task, have no image in common, or a column is missing.
    """
    pair = _pair(first, second, split=split, options={"by": by or None, "cluster_by": cluster_by, "weights": weights})
    one, two = pair.tables
    if isinstance(one, Predictions) or isinstance(two, Predictions):
        raise PredictionsError("A model is of one class for each image. Compare models of one task.")
    columns = pair.options.columns
    if not by:  # a recipe's audit of objects has a column that no image has
        columns = tuple(spec for spec in columns if one.task != "detection" or spec.column != OBJECT_SIZE)
    return compare_task_models(
        one,
        two,
        replace(pair.options, columns=columns, criteria=(), positive=None),
        metric=metric,
        names=names or _names(first, second),
        leaked=pair.leaked,
        all_columns=not columns,
    )


@dataclass(frozen=True)
class _Paired:
    """Two tables, with the options of the first run among them and the paths that leaked."""

    tables: tuple[AnyTable, AnyTable]
    options: AuditOptions
    leaked: frozenset[str]


def _pair(first: Run | AnyTable, second: Run | AnyTable, *, split: str | None, options: AuditOverrides) -> _Paired:
    runs = [model for model in (first, second) if not isinstance(model, TABLES)]
    run = runs[0] if runs else None
    chosen = (AuditOptions() if run is None else options_of_run(run)).with_overrides(**options)
    if run is not None:
        split = run.judged_split(split)
        warn_trained_on(split, run.directory.name)
    one, two = (model if isinstance(model, TABLES) else table_of(model, split) for model in (first, second))
    leaked = {path for run in runs for path in leaked_paths(run.leaks, run.judged_split(split))}
    return _Paired((one, two), chosen, frozenset(leaked))


def table_of(run: Run, split: str | None, *, groups: Joinable | None = None) -> AnyTable:
    """Return the predictions of a run of any task for a split, with more group columns joined."""
    if run.task == "multiclass":
        return run.predictions(split, groups=groups)
    return task_table(run, split, groups=groups)


def task_table(run: Run, split: str | None, *, groups: Joinable | None = None) -> TaskPredictions:
    """Return the predictions of a run of several labels, grades, numbers, masks or boxes for a split."""
    return run.task_predictions(split, groups=groups)


def compare_models_by(
    models: Mapping[str, Run | AnyTable],
    metric: str | None = None,
    *,
    split: str | None = None,
    cluster_by: str | None = None,
    weights: str | None = None,
) -> MetricComparison:
    """Return the comparison of any number of models by any metric; see `tlkit.evaluation.compare_metric`.

    Runs whose recipes differ in name and seed only are seeds of one recipe. Clusters and weights are by default those
    of the first run's recipe; so is the level of the intervals.

    Args:
        models: runs or predictions, by the name that they are to have.
        metric: name of the metric; default: accuracy, or the main figure of the task.
        split: for runs: test by default, or val where there is no test split.
        cluster_by: group column of the clusters.
        weights: group column of the images' weights.

    Raises:
        PredictionsError: what is given does not fit, as in `compare_metric`.
    """
    runs = {name: model for name, model in models.items() if not isinstance(model, TABLES)}
    options = options_of_run(next(iter(runs.values()))) if runs else AuditOptions()
    tables: dict[str, AnyTable] = {}
    for name, model in models.items():
        if isinstance(model, TABLES):
            tables[name] = model
            continue
        judged = model.judged_split(split)
        warn_trained_on(judged, model.directory.name)
        if leaked := leaked_paths(model.leaks, judged):
            logger.warning("%s: %d of the images are also in an earlier split; they count.", name, len(leaked))
        tables[name] = table_of(model, split)
    return compare_metric(
        tables,
        metric,
        recipes=seeds_of_recipes(runs),
        cluster_by=cluster_by or options.pair_by or options.cluster_by,
        weights=weights or options.weights,
        confidence=options.confidence,
        alpha=options.alpha,
    )


def seeds_of_recipes(runs: Mapping[str, Run]) -> dict[str, str]:
    """Return the name of the recipe of each run that has it in common with another, by the name of the run.

    Two recipes are one where they differ in `name` and `seed` only. It is called after its first run.
    """
    families: list[tuple[dict[str, Any], list[str]]] = []
    for name, run in runs.items():
        content = run.recipe.model_dump(exclude={"name", "seed"})
        for other, members in families:
            if other == content:
                members.append(name)
                break
        else:
            families.append((content, [name]))
    return {
        name: f"{members[0]} and {len(members) - 1} more"
        for _, members in families
        if len(members) > 1
        for name in members
    }


def _names(first: Run | AnyTable, second: Run | AnyTable) -> tuple[str, str]:
    if not isinstance(first, TABLES) and not isinstance(second, TABLES):
        named = display_names(first.path, second.path)
        return named[0], named[1]
    one, two = (
        other if isinstance(one, TABLES) else one.directory.name
        for one, other in ((first, "the first"), (second, "the other"))
    )
    return one, two


def display_names(first: Path, second: Path, *others: Path) -> tuple[str, ...]:
    """Return short, different names for runs or files of predictions; warn if two are the same.

    Parent folders are added until the names differ.

    Example:
        >>> display_names(Path("runs/old"), Path("new.csv"))
        ('old', 'new')
        >>> display_names(Path("monday/runs/pets"), Path("friday/runs/pets"))
        ('monday/runs/pets', 'friday/runs/pets')
    """
    # symbolic links keep their names
    paths = (first, second, *others)
    full = [path.resolve() if ".." in path.parts else path.absolute() for path in paths]
    names = [path.stem if path.suffix.lower() in FILES else path.name for path in full]
    resolved = [path.resolve() for path in paths]
    for place, path in enumerate(resolved):
        if path in resolved[:place]:
            logger.warning("%s is compared with itself, so nothing can differ.", paths[place])
            names[place] += " (again)" if names[place] in names[:place] else ""
            full[place] = full[place].with_name(names[place])
    depth = 0
    while len(set(names)) < len(names) and depth < max(len(path.parts) for path in full):
        depth += 1
        names = ["/".join(path.parts[-depth:]) for path in full]
    return tuple(names)
