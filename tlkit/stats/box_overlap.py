"""The door of pycocotools: the overlap of boxes as COCO defines it, with crowds."""

from __future__ import annotations

import numpy as np

from tlkit.arrays import Floats, Mask
from tlkit.errors import MissingExtraError


def overlaps(found: Floats, truth: Floats, crowd: Mask) -> Floats:
    """Return the intersection over union of predicted and true boxes, shape (D, G); over the prediction for a crowd.

    Args:
        found: left, top, width, height, shape (D, 4).
        truth: the same, shape (G, 4).
        crowd: whether a true box is a crowd, shape (G,).

    Raises:
        MissingExtraError: pycocotools is not installed.
    """
    try:
        from pycocotools import mask
    except ImportError as error:
        raise MissingExtraError(package="pycocotools", extra="coco", purpose="Judging boxes") from error
    if not len(found) or not len(truth):
        return np.zeros((len(found), len(truth)))
    return np.asarray(mask.iou(found.copy(), truth.copy(), crowd.astype(np.uint8).tolist()), dtype=np.float64)
