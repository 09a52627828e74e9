"""`MaskPredictor`: masks of a stored model of segmentation, each in the size of its image."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Literal

import numpy as np
import torch
from torch.nn import functional

from tlkit.choices import BATCH_SIZE, PredictEngine, Views
from tlkit.data.augment.transforms import build_transform
from tlkit.data.decode.decode_options import DecodeOptions
from tlkit.data.decode.resizing import letterbox_place
from tlkit.data.loading.batch import Failure, normalize
from tlkit.data.loading.dataset import create_loader
from tlkit.data.loading.mask_dataset import SizedDataset
from tlkit.data.num_workers import choose_num_workers
from tlkit.data.sources.given_images import GivenImages, ImageSource, read_images
from tlkit.data.sources.true_masks import true_positions
from tlkit.errors import DataError, first_few
from tlkit.mask_files import Positions, PredictedMask
from tlkit.models.mask_decoder import DecoderFacts
from tlkit.models.model_files import ModelFacts
from tlkit.models.network import Network
from tlkit.notebook_progress import with_notebook_bar
from tlkit.predictions import MaskPredictions, Unreadable
from tlkit.predictions.mask_predictions import confusion_of
from tlkit.preprocess import Preprocess
from tlkit.samples import PATH, Samples

logger = logging.getLogger(__name__)


class MaskPredictor:
    """A network that predicts the class of each pixel.

    Images are decoded as in training. Logits are scaled to the size of each image (bilinear), then the most probable
    class of each pixel is taken.

    Attributes:
        network: the network, in evaluation mode.
        facts: its classes, preprocessing, decoder and origin.
        device: where it runs, such as "cpu".
        classes: the classes of pixels, with their numbers in files.
        folder: where `predict_samples` writes each mask, at the path of its image; None = nowhere.

    Example:
        >>> from tlkit import Classifier
        >>> trained = Classifier("test_resnet", classes=["background", "cat"], weights="none", task="segmentation")
        >>> model = MaskPredictor(trained.plain_network(), trained.facts())
        >>> [(mask.positions.shape, mask.numbers.dtype) for mask in model.predict("photos/cat/00.png")]
        [((40, 40), dtype('uint8'))]
    """

    def __init__(self, network: Network, facts: ModelFacts, *, device: str = "cpu", folder: Path | None = None) -> None:
        self.network = network.to(device).to(memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
        self.facts, self.device, self.folder = facts, device, folder
        self.classes = DecoderFacts.from_dict(facts.decoder).classes(facts.classes)

    def __repr__(self) -> str:
        return f"MaskPredictor({self.facts.architecture}, {len(self.facts.classes)} classes, {self.device})"

    @with_notebook_bar("predicting masks")
    def predict(
        self,
        images: GivenImages,
        *,
        batch_size: int = BATCH_SIZE,
        tta: Views = "none",
        engine: PredictEngine = "auto",
        progress: Callable[[int, int], None] | None = None,
        on_unreadable: Callable[[Unreadable], None] | None = None,
    ) -> tuple[PredictedMask, ...]:
        """Return the mask of each readable image; the arguments are those of `Predictor.predict`.

        All masks are in memory; `masks_of` yields them one by one.

        Raises:
            DataError: an image is of another kind, a path does not exist, no image can be read, or `tta` or `engine` is
                not for masks.
        """
        return tuple(
            self.masks_of(
                images, batch_size=batch_size, tta=tta, engine=engine, progress=progress, on_unreadable=on_unreadable
            )
        )

    def masks_of(
        self,
        images: GivenImages,
        *,
        batch_size: int = BATCH_SIZE,
        tta: Views = "none",
        engine: PredictEngine = "auto",
        progress: Callable[[int, int], None] | None = None,
        on_unreadable: Callable[[Unreadable], None] | None = None,
    ) -> Iterator[PredictedMask]:
        """Yield the mask of each readable image, as `predict` does."""
        if tta != "none" or engine not in ("auto", "torch"):
            given = f"tta {tta!r}" if tta != "none" else f"engine {engine!r}"
            raise DataError(f"The {given} is not for masks, which torch predicts from the whole image. Leave it out.")
        files = read_images(images, background=self.facts.preprocess.background)
        names = [os.fspath(file) for file in files]
        rows = self._rows(
            files,
            batch_size=batch_size,
            num_workers="auto",
            decode_options=DecodeOptions(),
            progress=progress,
            on_unreadable=on_unreadable,
        )
        for row, positions in rows:
            yield PredictedMask(names[row], self.classes, positions)

    def predict_samples(
        self,
        samples: Samples,
        *,
        batch_size: int = BATCH_SIZE,
        num_workers: int | Literal["auto"] = "auto",
        decode_options: DecodeOptions = DecodeOptions(),
        tta: Views = "none",
        on_changed: Callable[[Sequence[str]], None] | None = None,
    ) -> MaskPredictions:
        """Return the predicted masks of samples beside their true ones, as counts of pixels.

        Raises:
            DataError: the samples have other classes than the model, a true mask cannot be used, or no image can be
                read.
        """
        assert tta == "none", "the recipe's checks refuse other views"
        self._require_classes(samples)
        kept: list[int] = []

        def pairs() -> Iterator[tuple[Positions, Positions]]:
            rows = self._rows(
                samples,
                batch_size=batch_size,
                num_workers=num_workers,
                decode_options=decode_options,
                on_changed=on_changed,
            )
            for row, positions in rows:
                path = samples.table[PATH].iloc[row]
                true = true_positions(samples, row, (positions.shape[0], positions.shape[1]))
                if self.folder is not None:
                    file = self.folder / PurePosixPath(path).with_suffix(".png")
                    PredictedMask(path, self.classes, positions).save(file)
                kept.append(row)
                yield true, positions

        cells = [confusion_of(true, predicted, len(self.classes)) for true, predicted in pairs()]
        found = samples.take(kept)
        return MaskPredictions.of_cells(
            classes=self.facts.classes, path=found.paths, cells=cells, groups=found.groups, verbatim=True
        )

    def with_rule(self, predictions: MaskPredictions) -> MaskPredictions:
        """Return the predictions as they are: val chooses nothing for masks."""
        return predictions

    def _require_classes(self, samples: Samples) -> None:
        if samples.classes != self.facts.classes:
            raise DataError(
                f"The model's classes are {first_few(self.facts.classes)}, in this order, but those of the masks are "
                f"{first_few(samples.classes)}. Judge masks of the same classes."
            )

    def _rows(
        self,
        images: Samples | Sequence[ImageSource],
        *,
        batch_size: int,
        num_workers: int | Literal["auto"],
        decode_options: DecodeOptions,
        progress: Callable[[int, int], None] | None = None,
        on_unreadable: Callable[[Unreadable], None] | None = None,
        on_changed: Callable[[Sequence[str]], None] | None = None,
    ) -> Iterator[tuple[int, Positions]]:
        """Yield the row of each readable image, and its mask in its own size."""
        preprocess = self.facts.preprocess
        dataset = SizedDataset(images, transform=build_transform(preprocess), decode_options=decode_options)
        workers = choose_num_workers(num_workers, images=len(images))
        seen: set[int] = set()
        self.network.eval()
        for batch in create_loader(dataset, batch_size=batch_size, num_workers=workers):
            pixels = normalize(batch.image.contiguous().to(self.device), preprocess)
            with torch.inference_mode():
                logits = self.network(pixels.to(memory_format=torch.channels_last)).float()
            for row, own, (height, width) in zip(batch.index.tolist(), logits, batch.target.tolist(), strict=True):
                seen.add(row)
                yield row, in_own_size(own, preprocess, height=height, width=width)
            if progress is not None:
                progress(int(batch.index[-1]) + 1, len(images))
        if on_changed is not None:
            on_changed(dataset.changed)
        missing = [row for row in range(len(images)) if row not in seen]
        if missing and seen:
            logger.warning("%d of %d images could not be read; they have no mask.", len(missing), len(images))
        for row in missing if on_unreadable is not None else ():
            failure = dataset[row]
            reason = failure.reason if isinstance(failure, Failure) else "it could not be read at the first attempt"
            assert on_unreadable is not None
            on_unreadable(Unreadable(row, dataset.path_and_target(row)[0], reason))
        if not seen:
            what = f"None of the {len(images)} images can" if len(images) > 1 else "The image cannot"
            raise DataError(f"{what} be read; the log says why.")


def in_own_size(logits: torch.Tensor, preprocess: Preprocess, *, height: int, width: int) -> Positions:
    """Return the most probable class of each pixel of an image, int32 (H, W).

    Args:
        logits: of the network's input, shape (C, h, w).
        preprocess: how the image became that input: as a letterbox or squashed.
        height: of the image, in pixels.
        width: of the image.
    """
    best: torch.Tensor | None = None
    position = torch.zeros((height, width), dtype=torch.int32, device=logits.device)
    for number, scaled in enumerate(classes_in_own_size(logits, preprocess, height=height, width=width)):
        if best is None:
            best = scaled
            continue
        position = torch.where(scaled > best, number, position)
        best = torch.maximum(best, scaled)
    return np.asarray(position.cpu().numpy())


def classes_in_own_size(
    logits: torch.Tensor, preprocess: Preprocess, *, height: int, width: int
) -> Iterator[torch.Tensor]:
    """Yield the logits of one class after another in the size of the image, (H, W); all may not fit into memory.

    The arguments are those of `in_own_size`.
    """
    if preprocess.resize == "letterbox":
        top, left, tall, wide = letterbox_place(height, width, preprocess.image_size)
        logits = logits[:, top : top + tall, left : left + wide]
    for one in logits:
        yield functional.interpolate(one[None, None], size=(height, width), mode="bilinear", align_corners=False)[0, 0]
