"""`audit_masks`: intersection over union across groups, over all classes and for each, with verdicts."""

from __future__ import annotations

import logging

import numpy as np

from tlkit.audit.options import AuditOptions
from tlkit.audit.outcomes import Outcomes
from tlkit.audit.rates import Rate
from tlkit.audit.task_audit import audit_outcomes, require_columns
from tlkit.audit.task_audit_result import TaskAudit
from tlkit.errors import PredictionsError
from tlkit.predictions.mask_predictions import MaskPredictions


def audit_masks(predictions: MaskPredictions, options: AuditOptions, *, level: int = logging.INFO) -> TaskAudit:
    """Compare the mean IoU of images, and the IoU of each class, across groups; Holm's correction covers all.

    An image's IoU of a class counts where either mask shows the class; every such image counts the same, however large
    the class is in it. The mean IoU of an image is over the classes that its masks show.

    Args:
        predictions: with true masks and group columns.
        options: columns, sizes, levels, tolerance (of IoU, from 0 to 1) and design. `positive` is one class that
            everything is about; None = every class and their mean.
        level: of the log lines; those of a second split of one run would repeat the first's.

    Raises:
        PredictionsError: a column is missing, looks like an identifier or cannot be discretized as specified, no pixel
            has a known class, or an option is out of its range or about classes of images.

    Example:
        >>> import pandas as pd
        >>> rng = np.random.default_rng(0)
        >>> masks = [(rng.integers(0, 2, (8, 8)), rng.integers(0, 2, (8, 8))) for _ in range(80)]
        >>> light = pd.DataFrame({"light": ["day", "night"] * 40})
        >>> found = MaskPredictions.build(
        ...     classes=["road", "car"], path=[f"{n}.png" for n in range(80)], masks=masks, groups=light)
        >>> audit_masks(found, AuditOptions().with_overrides(by=["light"], tolerance=0.2))
        TaskAudit(segmentation by light: PASS; 80 images)
    """
    require_columns(predictions.groups, options, classes=predictions.classes)
    problems = []
    if not predictions.known.any():
        problems.append(f"None of the {len(predictions)} true masks has a pixel of a known class to compare.")
    if options.pair_by is not None:
        problems.append("pair_by compares rates within matched sets. For IoU, name the sets in cluster_by.")
    if options.criteria:
        problems.append("Criteria are about classes of images, not about masks. Leave them out.")
    if problems:
        raise PredictionsError(*problems)
    found = predictions.labelled
    rates = [Rate("iou", name) for name in (found.classes if options.positive is None else (options.positive,))]
    if options.positive is None:
        rates.insert(0, Rate("mean_iou"))
    outcomes = [outcomes_of_masks(found, rate, options.tolerance) for rate in rates]
    return audit_outcomes(
        "segmentation",
        found.groups,
        outcomes,
        options,
        images=len(found),
        unlabelled=len(predictions) - len(found),
        level=level,
    )


def outcomes_of_masks(found: MaskPredictions, rate: Rate, tolerance: float) -> Outcomes:
    """Return the IoU of a class in each image whose masks show it, or the mean IoU of each image over its classes.

    Args:
        found: images of whose true mask a pixel is known.
        rate: `iou` of a class, or `mean_iou`.
        tolerance: largest difference from the complement that is tolerated.
    """
    iou = found.image_iou
    shown, values = np.isfinite(iou), np.nan_to_num(iou)
    if rate.class_name is None:
        means = values.sum(axis=1) / np.maximum(shown.sum(axis=1), 1)
        return Outcomes(rate, means, np.asarray(shown.any(axis=1)), tolerance)
    place = found.classes.index(rate.class_name)
    return Outcomes(rate, values[:, place], shown[:, place], tolerance)
