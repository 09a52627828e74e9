"""`audit_detection`: the share of objects that a detector finds, across groups of images and sizes of objects."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from tlkit.arrays import Mask
from tlkit.audit.groups.group_columns import GroupColumn
from tlkit.audit.options import AuditOptions
from tlkit.audit.outcomes import Outcomes
from tlkit.audit.rates import Rate
from tlkit.audit.task_audit import audit_outcomes, require_columns
from tlkit.audit.task_audit_result import TaskAudit
from tlkit.choices import OBJECT_SIZE
from tlkit.errors import PredictionsError
from tlkit.predictions.detection_predictions import DetectionPredictions

IMAGE = "image"
SIZES = ("small", "medium", "large")
SMALL, LARGE = 32.0**2, 96.0**2
"""Areas in pixels at which COCO calls an object medium, and large."""


def audit_detection(boxes: DetectionPredictions, found: Mask, options: AuditOptions) -> TaskAudit:
    """Compare the share of objects found across groups, over all categories and for each; Holm covers all.

    A row of the audit is an object; objects of one image, or of a cluster, are not independent, and intervals and tests
    allow for it.

    Args:
        boxes: with the group columns of the images; `object_size` is one more: small, medium or large, as COCO has it.
        found: whether each true box is found, shape (M,), as `found_objects` returns it.
        options: columns, sizes, levels and design; without clusters an image is one.

    Raises:
        PredictionsError: there is no true box, a column is missing, looks like an identifier or cannot be discretized
            as specified, or an option is out of its range or about classes.
    """
    if options.criteria or options.pair_by is not None:
        raise PredictionsError("Criteria and matched sets (pair_by) are not for detection. Leave them out.")
    kept = np.flatnonzero(~boxes.truth.crowd)
    if not len(kept):
        raise PredictionsError("There is no true box that is not a crowd, so there is nothing to compare.")
    area, image, category = boxes.truth.value[kept], boxes.truth.image[kept], boxes.truth.category[kept]
    groups = boxes.groups.iloc[image].reset_index(drop=True)
    sizes = np.array(SIZES)[(area >= SMALL).astype(int) + (area >= LARGE)]
    groups[OBJECT_SIZE] = pd.array(sizes, dtype="string")
    if options.cluster_by is None:
        groups[IMAGE] = pd.array(boxes.path[image].astype(object), dtype="string")
        options = replace(options, cluster_by=IMAGE)
    ordered = tuple(replace(one, order=SIZES) if one == GroupColumn(OBJECT_SIZE) else one for one in options.columns)
    options = replace(options, columns=ordered)
    options = options.for_classes(boxes.categories)
    require_columns(groups, options, classes=boxes.categories)
    hit = found[kept]
    names = boxes.categories if options.positive is None else (options.positive,)
    every = np.ones(len(kept), dtype=np.bool_)
    outcomes = [Outcomes(Rate("recall"), hit, every)] if options.positive is None and len(names) > 1 else []
    for name in names:
        own = category == boxes.categories.index(name)
        outcomes.append(Outcomes(Rate("recall", name), hit & own, own))
    return audit_outcomes("detection", groups, outcomes, options, images=len(boxes), counted="object")
