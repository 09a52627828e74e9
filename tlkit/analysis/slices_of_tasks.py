"""`find_task_slices`: undeclared groups of images with larger errors of labels, grades, numbers, masks or boxes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

from tlkit.analysis.find_slices import (
    CLUSTER,
    feature_clusters,
    image_units,
    load_image_properties,
    measured_features,
    select_columns,
)
from tlkit.audit.options import AuditOptions
from tlkit.audit.slices.slice_search import MAX_CONDITIONS, MOST_SLICES
from tlkit.audit.slices.task_slices import TaskSliceReport, search_task_slices
from tlkit.choices import SLICE_CLUSTERS
from tlkit.data.checks.image_properties import PROPERTIES
from tlkit.errors import PredictionsError
from tlkit.notebook_progress import with_notebook_bar
from tlkit.predictions.task_predictions import TaskPredictions
from tlkit.runs import store_judgements
from tlkit.runs.assess_split import warn_trained_on
from tlkit.runs.compare_runs import task_table
from tlkit.runs.run import Run
from tlkit.runs.run_options import options_of_run


@with_notebook_bar("measuring images")
def find_task_slices(
    source: Run | TaskPredictions,
    columns: Sequence[str] | None = None,
    *,
    split: str | None = None,
    clusters: int = SLICE_CLUSTERS,
    min_images: int | None = None,
    most: int = MOST_SLICES,
    max_conditions: Literal[1, 2] = MAX_CONDITIONS,
    confidence: float | None = None,
    alpha: float | None = None,
    seed: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> TaskSliceReport:
    """Return undeclared groups of images with larger errors, as `find_slices` does for classes.

    What is compared is the share of wrong labels of an image, its absolute error, of masks 1 − its mean IoU, of boxes
    the share of its objects that are missed. The arguments are those of `find_slices`; the result is stored in a run.

    Raises:
        TlkitError: a column is unknown, the images are missing, or an argument is out of its range.

    Example:
        >>> import numpy as np, pandas as pd
        >>> from tlkit.predictions import NumberPredictions
        >>> light = np.where(np.arange(600) % 2, "day", "night")
        >>> error = np.where(light == "night", 2.0, 1.0) * (np.arange(600) % 7 - 3)
        >>> predictions = NumberPredictions.build(
        ...     path=[f"{i}.jpg" for i in range(600)], y_true=np.zeros(600), y_pred=error,
        ...     groups=pd.DataFrame({"light": light}))
        >>> find_task_slices(predictions).confirmed[0].name
        'light is night'
    """
    if clusters < 0 or clusters == 1:
        raise PredictionsError(f"clusters is {clusters}. Use a number from 2, or 0 for none.")
    given = {"min_group_size": min_images, "confidence": confidence, "alpha": alpha, "seed": seed}
    if not isinstance(source, Run):
        options = AuditOptions().with_overrides(**given)  # type: ignore[arg-type]
        if not source.groups.shape[1]:
            raise PredictionsError("The predictions have no column to search for slices. Join some: --groups FILE.")
        table = source.groups if columns is None else select_columns(source.groups, columns, where="The table")
        return search_task_slices(source, columns=table, most=most, max_conditions=max_conditions, options=options)
    run, split = source, source.judged_split(split)
    options = options_of_run(run, **given)  # type: ignore[arg-type]
    warn_trained_on(split, run.directory.name)
    predictions = task_table(run, split)
    measured = load_image_properties(run, split, progress=progress).reindex(predictions.path)
    units = image_units(run, predictions, measured, options)
    searched = measured[list(PROPERTIES)].reset_index(drop=True)
    for name in predictions.groups.columns:
        if name not in options.design_columns:
            searched[name] = predictions.groups[name]
    features = measured_features(run, split) if clusters else None
    if features is not None:
        searched[CLUSTER] = feature_clusters(features, predictions, units, clusters=clusters, seed=options.seed)
    if columns is not None:
        searched = select_columns(searched, columns, where=str(run.path))
    report = search_task_slices(
        predictions,
        columns=searched,
        units=units,
        most=most,
        max_conditions=max_conditions,
        clusters=clusters if features is not None else 0,
        options=options,
    )
    store_judgements(run.directory, run.directory.slices, {split: report.to_dict()})
    return report
