"""What a tracker gets of a run's results: figures with intervals, rates of classes, predictions, report and model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from tlkit.audit.audit_result import Audit
from tlkit.audit.group_tables import DIRECTIONS
from tlkit.evaluation import Evaluation
from tlkit.evaluation.evaluation_result import MAIN_FIGURES
from tlkit.predictions import Predictions
from tlkit.render.report import ReportImages, RunContents, write_report
from tlkit.stats.estimate import Estimate
from tlkit.tracking import NullTracker, Tracker


def track_data(tracker: Tracker, environment: Mapping[str, Any]) -> None:
    """Record which images a run was trained and assessed on."""
    data = environment["data"]
    tracker.log_summary({f"data/{name}": data[name] for name in ("fingerprint", "images", "excluded")})


def track_split(
    tracker: Tracker, split: str, predictions: Predictions, evaluation: Evaluation, audit: Audit | None
) -> None:
    """Record the figures, the rates of the classes, the predictions and the confusion matrix of a split.

    Of an audit the verdict and the number of failing groups on each side are recorded, no name of a column or group.
    """
    tracker.log_summary({f"{split}/{name}": value for name, value in summary_of(evaluation).items()})
    if audit is not None:
        rows = [row.direction for table in audit.group_tables for row in table.rows]
        counts = {f"{split}/audit {side}": rows.count(side) for side in DIRECTIONS}
        tracker.log_summary({f"{split}/audit": audit.verdict, **counts})
    tracker.log_table(class_rates(evaluation), name=f"{split}/per_class")
    tracker.log_predictions(tracked_predictions(predictions), name=f"{split}/predictions")
    tracker.log_confusion(evaluation.confusion, evaluation.classes, name=f"{split}/confusion_matrix")


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


def summary_of(evaluation: Evaluation) -> dict[str, float | int | None]:
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
