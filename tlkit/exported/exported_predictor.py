"""`ExportedPredictor`: predictions of an exported file, decoded and preprocessed as in training, without torch."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import numpy.typing as npt

from tlkit.arrays import Floats32
from tlkit.data.decode.decode_options import DecodeOptions
from tlkit.data.decode.decoding import UnreadableImageError, open_rgb
from tlkit.data.decode.resizing import reduction, resize_image
from tlkit.data.num_workers import available_cores
from tlkit.data.sources.given_images import EncodedImage, GivenImages, read_images
from tlkit.data.sources.read_bytes import read_bytes
from tlkit.errors import DataError, ModelError, first_few, other_task
from tlkit.exported.facts import ExportedFacts
from tlkit.exported.model import ExportedModel, open_exported
from tlkit.notebook_progress import with_notebook_bar
from tlkit.predictions.unreadable import Unreadable

if TYPE_CHECKING:
    from tlkit.predictions import Predictions

logger = logging.getLogger(__name__)

ANSWERED = "answered"
"""Group column of a file that states when its model abstains: "yes" or "no"."""
IMAGES_PER_WORKER = 16
"""Images that are queued for each worker, and results that are held before progress is reported."""

Answer = TypeVar("Answer")


class ExportedPredictor:
    """An exported file that predicts images. Each image goes through the network alone, on one thread.

    So its probabilities are the same, to the bit, whatever else is predicted with it: in one call, in another, or by
    `tlkit serve`. Several images are predicted at the same time, one by each worker.

    Args:
        model: the file, opened with `threads=1`.
        workers: images that are predicted at the same time; 0 = one per core.
        max_pixels: images of more pixels are refused before they are decoded; None = as the file states.

    Attributes:
        model: the file.
        workers: images that are predicted at the same time.
        turn: held while the file runs, where only one thread may run it at a time.
    """

    def __init__(self, model: ExportedModel, *, workers: int = 0, max_pixels: int | None = None) -> None:
        facts = model.facts
        self.model = model
        self.workers = (workers or available_cores()) if model.is_concurrent else 1
        self.turn: AbstractContextManager[object] = nullcontext() if model.is_concurrent else threading.Lock()
        limit = facts.max_pixels if max_pixels is None else min(max_pixels, facts.max_pixels)
        self._options = DecodeOptions(max_pixels=limit, background=facts.preprocess.background)

    def __repr__(self) -> str:
        return f"ExportedPredictor({self.model.path}, {len(self.classes)} classes, {self.model.engine})"

    @property
    def facts(self) -> ExportedFacts:
        """What the file states about itself."""
        return self.model.facts

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, in the order of the probabilities."""
        return self.model.facts.classes

    @with_notebook_bar("predicting images")
    def predict(
        self,
        images: GivenImages,
        *,
        progress: Callable[[int, int], None] | None = None,
        on_unreadable: Callable[[Unreadable], None] | None = None,
    ) -> Predictions:
        """Return predictions of one image or several, by the rules of `tlkit.inference.Predictor.predict`.

        Args:
            images: one image or an iterable of images, each a path, a folder, a tar file, a Pillow image, a uint8
                array, the bytes of a file, or a file opened with "rb".
            progress: called with (images predicted, images in all) now and then.
            on_unreadable: called with the place, the path and the reason of each image that could not be read.

        Returns:
            One row per readable image, without labels. `path` of an image in memory is its place: "images[3]". Where
            the file states when the model abstains, the column `answered` says whether it does not.

        Raises:
            DataError: an image is of another kind, a path does not exist, a folder holds no image, or no image can be
                read.

        Example:
            >>> tlkit.load_model("model.onnx").predict("bee.jpg").proba.shape  # doctest: +SKIP
            (1, 2)
        """
        return self.table_of(*self.scores(images, progress=progress, on_unreadable=on_unreadable))

    def scores(
        self,
        images: GivenImages,
        *,
        progress: Callable[[int, int], None] | None = None,
        on_unreadable: Callable[[Unreadable], None] | None = None,
    ) -> tuple[list[str], Floats32]:
        """Return the paths of the N readable images and their probabilities (N, C), without loading pandas.

        Arguments as for `predict`.

        Raises:
            DataError: as by `predict`.
            ModelError: the network gives no numbers for an image.
        """
        files = read_images(images, background=self.facts.preprocess.background)
        rows, proba = self.scores_of_files(files, progress=progress, on_unreadable=on_unreadable)
        return [os.fspath(files[row]) for row in rows], proba

    def scores_of_files(
        self,
        files: Sequence[Path | EncodedImage],
        *,
        progress: Callable[[int, int], None] | None = None,
        on_unreadable: Callable[[Unreadable], None] | None = None,
    ) -> tuple[list[int], Floats32]:
        """Return the places of the readable files and their probabilities (N, C); a file that is gone is unreadable.

        Raises:
            DataError: no file can be read.
            ModelError: as by `scores`.
        """
        found: list[Floats32] = []
        rows: list[int] = []
        for row, proba_of in self.readable(files, self._answer, progress=progress, on_unreadable=on_unreadable):
            found.append(proba_of)
            rows.append(row)
        proba = np.stack(found)
        wrong = np.flatnonzero(~np.isfinite(proba).all(axis=1)).tolist()
        if wrong:
            named = first_few([os.fspath(files[rows[place]]) for place in wrong])
            raise ModelError(
                f"{self.model.path} gives probabilities that are no numbers for {len(wrong)} of {len(rows)} images: "
                f"{named}. Export the run again, and look at tlkit verify."
            )
        return rows, proba

    def readable(
        self,
        files: Sequence[Path | EncodedImage],
        answer: Callable[[bytes, str], Answer],
        *,
        progress: Callable[[int, int], None] | None = None,
        on_unreadable: Callable[[Unreadable], None] | None = None,
        queued: int = IMAGES_PER_WORKER,
    ) -> Iterator[tuple[int, Answer]]:
        """Yield the place of each readable image and the answer to it; arguments as for `outcomes` and `predict`.

        Raises:
            DataError: no image can be read.
        """
        readable = 0
        for row, outcome in enumerate(self.outcomes(files, answer, progress, queued=queued)):
            if isinstance(outcome, UnreadableImageError):
                logger.warning("%s cannot be read (%s); it is skipped.", os.fspath(files[row]), outcome.reason)
                if on_unreadable is not None:
                    on_unreadable(Unreadable(row, os.fspath(files[row]), outcome.reason))
            else:
                readable += 1
                yield row, outcome
        if not readable:
            what = f"None of the {len(files)} images can" if len(files) > 1 else "The image cannot"
            raise DataError(f"{what} be read; the log says why.")

    def _answer(self, content: bytes, name: str) -> Floats32:
        return self.probabilities_of(content, name=name)

    def table_of(self, paths: Sequence[str], proba: Floats32) -> Predictions:
        """Return probabilities (N, C) as predictions, with the column `answered` where the model may abstain."""
        import pandas as pd

        from tlkit.predictions import Predictions

        groups = pd.DataFrame(self.answers(proba), dtype="string") if self.facts.answer_above is not None else None
        return Predictions.build(classes=self.classes, path=paths, proba=proba, groups=groups)

    def answers(self, proba: Floats32) -> dict[str, list[str]]:
        """Return the column `answered` ("yes", "no") for probabilities (N, C); none where the model never abstains."""
        if self.facts.answer_above is None:
            return {}
        return {ANSWERED: ["yes" if self.is_answered(row) else "no" for row in proba]}

    def is_answered(self, proba: Floats32) -> bool:
        """Return whether the model answers an image with these probabilities (C,), or abstains."""
        limit = self.facts.answer_above
        return limit is None or float(proba.max()) > limit

    def probabilities_of(self, content: bytes, *, name: str = "") -> Floats32:
        """Return the probabilities (C,) of the content of an image file.

        Args:
            content: the bytes.
            name: of the file, for messages.

        Raises:
            UnreadableImageError: it is damaged, too large or no image.
        """
        pixels, _ = self.pixels_of(content, name=name)
        with self.turn:
            proba: Floats32 = self.model.probabilities(pixels[None])[0]
        return proba

    def pixels_of(self, content: bytes, *, name: str = "") -> tuple[npt.NDArray[np.uint8], tuple[int, int]]:
        """Return what the file takes of an image, uint8 (H, W, 3), and height and width of the image itself.

        Arguments and errors as for `probabilities_of`.
        """
        facts = self.facts
        if facts.kind == "network":
            scale = partial(reduction, preprocess=facts.preprocess)
            image, seen = open_rgb(content, self._options, reduction=scale, name=name)
            return np.asarray(resize_image(image, facts.preprocess, seen.frame)), seen.size
        pixels = np.asarray(open_rgb(content, self._options, name=name)[0])
        return pixels, (pixels.shape[0], pixels.shape[1])

    def outcomes(
        self,
        files: Sequence[Path | EncodedImage],
        answer: Callable[[bytes, str], Answer],
        progress: Callable[[int, int], None] | None,
        *,
        queued: int = IMAGES_PER_WORKER,
    ) -> Iterator[Answer | UnreadableImageError]:
        """Yield the answer to each image, or why it cannot be read, in order.

        Args:
            files: the images.
            answer: from the bytes of an image and its name, in a thread of its own.
            progress: called with (images answered, images in all).
            queued: images that wait for each worker.
        """
        share = self.workers * queued
        with ThreadPoolExecutor(self.workers, thread_name_prefix="predict") as pool:
            for start in range(0, len(files), share):
                yield from pool.map(partial(_outcome, answer), files[start : start + share])
                if progress is not None:
                    progress(min(start + share, len(files)), len(files))


def _outcome(answer: Callable[[bytes, str], Answer], image: Path | EncodedImage) -> Answer | UnreadableImageError:
    try:
        if isinstance(image, EncodedImage):
            if image.problem:
                return UnreadableImageError(image.name, image.problem)
            return answer(image.content, "")
        return answer(read_bytes(image), str(image))
    except UnreadableImageError as error:
        return error
    except OSError as error:
        return UnreadableImageError(os.fspath(image), error.strerror or str(error), is_gone=True)


def load_exported(path: str | Path, *, workers: int = 0, max_pixels: int | None = None) -> ExportedPredictor:
    """Return an exported file of one class for each image; arguments as for `ExportedPredictor`.

    Raises:
        ModelError: as by `open_exported`, or the file is of another task.
    """
    model = open_exported(path, threads=1)
    if model.facts.task != "multiclass":
        raise ModelError(other_task(str(path), model.facts.task))
    return ExportedPredictor(model, workers=workers, max_pixels=max_pixels)
