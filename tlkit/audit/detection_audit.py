"""`audit_detection`: the share of objects that a detector finds, across groups of images and sizes of objects."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from tlkit.arrays import Ints, Mask
from tlkit.audit.groups.group_columns import GroupColumn
from tlkit.audit.options import AuditOptions
from tlkit.audit.outcomes import Outcomes
from tlkit.audit.rates import Rate
from tlkit.audit.task_audit import audit_outcomes, require_columns
from tlkit.audit.task_audit_result import TaskAudit
from tlkit.choices import OBJECT_SIZE
from tlkit.errors import PredictionsError
from tlkit.predictions.detection_predictions import DetectionPredictions
from tlkit.stats.box_matching import MIN_SCORE, found_objects
from tlkit.stats.box_measures import MatchedBoxes

IMAGE_COLUMNS = ("image", "image of the object", "path of the image of the object")
"""Names of the column that says the image of an object, by preference: a group column may have the first."""
SIZES = ("small", "medium", "large")
SMALL, LARGE = 32.0**2, 96.0**2
"""Areas in pixels at which COCO calls an object medium, and large."""


@dataclass(frozen=True, eq=False)
class Objects:
    """The true objects of images, the rows of an audit of boxes.

    Attributes:
        categories: names.
        category: position of the category of each object, shape (M,).
        found: whether each is found, shape (M,).
        groups: group columns of their images, with `object_size` and the image, M rows.
        options: of the audit, with the image as cluster where it has none.
    """

    categories: tuple[str, ...]
    category: Ints
    found: Mask
    groups: pd.DataFrame
    options: AuditOptions

    def outcomes(self, rate: Rate) -> Outcomes:
        """Return the outcomes of recall, of one category or of all."""
        own = np.ones(len(self.found), dtype=np.bool_)
        if rate.class_name is not None:
            own = self.category == self.categories.index(rate.class_name)
        return Outcomes(replace(rate, unit="object"), self.found & own, own)


def objects_of(boxes: DetectionPredictions, options: AuditOptions, *, min_score: float = MIN_SCORE) -> Objects:
    """Return the objects of images that are no crowds, as rows of an audit.

    Args:
        boxes: with the group columns of the images.
        options: of the audit; without clusters an image is one.
        min_score: smallest score of a prediction that finds an object.

    Raises:
        PredictionsError: there is no true box, or an option is about classes of images.
        MissingExtraError: pycocotools is not installed.
    """
    if options.criteria or options.pair_by is not None:
        raise PredictionsError("Criteria and matched sets (pair_by) are not for detection. Leave them out.")
    kept = np.flatnonzero(~boxes.truth.crowd)
    if not len(kept):
        raise PredictionsError("There is no true box that is not a crowd, so there is nothing to compare.")
    matched = MatchedBoxes.of(boxes)
    found = found_objects(matched, matched.matches, min_score=min_score)
    area, image = boxes.truth.value[kept], boxes.truth.image[kept]
    groups = boxes.groups.iloc[image].reset_index(drop=True)
    sizes = np.array(SIZES)[(area >= SMALL).astype(int) + (area >= LARGE)]
    groups[OBJECT_SIZE] = pd.array(sizes, dtype="string")
    own = next(name for name in IMAGE_COLUMNS if name not in boxes.groups.columns)
    if options.cluster_by in (None, own):
        groups[own] = pd.array(boxes.path[image].astype(object), dtype="string")
        options = replace(options, cluster_by=own)
    ordered = tuple(replace(one, order=SIZES) if one == GroupColumn(OBJECT_SIZE) else one for one in options.columns)
    return Objects(boxes.categories, boxes.truth.category[kept], found[kept], groups, replace(options, columns=ordered))


def audit_detection(
    boxes: DetectionPredictions, options: AuditOptions, *, min_score: float = MIN_SCORE, level: int = logging.INFO
) -> TaskAudit:
    """Compare the share of objects found across groups, over all categories and for each; Holm covers all.

    A row of the audit is an object; objects of one image, or of a cluster, are not independent, and intervals and tests
    allow for it.

    Args:
        boxes: with the group columns of the images; `object_size` is one more: small, medium or large, as COCO has it.
        options: columns, sizes, levels and design; without clusters an image is one.
        min_score: smallest score of a prediction that finds an object, at an overlap of 0.5.
        level: of the log lines; those of a second split of one run would repeat the first's.

    Raises:
        PredictionsError: there is no true box, a column is missing, looks like an identifier or cannot be discretized
            as specified, or an option is out of its range or about classes.
        MissingExtraError: pycocotools is not installed.
    """
    objects = objects_of(boxes, options, min_score=min_score)
    options = objects.options.for_classes(boxes.categories)
    require_columns(objects.groups, options, classes=boxes.categories)
    rates = [Rate("recall", name) for name in boxes.categories if options.positive in (None, name)]
    if options.positive is None and len(rates) > 1:
        rates.insert(0, Rate("recall"))
    outcomes = [objects.outcomes(rate) for rate in rates]
    return audit_outcomes(
        "detection", objects.groups, outcomes, options, images=len(boxes), counted="object", level=level
    )
