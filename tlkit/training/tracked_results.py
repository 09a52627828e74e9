"""What a tracker gets of a run's results: metrics, figures with intervals, curves, predictions, model. No torch.

An image's groups are never sent. Of an audit a tracker gets the verdict and how many groups fail, and its tables, which
hold names and rates of groups, only by `tracking.log_audit`.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tlkit.audit.audit_result import Audit
from tlkit.audit.group_tables import DIRECTIONS
from tlkit.data.checks.thumbnails import draw_thumbnails
from tlkit.evaluation import Evaluation
from tlkit.evaluation.evaluation_result import MAIN_FIGURES
from tlkit.predictions import Predictions
from tlkit.recipe import Recipe, TrackingSection
from tlkit.render.report import ReportImages, RunContents, write_report
from tlkit.samples import DIGEST, LABEL, PATH, SPLIT, Samples
from tlkit.stats.calibration import BINS
from tlkit.stats.estimate import Estimate
from tlkit.stats.intervals import wilson
from tlkit.tables import Table
from tlkit.tracking import NullTracker, Tracker

IMAGE_SIDE = 160  # pixels
CURVE_CLASSES = 10
CURVE_POINTS = 100
EPOCH_METRICS = {"train_loss": "train/loss", "learning_rate": "train/learning_rate"}


def grouped(section: TrackingSection, recipe: Recipe) -> TrackingSection:
    """Return a `tracking` section where a fold (`data.folds`) has a group and a job type, if the recipe states none.

    The group is the run's name without the number of the fold at its end.

    Example:
        >>> recipe = Recipe.model_validate(
        ...     {"recipe_version": 1, "name": "pets-fold-2", "data": {"root": "pets", "folds": 5, "fold": 2},
        ...      "model": {"name": "resnet18"}}
        ... )
        >>> found = grouped(recipe.tracking, recipe)
        >>> found.group, found.job_type
        ('pets', 'fold-2')
    """
    if recipe.data.folds is None:
        return section
    common = re.sub(r"[-_.]?(fold)?[-_.]?\d+$", "", recipe.name) or recipe.name
    job = section.job_type or f"fold-{recipe.data.fold}"
    return section.model_copy(update={"group": section.group or common, "job_type": job})


def track(tracker: Tracker, row: Mapping[str, float]) -> None:
    """Send the metrics of one epoch to a tracker, by names such as train/loss, val/accuracy and learning_rate/head."""
    tracker.log_metrics({epoch_metric(k): v for k, v in row.items() if k != "epoch"}, epoch=int(row["epoch"]))


def epoch_metric(name: str) -> str:
    """Return a tracker's name of a column of metrics.csv.

    Example:
        >>> [epoch_metric(name) for name in ("train_loss", "val_worst_group_accuracy", "learning_rate/head")]
        ['train/loss', 'val/worst_group_accuracy', 'learning_rate/head']
    """
    return EPOCH_METRICS.get(name) or (f"val/{name.removeprefix('val_')}" if name.startswith("val_") else name)


def track_data(tracker: Tracker, environment: Mapping[str, Any], samples: Samples) -> None:
    """Record which images a run is trained and assessed on: path, class, split and digest of each, no group."""
    data = {name: environment["data"][name] for name in ("fingerprint", "images", "excluded")}
    tracker.log_summary({f"data/{name}": value for name, value in data.items()} | _commit(environment))
    if not isinstance(tracker, NullTracker):
        tracker.log_dataset(samples.table[[PATH, LABEL, SPLIT, DIGEST]], metadata=data)


def _commit(environment: Mapping[str, Any]) -> dict[str, str]:
    commit = environment.get("commit")
    return {} if commit is None else {"commit": str(commit)}


def track_split(
    tracker: Tracker,
    split: str,
    predictions: Predictions,
    evaluation: Evaluation,
    audit: Audit | None,
    *,
    section: TrackingSection,
    root: Path,
) -> None:
    """Record the figures, classes, curves, predictions, some images and the confusion matrix of a split.

    Args:
        tracker: what records.
        split: its name.
        predictions: the predictions for it.
        evaluation: their evaluation.
        audit: their audit, None where the recipe has no `audit.by`.
        section: how many images, and whether the audit's tables are recorded.
        root: folder of the images.
    """
    if isinstance(tracker, NullTracker):
        return
    tracker.log_summary({f"{split}/{name}": value for name, value in tracker_summary(evaluation).items()})
    if audit is not None:
        _track_audit(tracker, split, audit, tables=section.log_audit)
    tracker.log_table(class_rates(evaluation), name=f"{split}/per_class")
    table = tracked_predictions(predictions)
    tracker.log_predictions(table, name=f"{split}/predictions")
    if section.log_images and predictions.proba is not None and len(table):
        chosen = chosen_images(table, most=section.log_images)
        drawn = draw_thumbnails(root, chosen["path"], side=IMAGE_SIDE)
        images = {path: base64.b64decode(jpeg) for path, jpeg in drawn.items()}
        if images:
            tracker.log_images(chosen, images, name=f"{split}/images")
    if predictions.proba is not None and len(table):
        bins = reliability(predictions, confidence=evaluation.confidence)
        tracker.log_curve(bins, name=f"{split}/reliability", x="confidence", y="accuracy")
        tracker.log_curve(precision_recall(predictions), name=f"{split}/pr_curve", x="recall", y="precision")
    tracker.log_confusion(evaluation.confusion, evaluation.classes, name=f"{split}/confusion_matrix")


def _track_audit(tracker: Tracker, split: str, audit: Audit, *, tables: bool) -> None:
    rows = [row.direction for table in audit.group_tables for row in table.rows]
    counts = {side: rows.count(side) for side in DIRECTIONS}
    tracker.log_summary({f"{split}/audit": audit.verdict} | {f"{split}/audit {s}": n for s, n in counts.items()})
    if tables:
        for table in audit.tables():
            tracker.log_table(plain_table(table), name=f"{split}/audit/{table.name}")
    if audit.verdict == "FAIL":
        found = ", ".join(f"{number} {side}" for side, number in counts.items() if number)
        tracker.alert(
            f"The audit of {split} fails", f"Groups beyond the tolerance: {found}. `tlkit audit` shows which."
        )


def plain_table(table: Table) -> pd.DataFrame:
    """Return a table with plain cells: of an estimate three columns, such as accuracy, accuracy_low, accuracy_high."""
    columns: dict[str, list[Any]] = {}
    for place, column in enumerate(table.columns):
        cells = [row[place] for row in table.rows]
        if column.kind == "estimate":
            estimates = [cell if isinstance(cell, Estimate) else None for cell in cells]
            columns[column.name] = [None if one is None else one.value for one in estimates]
            columns[f"{column.name}_low"] = [None if one is None else one.low for one in estimates]
            columns[f"{column.name}_high"] = [None if one is None else one.high for one in estimates]
        else:
            columns[column.name] = cells
    return pd.DataFrame(columns)


def chosen_images(table: pd.DataFrame, *, most: int) -> pd.DataFrame:
    """Return the predictions whose images are shown: up to half the most confident errors, the rest evenly spread.

    Args:
        table: as `tracked_predictions` returns it.
        most: at most so many rows.
    """
    ordered = table.sort_values("confidence", ascending=False, kind="stable")
    errors = ordered[~ordered["correct"].astype(bool)].head(most // 2)
    others = ordered.drop(errors.index)
    room = min(most - len(errors), len(others))
    return pd.concat([errors, others.iloc[[place * len(others) // room for place in range(room)]]])


def reliability(predictions: Predictions, *, confidence: float) -> pd.DataFrame:
    """Return the reliability diagram of labelled predictions: a row per bin of equal mass.

    Columns: series, confidence (its mean), accuracy with its Wilson interval, images. The series "perfect" is the
    diagonal. Nguyen & O'Connor (2015), "Posterior calibration", section 3.
    """
    known = predictions.labelled
    sure, right = np.asarray(known.confidence, dtype=np.float64), np.asarray(known.correct)
    rows: list[dict[str, object]] = []
    for members in np.array_split(np.argsort(sure, kind="stable"), min(BINS, len(sure))):
        hit = wilson(int(right[members].sum()), len(members), confidence)
        point = {"series": "model", "confidence": float(sure[members].mean()), "accuracy": hit.value}
        rows.append({**point, "accuracy_low": hit.low, "accuracy_high": hit.high, "images": len(members)})
    ends = [{"series": "perfect", "confidence": end, "accuracy": end, "images": 0} for end in (0.0, 1.0)]
    return pd.DataFrame([*rows, *ends])


def precision_recall(predictions: Predictions) -> pd.DataFrame:
    """Return precision against recall, each class against the rest; at most 100 points of the 10 largest classes.

    Columns: series (the class), recall, precision, threshold. `sklearn.metrics.precision_recall_curve` computes them.
    """
    from sklearn.metrics import precision_recall_curve

    known = predictions.labelled
    assert known.proba is not None
    counts = np.bincount(known.y_true, minlength=len(known.classes))
    parts = []
    for label in np.argsort(-counts, kind="stable")[:CURVE_CLASSES]:
        if counts[label] in (0, len(known)):
            continue  # its precision or recall is undefined
        precision, recall, thresholds = precision_recall_curve(known.y_true == label, known.proba[:, label])
        kept = np.unique(np.linspace(0, len(recall) - 1, min(CURVE_POINTS, len(recall))).round().astype(int))
        points = {"recall": recall, "precision": precision, "threshold": np.append(thresholds, np.nan)}
        parts.append(pd.DataFrame({"series": known.classes[label]} | {k: v[kept] for k, v in points.items()}))
    return pd.concat(parts) if parts else pd.DataFrame(columns=["series", "recall", "precision", "threshold"])


def track_report(tracker: Tracker, folder: Path, contents: RunContents) -> None:
    """Record the report without its example images, which would name images of groups.

    `folder` is the run directory; the page is written to its folder of the tracker.
    """
    if not isinstance(tracker, NullTracker):
        public = replace(contents, images=ReportImages())
        tracker.log_report(write_report(folder / "wandb" / "report.html", public))


def track_model(
    tracker: Tracker, folder: Path, facts: Mapping[str, Any], environment: Mapping[str, Any], *, best: bool
) -> None:
    """Record the stored model with the fingerprint of its data; alias "best" where val or cross-validation chose it."""
    data = {name: environment["data"][name] for name in ("fingerprint", "images")}
    tracker.log_model(folder, metadata={**facts, "data": data}, aliases=("best",) if best else ())


def tracker_summary(evaluation: Evaluation) -> dict[str, float | int | None]:
    """Return the figures of an evaluation by name, each with the ends of its interval, such as accuracy_low.

    Figures without leaks end in _without_leaks, before _low and _high; there are none where no leak is known.
    """
    figures: dict[str, Estimate] = {name: getattr(evaluation, name) for name in MAIN_FIGURES}
    figures |= {f"top_{k}_accuracy": estimate for k, estimate in evaluation.top_k.items()}
    if evaluation.log_loss is not None:
        figures["log_loss"] = evaluation.log_loss
    values: dict[str, float | int | None] = {"images": evaluation.n}
    if evaluation.without_leaks is not None:
        figures |= {f"{name}_without_leaks": getattr(evaluation.without_leaks, name) for name in MAIN_FIGURES}
        values["leaked_images"] = evaluation.without_leaks.n_leaked
    for name, estimate in figures.items():
        values |= {name: estimate.value, f"{name}_low": estimate.low, f"{name}_high": estimate.high}
    return values


def class_rates(evaluation: Evaluation) -> pd.DataFrame:
    """Return precision, recall and F1 of each class, with the ends of their intervals, such as recall_low."""
    rows = []
    for one in evaluation.per_class:
        row: dict[str, object] = {"class": one.name, "images": one.support}
        for name in ("precision", "recall", "f1"):
            estimate: Estimate = getattr(one, name)
            row |= {name: estimate.value, f"{name}_low": estimate.low, f"{name}_high": estimate.high}
        rows.append(row)
    return pd.DataFrame(rows)


def tracked_predictions(predictions: Predictions) -> pd.DataFrame:
    """Return the labelled predictions without group columns, which a tracker must not get."""
    names, known = predictions.classes, predictions.labelled
    return pd.DataFrame(
        {
            "path": known.path,
            "true": [names[i] for i in known.y_true],
            "predicted": [names[i] for i in known.y_pred],
            "confidence": known.confidence,
            "correct": known.correct,
        }
    )
