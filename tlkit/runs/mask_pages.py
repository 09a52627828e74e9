"""Pictures of masks for a report: the images with the lowest IoU, with true and predicted mask. Needs no torch."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from tlkit.data.checks.thumbnails import as_jpeg
from tlkit.data.decode.decoding import UnreadableImageError, open_rgb
from tlkit.mask_classes import MaskClasses, UnusableMaskError
from tlkit.mask_files import Positions, palette_colour, read_mask
from tlkit.predictions import MaskPredictions
from tlkit.render.report.sections.masks_section import MaskImage
from tlkit.samples import LABEL, PATH

if TYPE_CHECKING:
    from pathlib import Path

    from tlkit.runs.run import Run

logger = logging.getLogger(__name__)

MOST = 24
SIDE = 160
SHARE = 0.6
"""Share of the colour of a class over the pixels of an image."""


def worst_masks(run: Run, split: str, *, most: int) -> tuple[MaskImage, ...]:
    """Return the images of a split with the lowest mean IoU, the worst first.

    Images whose files are no longer there are left out, which is logged.

    Args:
        run: of segmentation.
        split: with predictions.
        most: at most so many images, and at most 24.
    """
    predictions, samples = run.task_predictions(split), run.samples
    assert isinstance(predictions, MaskPredictions) and samples.masks is not None, "a run of segmentation"
    found = predictions.labelled
    iou = found.image_iou
    means = np.nanmean(iou, axis=1)
    masks = dict(zip(samples.table[PATH], samples.table[LABEL], strict=True))
    shown, lacking = [], 0
    for row in np.argsort(means, kind="stable")[: min(most, MOST)]:
        path = str(found.path[row])
        predicted = run.directory.masks / PurePosixPath(path).with_suffix(".png")
        try:
            views = _views(samples.root / path, samples.root / masks[path], predicted, samples.masks)
        except (OSError, KeyError, UnreadableImageError, UnusableMaskError):
            lacking += 1
            continue
        weakest = int(np.nanargmin(iou[row]))
        shown.append(MaskImage(path, float(means[row]), (found.classes[weakest], float(iou[row, weakest])), views))
    if lacking:
        logger.warning("%d images or masks to show in the report cannot be read any more.", lacking)
    return tuple(shown)


def mask_colours(classes: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Return the colour of each class but the first, as a small JPEG, base64."""
    chips = ((name, Image.new("RGB", (32, 16), palette_colour(place))) for place, name in enumerate(classes))
    return tuple((name, as_jpeg(chip)) for name, chip in chips)[1:]


def _views(image: Path, truth: Path, predicted: Path, classes: MaskClasses) -> tuple[tuple[str, str], ...]:
    """Return image, truth and prediction as JPEGs, base64, of at most 160 pixels a side."""
    picture, _ = open_rgb(image)
    full = picture.size
    picture.thumbnail((SIDE, SIDE))
    picture.info = {}
    drawn = [("image", as_jpeg(picture))]
    for name, file in (("truth", truth), ("prediction", predicted)):
        positions = classes.positions(read_mask(file.read_bytes()))
        if positions.shape != full[::-1]:
            raise UnusableMaskError("it has another size than its image")
        drawn.append((name, as_jpeg(_overlay(picture, positions))))
    return tuple(drawn)


def _overlay(picture: Image.Image, positions: Positions) -> Image.Image:
    """Return a picture under the colours of its classes; the first class, mostly the background, has none."""
    small = Image.fromarray(np.maximum(positions, 0).astype(np.uint8)).resize(picture.size, Image.Resampling.NEAREST)
    place = np.asarray(small)
    colours = np.array([palette_colour(number) for number in range(256)], dtype=np.float64)
    pixels = np.asarray(picture, dtype=np.float64)
    mixed = np.where((place > 0)[..., None], (1 - SHARE) * pixels + SHARE * colours[place], pixels)
    return Image.fromarray(mixed.round().astype(np.uint8))
