"""`BoxPredictor`: boxes of a stored detector, each in the pixels of its image."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch

from tlkit.box_labels import boxes_in
from tlkit.choices import BATCH_SIZE, PredictEngine, Views
from tlkit.data.augment.moved_boxes import input_place
from tlkit.data.augment.transforms import build_transform
from tlkit.data.decode.decode_options import DecodeOptions
from tlkit.data.loading.batch import Failure, normalize
from tlkit.data.loading.dataset import create_loader
from tlkit.data.loading.mask_dataset import SizedDataset
from tlkit.data.num_workers import choose_num_workers
from tlkit.data.sources.given_images import GivenImages, ImageSource, read_images
from tlkit.errors import DataError, ModelError, first_few
from tlkit.models.box_head import require_operators
from tlkit.models.model_files import ModelFacts
from tlkit.models.network import Network
from tlkit.notebook_progress import with_notebook_bar
from tlkit.predictions import Unreadable
from tlkit.predictions.detection_predictions import DetectionPredictions
from tlkit.preprocess import Preprocess
from tlkit.samples import LABEL, Samples

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class PredictedBoxes:
    """The predicted boxes of an image, the highest score first.

    Attributes:
        path: the image as it was given.
        classes: class names.
        category: position of the class of each box, shape (M,).
        box: left, top, width and height in pixels of the upright image, shape (M, 4).
        score: of each box, in [0, 1], shape (M,).
        size: height and width of the image.
    """

    path: str
    classes: tuple[str, ...]
    category: npt.NDArray[np.int64]
    box: npt.NDArray[np.float64]
    score: npt.NDArray[np.float64]
    size: tuple[int, int]

    def __len__(self) -> int:
        return len(self.score)


class BoxPredictor:
    """A detector: at most 100 boxes of an image.

    Images are decoded and scaled as in training. torchvision's Faster R-CNN drops boxes with a score of 0.05 or less
    and those that overlap a better one of the same class by more than half.

    Attributes:
        network: the network, in evaluation mode.
        facts: its classes, preprocessing, detector and origin.
        device: where it runs, such as "cpu".

    Example:
        >>> from tlkit import load_model
        >>> model = load_model("runs/scenes", device="cpu")  # doctest: +SKIP
        >>> [(len(one), one.classes[one.category[0]]) for one in model.predict("scene.png")]  # doctest: +SKIP
        [(3, 'bee')]
    """

    def __init__(self, network: Network, facts: ModelFacts, *, device: str = "cpu") -> None:
        """Take a network; a ModelError is raised where torchvision's operators do not load, or images are cropped."""
        require_operators("Detection")
        if facts.preprocess.resize == "crop":
            raise ModelError(
                "The detector was stored with resize: crop, which leaves parts of an image without boxes. Train it "
                "with letterbox or squash."
            )
        self.network = network.to(device).to(memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
        self.facts, self.device = facts, device

    def __repr__(self) -> str:
        return f"BoxPredictor({self.facts.architecture}, {len(self.facts.classes)} classes, {self.device})"

    @with_notebook_bar("predicting boxes")
    def predict(
        self,
        images: GivenImages,
        *,
        batch_size: int = BATCH_SIZE,
        tta: Views = "none",
        engine: PredictEngine = "auto",
        progress: Callable[[int, int], None] | None = None,
        on_unreadable: Callable[[Unreadable], None] | None = None,
    ) -> tuple[PredictedBoxes, ...]:
        """Return the boxes of each readable image; the arguments are those of `Predictor.predict`.

        Raises:
            DataError: an image is of another kind, a path does not exist, no image can be read, or `tta` or `engine` is
                not for boxes.
        """
        if tta != "none" or engine not in ("auto", "torch"):
            given = f"tta {tta!r}" if tta != "none" else f"engine {engine!r}"
            raise DataError(f"The {given} is not for boxes, which torch predicts from the whole image. Leave it out.")
        files = read_images(images, background=self.facts.preprocess.background)
        names = [os.fspath(file) for file in files]
        rows = self._rows(files, names, batch_size=batch_size, progress=progress, on_unreadable=on_unreadable)
        return tuple(one for _, one in rows)

    def predict_samples(
        self,
        samples: Samples,
        *,
        batch_size: int = BATCH_SIZE,
        num_workers: int | Literal["auto"] = "auto",
        decode_options: DecodeOptions = DecodeOptions(),
        tta: Views = "none",
        on_changed: Callable[[Sequence[str]], None] | None = None,
    ) -> DetectionPredictions:
        """Return the predicted boxes of samples beside their true ones.

        Raises:
            DataError: the samples have other classes than the model, or no image can be read.
        """
        assert tta == "none", "the recipe's checks refuse other views"
        if samples.classes != self.facts.classes:
            raise DataError(
                f"The model's classes are {first_few(self.facts.classes)}, in this order, but those of the boxes are "
                f"{first_few(samples.classes)}. Judge boxes of the same classes."
            )
        rows = self._rows(
            samples,
            samples.table["path"].tolist(),
            batch_size=batch_size,
            num_workers=num_workers,
            decode_options=decode_options,
            on_changed=on_changed,
        )
        kept, found = zip(*rows, strict=True)
        part = samples.take(kept)
        return DetectionPredictions.build(
            categories=self.facts.classes,
            path=part.paths,
            truth=[boxes_in(text) for text in part.table[LABEL]],
            found=[
                list(zip(one.category.tolist(), one.box.tolist(), one.score.tolist(), strict=True)) for one in found
            ],
            groups=part.groups,
            verbatim=True,
        )

    def with_rule(self, predictions: DetectionPredictions) -> DetectionPredictions:
        """Return the predictions as they are: val chooses nothing for boxes."""
        return predictions

    def _rows(
        self,
        images: Samples | Sequence[ImageSource],
        names: Sequence[str],
        *,
        batch_size: int,
        num_workers: int | Literal["auto"] = "auto",
        decode_options: DecodeOptions = DecodeOptions(),
        progress: Callable[[int, int], None] | None = None,
        on_unreadable: Callable[[Unreadable], None] | None = None,
        on_changed: Callable[[Sequence[str]], None] | None = None,
    ) -> Iterator[tuple[int, PredictedBoxes]]:
        """Yield the row of each readable image and its boxes."""
        preprocess = self.facts.preprocess
        dataset = SizedDataset(images, transform=build_transform(preprocess), decode_options=decode_options)
        workers = choose_num_workers(num_workers, images=len(images))
        seen: set[int] = set()
        self.network.eval()
        for batch in create_loader(dataset, batch_size=batch_size, num_workers=workers):
            pixels = normalize(batch.image.contiguous().to(self.device), preprocess)
            with torch.inference_mode():
                boxes = self.network(pixels.to(memory_format=torch.channels_last)).double().cpu().numpy()
            for row, own, (height, width) in zip(batch.index.tolist(), boxes, batch.target.tolist(), strict=True):
                seen.add(row)
                there = own[own[:, 0] >= 0]
                box = in_own_pixels(there[:, 1:5], preprocess, height=height, width=width)
                shown = (box[:, 2:] > 0).all(axis=1)  # others lie in the border of a letterbox
                there, box = there[shown], box[shown]
                category, size = there[:, 0].astype(np.int64), (height, width)
                yield row, PredictedBoxes(names[row], self.facts.classes, category, box, there[:, 5], size)
            if progress is not None:
                progress(int(batch.index[-1]) + 1, len(images))
        if on_changed is not None:
            on_changed(dataset.changed)
        missing = [row for row in range(len(images)) if row not in seen]
        if missing and seen:
            logger.warning("%d of %d images could not be read; they have no boxes.", len(missing), len(images))
        for row in missing if on_unreadable is not None else ():
            failure = dataset[row]
            reason = failure.reason if isinstance(failure, Failure) else "it could not be read at the first attempt"
            assert on_unreadable is not None
            on_unreadable(Unreadable(row, names[row], reason))
        if not seen:
            what = f"None of the {len(images)} images can" if len(images) > 1 else "The image cannot"
            raise DataError(f"{what} be read; the log says why.")


def in_own_pixels(
    boxes: npt.NDArray[np.float64], preprocess: Preprocess, *, height: int, width: int
) -> npt.NDArray[np.float64]:
    """Return boxes of the network's input as left, top, width, height in pixels of the image, clipped to it.

    Args:
        boxes: left, top, right, bottom, shape (M, 4).
        preprocess: how the image became the input: as a letterbox or squashed.
        height: of the image, in pixels.
        width: of the image.
    """
    across, down, x, y = input_place(preprocess, height=height, width=width)
    own = (boxes - [x, y, x, y]) / [across, down, across, down]
    own = np.clip(own, 0, [width, height, width, height])
    return np.concatenate([own[:, :2], own[:, 2:] - own[:, :2]], axis=1)
