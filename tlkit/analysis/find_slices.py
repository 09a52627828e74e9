"""`find_slices`: finds undeclared groups of images with a lower accuracy. Torch is needed only for feature clusters."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict
from importlib.util import find_spec
from typing import Literal

import numpy as np
import pandas as pd

from tlkit.arrays import Ints
from tlkit.audit.error_examples import Neighbors
from tlkit.audit.options import AuditOptions
from tlkit.audit.slices.feature_neighbors import cluster_features, nearest_images
from tlkit.audit.slices.slice_report import SliceReport
from tlkit.audit.slices.slice_search import MAX_CONDITIONS, MOST_SLICES, search_slices
from tlkit.audit.slices.split_half import search_half, split_units
from tlkit.choices import SLICE_CLUSTERS
from tlkit.data.checks.duplicates import find_duplicates
from tlkit.data.checks.image_properties import PROPERTIES, fingerprints_of, measure_images, read_properties
from tlkit.data.decode.decode_options import DecodeOptions
from tlkit.errors import DataError, PredictionsError, RunError, did_you_mean, first_few
from tlkit.evaluation.compared_models import AnyTable
from tlkit.features.features import Features
from tlkit.models.model_format import FACTS_FILE
from tlkit.notebook_progress import with_notebook_bar
from tlkit.predictions import Predictions
from tlkit.predictions.prediction_files import write_parquet_table
from tlkit.runs import store_judgements
from tlkit.runs.assess_split import warn_trained_on
from tlkit.runs.run import Run
from tlkit.runs.run_options import options_of_run, split_groups
from tlkit.samples import DIGEST, PATH

logger = logging.getLogger(__name__)

CLUSTER = "cluster"
MIN_CLUSTERED = 10  # images in each half, to form clusters


@with_notebook_bar("measuring images")
def find_slices(
    source: Run | Predictions,
    columns: Sequence[str] | pd.DataFrame | None = None,
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
) -> SliceReport:
    """Return undeclared groups of images with a lower accuracy, such as dark or blurred ones, or those of one camera.

    For a run, the images are decoded once to measure brightness, contrast, sharpness, megapixels, aspect, colorfulness,
    file type and camera, and clustered by the features of its stored model. One half of the split is searched, and
    what is found is tested on the other; copies of a picture are in one half. The result is stored in the run.

    Args:
        source: a run, or predictions with columns.
        columns: names of the columns to search; or, for predictions, a table of them keyed by `path`. Default: for a
            run, the measured properties, the clusters and the group columns; for predictions, their group columns.
        split: for a run: test by default, or val where there is no test split.
        clusters: number of clusters of features among a run's columns; 0 = none, and no torch is needed.
        min_images: smallest number of images of a slice in each half; slices with fewer images in the test half are
            reported as candidates, untested. Default: the recipe's `audit.min_group_size`, or that of `AuditOptions`.
        most: the most slices to test.
        max_conditions: 1 = single conditions only, 2 = pairs as well.
        confidence: two-sided level of the intervals, in (0, 1); default: the recipe's `evaluate.confidence`, or 0.95.
        alpha: familywise error rate of the confirmed slices, in (0, 1); default: 0.05.
        seed: of clusters, permutations and resamples; default: the recipe's, or 0.
        progress: called with (images measured, images in all).

    Raises:
        TlkitError: a column is unknown, the images are missing, or an argument is out of its range.

    Example:
        >>> import numpy as np
        >>> light = np.tile([30, 200], 300)
        >>> wrong = (light < 100) & (np.arange(600) % 3 == 0)
        >>> predictions = Predictions.build(
        ...     classes=["cat", "dog"], path=[f"{i}.jpg" for i in range(600)],
        ...     y_true=[0] * 600, y_pred=wrong.astype(int),
        ...     groups=pd.DataFrame({"light": np.where(light < 100, "night", "day")}))
        >>> find_slices(predictions).confirmed[0].name
        'light is night'
    """
    if clusters < 0 or clusters == 1:
        raise PredictionsError(f"clusters is {clusters}. Use a number from 2, or 0 for none.")
    options = AuditOptions() if isinstance(source, Predictions) else options_of_run(source)
    options = options.with_overrides(min_group_size=min_images, confidence=confidence, alpha=alpha, seed=seed)
    if isinstance(source, Predictions):
        table = _columns_of(source, columns)
        return search_slices(source, columns=table, most=most, max_conditions=max_conditions, options=options)
    if isinstance(columns, pd.DataFrame):
        raise PredictionsError("A table of columns is for predictions. For a run, name the columns to search.")
    run, split = source, source.judged_split(split)
    warn_trained_on(split, run.directory.name)
    predictions = run.predictions(split)
    table = load_image_properties(run, split, progress=progress).reindex(predictions.path)
    units = image_units(run, predictions, table, options)
    searched = table[list(PROPERTIES)].reset_index(drop=True)
    for name in predictions.group_columns:
        if name not in options.design_columns:
            searched[name] = predictions.groups[name]
    features = measured_features(run, split) if clusters else None
    neighbors: Neighbors | None = None
    if features is not None:
        searched[CLUSTER] = feature_clusters(features, predictions, units, clusters=clusters, seed=options.seed)
        neighbors = _neighbors(run, split, predictions, features)
    if columns is not None:
        searched = select_columns(searched, columns, where=str(run.path))
    report = search_slices(
        predictions,
        columns=searched,
        units=units,
        most=most,
        max_conditions=max_conditions,
        clusters=clusters if features is not None else 0,
        content=[name for name in searched.columns if name == CLUSTER],
        neighbors=neighbors,
        options=options,
    )
    store_judgements(run.directory, run.directory.slices, {split: report.to_dict()})
    return report


def load_image_properties(run: Run, split: str, *, progress: Callable[[int, int], None] | None = None) -> pd.DataFrame:
    """Return the measured properties of a split's images, indexed by path; stored ones are not measured again.

    Raises:
        RunError: none of the images exists any more.
    """
    samples = run.samples.split(split)
    digests = samples.table.set_index(PATH)[DIGEST]
    file = run.directory.image_properties
    stored = read_properties(file)
    missing = digests[~digests.isin(set(stored[DIGEST]))].index.tolist()
    if missing:
        logger.info("Measuring %d images of the %s split.", len(missing), split)
        found = measure_images(
            samples.root, missing, decode_options=DecodeOptions.of(run.recipe.data), progress=progress
        )
        changed = [path for path in found.index if digests[path] not in ("", found.at[path, DIGEST])]
        if changed:
            logger.warning("Images that changed since the run (%d), left out: %s.", len(changed), first_few(changed))
            found = found.drop(index=changed)
        if found.empty and stored.empty:
            raise RunError(
                f"None of the {len(missing)} images of {run.path} is at {samples.root} any more. "
                f"Put them back, or search a table of predictions with columns of its own."
            )
        digests = digests.mask(digests == "", found[DIGEST].reindex(digests.index))
        if not found.empty:
            stored = pd.concat([stored, found], ignore_index=True) if len(stored) else found.reset_index(drop=True)
            stored = stored.drop_duplicates(DIGEST, ignore_index=True)
            try:
                write_parquet_table(file, stored, noted={"classes": []})
            except OSError as error:  # the next call measures again
                logger.warning("%s is not stored: %s.", file, error.strerror or error)
    measured = stored.set_index(DIGEST, drop=False).reindex(digests.to_numpy())
    return measured.set_index(pd.Index(digests.index, name=PATH))


def _columns_of(predictions: Predictions, columns: Sequence[str] | pd.DataFrame | None) -> pd.DataFrame:
    """Return the columns to search of predictions without a run."""
    if isinstance(columns, pd.DataFrame):
        return predictions.with_groups(columns).groups[[name for name in map(str, columns.columns) if name != PATH]]
    if not predictions.group_columns:
        raise PredictionsError("The predictions have no column to search for slices. Join some: --groups COLUMNS.csv.")
    return predictions.groups if columns is None else select_columns(predictions.groups, columns, where="The table")


def select_columns(table: pd.DataFrame, columns: Sequence[str], *, where: str) -> pd.DataFrame:
    """Return some columns of a table.

    Raises:
        PredictionsError: the table lacks one.
    """
    known = list(map(str, table.columns))
    names = [columns] if isinstance(columns, str) else list(dict.fromkeys(columns))
    unknown = [name for name in names if name not in known]
    if unknown:
        raise PredictionsError(
            *(
                f"{where} has no column {name!r} to search.{did_you_mean(name, known)} It has {', '.join(known)}."
                for name in unknown
            )
        )
    return table[names]


def image_units(run: Run, predictions: AnyTable, table: pd.DataFrame, options: AuditOptions) -> Ints:
    """Return the unit of each image: copies of a picture, and clusters of the audit or groups of the split."""
    measured = np.flatnonzero(table[DIGEST].notna().to_numpy())
    groups = find_duplicates(fingerprints_of(table.iloc[measured])).alike
    copies = [[int(measured[row]) for row in group] for group in groups]
    together: pd.Series[str] | None = None
    if options.unit_column in predictions.groups.columns:
        together = predictions.groups[options.unit_column]
    elif (column := run.recipe.data.group_by) is not None:
        samples = run.samples
        values = pd.Series(split_groups(run, samples), index=samples.paths).replace("", pd.NA)
        together = values.reindex(predictions.path).reset_index(drop=True).rename(column)
    return split_units(len(predictions), copies, together=together)


def measured_features(run: Run, split: str) -> Features | None:
    """Return the stored model's features of the split's and the training images; None where they are unavailable."""
    if find_spec("torch") is None:
        logger.info("torch is not installed, so there are no clusters of features.")
        return None
    if not (run.directory.model / FACTS_FILE).is_file():
        logger.info("%s has no stored model, so there are no clusters of features.", run.path)
        return None
    if run.task in ("segmentation", "detection"):
        logger.info(
            "%s gives maps of features, not a vector for each image, so there are no clusters of them.", run.path
        )
        return None
    from tlkit.inference.embed_run import embed_run

    try:
        features = embed_run(run, splits=tuple(dict.fromkeys(("train", split))))
    except DataError as error:
        logger.warning("There are no clusters of features: %s", error)
        return None
    judged = set(run.samples.split(split).paths.tolist())
    if sum(path in judged for path in features.path.tolist()) < 2 * MIN_CLUSTERED:
        logger.warning("Too few images of the %s split have features, so there are no clusters of them.", split)
        return None
    return features


def feature_clusters(
    features: Features, predictions: AnyTable, units: Ints, *, clusters: int, seed: int
) -> pd.Series[str]:
    """Return the cluster of each image, missing where it has no features; k-means is fitted on the searched half."""
    row_of = {str(path): row for row, path in enumerate(features.path)}
    rows = np.array([row_of.get(path, -1) for path in predictions.path.tolist()])
    known, half = rows >= 0, search_half(predictions.path.tolist(), units)
    found = np.full(len(predictions), None, dtype=object)
    found[known] = cluster_features(features.x[rows[known]], learn=half[known], clusters=clusters, seed=seed)
    logger.info("Clustered %d images by their features: k-means, k = %d.", known.sum(), clusters)
    return pd.Series(pd.array(found, dtype="string"))


def _neighbors(run: Run, split: str, predictions: Predictions, features: Features) -> Neighbors:
    """Return the nearest images of each misclassified image, and store them in the run for the report."""
    known = set(features.path.tolist())
    judged = predictions.labelled
    judged = judged.take(np.array([path in known for path in judged.path.tolist()], dtype=bool))
    trained = run.samples.split("train").table
    trained = trained[trained[PATH].isin(known)]
    found = nearest_images(
        judged,
        features.of(judged.path).x,
        trained=features.of(trained[PATH].tolist()).x,
        trained_paths=trained[PATH].tolist(),
        trained_labels=trained["label"].tolist(),
        split=split,
    )
    plain = {path: [asdict(near) for near in nears] for path, nears in found.items()}
    store_judgements(run.directory, run.directory.neighbors, {split: plain})
    return found
