"""Masks that an exported file of segmentation predicts, in the size of each image. Needs no torch."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt

from tlkit.arrays import Floats32
from tlkit.data.decode.resizing import letterbox_place
from tlkit.data.sources.given_images import GivenImages, read_images
from tlkit.data.sources.true_masks import true_positions
from tlkit.errors import DataError, first_few
from tlkit.exported.exported_predictor import ExportedPredictor
from tlkit.exported.facts import ExportedFacts
from tlkit.mask_classes import MaskClasses
from tlkit.mask_files import Positions, PredictedMask
from tlkit.notebook_progress import with_notebook_bar
from tlkit.predictions import MaskPredictions, Unreadable
from tlkit.predictions.mask_predictions import confusion_of
from tlkit.preprocess import Preprocess
from tlkit.samples import Samples

QUEUED = 2
"""Masks that wait for each worker; they are as large as their images."""


class ExportedMaskPredictor:
    """An exported file of segmentation that predicts masks as `MaskPredictor` does, without torch.

    `model.onnx` scales logits to the size of the image itself; those of `network.onnx` and `network.xml` are scaled
    here.

    Attributes:
        images: what decodes the images and runs the file.
        classes: the classes of pixels, with their numbers in files.
    """

    def __init__(self, images: ExportedPredictor) -> None:
        self.images = images
        self.classes: MaskClasses = images.facts.mask_classes

    def __repr__(self) -> str:
        return f"ExportedMaskPredictor({self.images.model.path}, {len(self.classes)} classes)"

    @property
    def facts(self) -> ExportedFacts:
        """What the file states about itself."""
        return self.images.facts

    @with_notebook_bar("predicting masks")
    def predict(
        self,
        images: GivenImages,
        *,
        progress: Callable[[int, int], None] | None = None,
        on_unreadable: Callable[[Unreadable], None] | None = None,
    ) -> tuple[PredictedMask, ...]:
        """Return the mask of each readable image; the arguments are `ExportedPredictor`'s.

        All masks are in memory; `masks_of` yields them one by one.

        Raises:
            DataError: an image is of another kind, a path does not exist, or no image can be read.
        """
        return tuple(self.masks_of(images, progress=progress, on_unreadable=on_unreadable))

    def masks_of(
        self,
        images: GivenImages,
        *,
        progress: Callable[[int, int], None] | None = None,
        on_unreadable: Callable[[Unreadable], None] | None = None,
    ) -> Iterator[PredictedMask]:
        """Yield the mask of each readable image, as `predict` does."""
        files = read_images(images, background=self.facts.preprocess.background)
        found = self.images.readable(
            files, self.positions_of, progress=progress, on_unreadable=on_unreadable, queued=QUEUED
        )
        for row, positions in found:
            yield PredictedMask(os.fspath(files[row]), self.classes, positions)

    def predict_samples(self, samples: Samples) -> MaskPredictions:
        """Return the predicted masks of samples beside their true ones, as counts of pixels.

        Raises:
            DataError: the samples have no masks or other classes than the file, a true mask cannot be used,
                or no image can be read.
        """
        if samples.masks is None or samples.classes != self.classes.names:
            raise DataError(
                f"The classes of {self.images.model.path} are {first_few(self.classes.names)}, in this order, but "
                f"those of the images are {first_few(samples.classes)}. Judge masks of the same classes."
            )
        files = [samples.root / path for path in samples.paths.tolist()]
        rows, cells = [], []
        for row, positions in self.images.readable(files, self.positions_of, queued=QUEUED):
            true = true_positions(samples, row, (positions.shape[0], positions.shape[1]))
            rows.append(row)
            cells.append(confusion_of(true, positions, len(self.classes)))
        some = samples.take(rows)
        return MaskPredictions.of_cells(
            classes=self.classes.names, path=some.paths, cells=cells, groups=some.groups, verbatim=True
        )

    def positions_of(self, content: bytes, name: str = "") -> Positions:
        """Return the class of each pixel of the content of an image file, int32 (H, W); a mask never says void.

        Args:
            content: the bytes.
            name: of the file, for messages.

        Raises:
            UnreadableImageError: it is damaged, too large or no image.
        """
        pixels, (height, width) = self.images.pixels_of(content, name=name)
        with self.images.turn:
            if self.facts.kind == "model":
                return np.asarray(self.images.model.masks(pixels[None])[0], dtype=np.int32)
            logits = self.images.model.logits(pixels[None])[0]
        return most_probable(logits, self.facts.preprocess, height=height, width=width)


def most_probable(logits: Floats32, preprocess: Preprocess, *, height: int, width: int) -> Positions:
    """Return the most probable class of each pixel of an image, int32 (H, W), the first of equals.

    Logits are scaled bilinearly between the centers of pixels (`align_corners=False` of torch), without antialiasing.

    Args:
        logits: of the network's input, shape (C, h, w).
        preprocess: how the image became that input: as a letterbox or squashed.
        height: of the image, in pixels.
        width: of the image.
    """
    if preprocess.resize == "letterbox":
        top, left, tall, wide = letterbox_place(height, width, preprocess.image_size)
        logits = logits[:, top : top + tall, left : left + wide]
    above, below, down = _between(logits.shape[1], height)
    before, after, across = _between(logits.shape[2], width)
    best: Floats32 | None = None
    position: Positions = np.zeros((height, width), dtype=np.int32)
    for number, one in enumerate(logits):  # class by class, since all at once may not fit into memory
        rows = one[above] * (1 - down[:, None]) + one[below] * down[:, None]
        scaled = rows[:, before] * (1 - across) + rows[:, after] * across
        if best is None:
            best = scaled
            continue
        position[scaled > best] = number
        np.maximum(best, scaled, out=best)
    return position


def _between(length: int, wanted: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], Floats32]:
    """Return for each of `wanted` places the two neighbors among `length`, and how far it is from the first, [0, 1)."""
    places: npt.NDArray[np.float64] = np.maximum((np.arange(wanted) + 0.5) * (length / wanted) - 0.5, 0.0)
    first = np.minimum(places.astype(np.int64), length - 1)
    return first, np.minimum(first + 1, length - 1), (places - first).astype(np.float32)
