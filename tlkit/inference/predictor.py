"""`Predictor`: predictions of a stored model, decoded and preprocessed alike for a run's splits and for other files."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt
import torch

from tlkit.choices import BATCH_SIZE, PredictEngine, Views
from tlkit.data.augment.transforms import build_transform
from tlkit.data.augment.tta_views import array_views_of, tta_preprocess, views_of
from tlkit.data.decode.decode_options import DecodeOptions
from tlkit.data.loading.batch import Failure, normalize
from tlkit.data.loading.dataset import ImageDataset, create_loader
from tlkit.data.loading.prefetch import prefetch
from tlkit.data.num_workers import choose_num_workers
from tlkit.data.sources.given_images import GivenImages, ImageSource, read_images
from tlkit.errors import DataError, did_you_mean, first_few
from tlkit.features.activations import Activations
from tlkit.features.engines.torch_engine import Engine
from tlkit.features.features import Features
from tlkit.inference.concurrent_runs import filled, run_concurrently, runs_concurrently
from tlkit.inference.devices import choose_device
from tlkit.inference.prediction_engine import PredictionEngines, head_probabilities, require_engine
from tlkit.inference.stored_model import load_stored
from tlkit.models.cuts import POOLED, Cut
from tlkit.models.model_files import ModelFacts
from tlkit.models.network import Network
from tlkit.notebook_progress import with_notebook_bar
from tlkit.predictions import Predictions, Unreadable
from tlkit.runs import find_model, folder_of_run
from tlkit.samples import Samples

logger = logging.getLogger(__name__)

ROWS = 4096
"""Batch size of features on their way through the head."""
BATCH_OF_ACTIVATIONS = 32
"""Batch size of activations on their way through the suffix."""


class Predictor:
    """A network that predicts image files, in float32 and with the preprocessing it was trained with.

    Attributes:
        network: the network, in evaluation mode.
        facts: its classes, preprocessing and origin.
        device: where it runs, such as "cpu".
        columns: group columns of its predictions: none.

    Example:
        >>> from tlkit import load_model
        >>> model = load_model("runs/pets", device="cpu")
        >>> model.facts.classes, model.device
        (('cat', 'dog'), 'cpu')
    """

    columns: tuple[str, ...] = ()

    def __init__(self, network: Network, facts: ModelFacts, *, device: str = "cpu") -> None:
        self.network = network.to(device).to(memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
        self.facts = facts
        self.device = device
        self._engines = PredictionEngines(self.network, facts.preprocess, device=device)

    def __repr__(self) -> str:
        return f"Predictor({self.facts.architecture}, {len(self.facts.classes)} classes, {self.device})"

    @with_notebook_bar("predicting images")
    def predict(
        self,
        images: GivenImages,
        *,
        batch_size: int = BATCH_SIZE,
        tta: Views = "none",
        engine: PredictEngine = "auto",
        progress: Callable[[int, int], None] | None = None,
        on_unreadable: Callable[[Unreadable], None] | None = None,
    ) -> Predictions:
        """Return predictions of one image or several: files, folders of them, or images in memory.

        All are decoded by the same rules: EXIF orientation is applied, of Pillow images too; transparent pixels are
        composited on the background of the training. So bytes, open files and Pillow images that are not decoded yet
        give the probabilities of their file, to the bit. Arrays and decoded Pillow images give those of a file that
        stores these pixels without loss; they differ a little from those of a large JPEG, which is decoded at a reduced
        scale (see `Preprocess.decode`).

        Args:
            images: one image or an iterable of images, each a path; a folder, which is searched for images at any
                depth; a tar file; a Pillow image; a uint8 array of shape (H, W), (H, W, 3) for RGB or (H, W, 4) for
                RGBA; the bytes of a file; or a file opened with "rb". The name of a file counts once.
            batch_size: images per forward pass of torch and OpenVINO. ONNX Runtime takes 8 images in each of several
                threads, whatever the size.
            tta: test-time augmentation: "none", "flip" (the image and its mirror image) or "ten_crop" (corners and
                center, and their mirror images); the probabilities of the views are averaged. None of it is random.
            engine: what runs the backbone: "torch", "onnxruntime", "openvino" or "auto". Auto takes ONNX Runtime on a
                CPU for 512 images and more, where its probabilities differ by at most 1e-4 from those of torch on the
                first images; else torch, whose probabilities are those of a run's own predictions. The check runs
                once, and the engine is kept: make another predictor where the network has changed.
            progress: called with (images predicted, images in all) after each batch.
            on_unreadable: called with the place, the path and the reason of each image that could not be read.

        Returns:
            One row per readable image, without labels; one row for one image. `path` of an image in memory is its
            place: "images[3]", or "image" for one alone. Unreadable images are named in the log and left out.

        Raises:
            DataError: an image is of another kind, a path does not exist, a folder holds no image, no image can be
                read, there is no such `tta` or `engine`, or the engine cannot run this network.
            MissingExtraError: the engine's package is not installed; the message has its pip line.

        Example:
            >>> model = load_predictor("runs/pets", device="cpu")
            >>> model.predict("photos/cat/00.png").proba.shape
            (1, 2)
        """
        files = read_images(images, background=self.facts.preprocess.background)
        proba, index = self.scores_of(
            files,
            batch_size=batch_size,
            num_workers="auto",
            decode_options=DecodeOptions(),
            tta=tta,
            engine=engine,
            progress=progress,
            on_unreadable=on_unreadable,
        )
        names = np.array([os.fspath(file) for file in files])[index]
        return Predictions.build(classes=self.facts.classes, path=names, proba=proba, tta=tta)

    def predict_samples(
        self,
        samples: Samples,
        *,
        batch_size: int = BATCH_SIZE,
        num_workers: int | Literal["auto"] = "auto",
        decode_options: DecodeOptions = DecodeOptions(),
        tta: Views = "none",
        on_changed: Callable[[Sequence[str]], None] | None = None,
    ) -> Predictions:
        """Return predictions of labelled samples, whose classes are matched by name; `tta` is that of `predict`.

        These are the predictions that a run stores and judges: torch computes them, however many they are.

        `on_changed` is called with the paths of images whose content is not that of the samples' digest.

        Raises:
            DataError: a class of the samples is unknown to the model.
        """
        self.require_known(samples)
        proba, index = self.scores_of(
            samples,
            batch_size=batch_size,
            num_workers=num_workers,
            decode_options=decode_options,
            tta=tta,
            on_changed=on_changed,
        )
        return self.labelled(samples, proba, index, tta=tta)

    def predict_features(
        self, features: Features | Activations, samples: Samples, *, cut: Cut | None = None
    ) -> Predictions:
        """Return predictions of labelled samples from features of this model's backbone; those without are left out.

        Args:
            features: the features, or the activations after a module that has not changed since.
            samples: the images.
            cut: where activations come from; None, or the cut after the whole backbone, for features.

        Raises:
            DataError: a class of the samples is unknown to the model, or none of them has features.
        """
        self.require_known(samples)
        proba, index = self.scores_of_features(features, samples, cut=cut)
        return self.labelled(samples, proba, index)

    def scores_of_features(
        self, features: Features | Activations, samples: Samples, *, cut: Cut | None = None
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
        """Return what the network says of samples (M, C) from their features, and their rows (M,).

        Raises:
            DataError: none of the samples has features.
        """
        index = features.rows_in(samples.paths)
        if not len(index):
            raise DataError(f"None of the {len(samples)} images has features; the log names them with the reasons.")
        row_of = {path: row for row, path in enumerate(features.path.tolist())}
        rows = np.array([row_of[path] for path in samples.paths[index].tolist()], dtype=np.int64)
        inside = cut is not None and cut.after != POOLED
        size = BATCH_OF_ACTIVATIONS if inside else ROWS
        proba = []
        self.network.eval()
        with torch.inference_mode():
            for at in range(0, len(rows), size):
                x = torch.from_numpy(features.values(rows[at : at + size])).clone().to(self.device)
                at_cut = (cut.restore(x), cut.after) if cut is not None and inside else (x, "")
                proba.append(self.network.scores(*at_cut).cpu().numpy())
        return np.concatenate(proba), index

    def require_known(self, samples: Samples) -> None:
        """Check that the model knows every class of the samples.

        Raises:
            DataError: it does not; the message names the classes.
        """
        unknown = [name for name in samples.classes if name not in self.facts.classes]
        if unknown:
            raise DataError(
                f"The model does not know {len(unknown)} of the classes: {first_few(unknown)}. "
                f"It knows {first_few(self.facts.classes)}."
            )

    def labelled(
        self, samples: Samples, proba: npt.NDArray[np.float32], index: npt.NDArray[np.int64], *, tta: Views = "none"
    ) -> Predictions:
        """Return the predictions of some rows (M,) of labelled samples, from their probabilities (M, C)."""
        return Predictions.build(
            classes=self.facts.classes,
            path=samples.paths[index],
            y_true=samples.table["label"].to_numpy()[index],
            proba=proba,
            groups=samples.groups.iloc[index].reset_index(drop=True),
            tta=tta,
            verbatim=True,
        )

    def scores_of(
        self,
        images: Samples | Sequence[ImageSource],
        *,
        batch_size: int,
        num_workers: int | Literal["auto"],
        decode_options: DecodeOptions,
        tta: Views,
        engine: PredictEngine = "torch",
        progress: Callable[[int, int], None] | None = None,
        on_unreadable: Callable[[Unreadable], None] | None = None,
        on_changed: Callable[[Sequence[str]], None] | None = None,
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
        """Return what the network says of the readable images, such as the softmax (M, C), and their rows (M,).

        It is averaged over the views of an image; the arguments are those of `predict`.

        Raises:
            DataError: there is no such `tta` or `engine`, or no image can be read.
        """
        if tta not in get_args(Views):
            raise DataError(
                f"There is no test-time augmentation {tta!r}. There are {', '.join(get_args(Views))}."
                f"{did_you_mean(str(tta), get_args(Views))}"
            )
        require_engine(engine)
        preprocess = self.facts.preprocess
        picture = tta_preprocess(preprocess, tta)
        dataset = ImageDataset(images, transform=build_transform(picture), decode_options=decode_options)
        proba, index = [], []
        self.network.eval()
        graph = self._engines.of(engine, dataset, images=len(images), batch_size=batch_size, tta=tta)
        if graph is not None and num_workers == "auto":
            num_workers = 0  # threads of this process decode, between the runs of the engine or beside them
        workers = choose_num_workers(num_workers, images=len(images))
        for found, at in self._answers(dataset, graph, batch_size=batch_size, workers=workers, tta=tta):
            proba.append(found)
            index.append(at)
            if progress is not None:
                progress(int(index[-1][-1]) + 1, len(images))
        if on_changed is not None:
            on_changed(dataset.changed)
        rows = np.concatenate(index) if index else np.zeros(0, dtype=np.int64)
        missing = np.setdiff1d(np.arange(len(images)), rows).tolist()
        if missing and index:
            logger.warning("%d of %d images could not be read; they have no prediction.", len(missing), len(images))
        if on_unreadable is not None:
            for row in missing:
                failure = dataset[row]  # read again: its batch, perhaps of another process, has lost the reason
                reason = failure.reason if isinstance(failure, Failure) else "it could not be read at the first attempt"
                on_unreadable(Unreadable(row, dataset.path_and_target(row)[0], reason))
        if not index:
            what = f"None of the {len(images)} images can" if len(images) > 1 else "The image cannot"
            raise DataError(f"{what} be read; the log says why.")
        return np.concatenate(proba), rows

    def engine_for(
        self, images: GivenImages, *, count: int, batch_size: int = BATCH_SIZE, tta: Views = "none"
    ) -> PredictEngine:
        """Return the engine that `auto` takes for `count` images, checked on the first of these.

        With it, the parts of a prediction are predicted by one engine, as they would be together.

        Raises:
            DataError: an image is of another kind or does not exist.
        """
        files = read_images(images, background=self.facts.preprocess.background)
        picture = tta_preprocess(self.facts.preprocess, tta)
        dataset = ImageDataset(files, transform=build_transform(picture), quiet=True)
        self.network.eval()
        graph = self._engines.of("auto", dataset, images=count, batch_size=batch_size, tta=tta)
        return "torch" if graph is None else "onnxruntime"

    def _answers(
        self, dataset: ImageDataset, engine: Engine | None, *, batch_size: int, workers: int, tta: Views
    ) -> Iterator[tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]]:
        """Yield the network's answers (B, C) to some images and their rows (B,); without an engine, torch runs it."""
        size = self.facts.preprocess.image_size
        if engine is not None and runs_concurrently(engine, dataset):
            for run in run_concurrently(engine, dataset, views=partial(array_views_of, views=tta, size=size)):
                yield (
                    _mean([head_probabilities(self.network, features) for features in run.features])[run.places],
                    run.rows,
                )
            return
        loader = create_loader(dataset, batch_size=batch_size, num_workers=workers)
        for batch in loader if engine is None or workers else prefetch(loader):
            if engine is None:
                found = self._torch_answers(batch.image, tta)
            else:
                pictures = filled(batch.image, batch_size)
                views = views_of(pictures, tta, size=size)
                seen = [head_probabilities(self.network, engine(view.contiguous())) for view in views]
                found = _mean(seen)[: len(batch.image)]
            yield found, batch.index.numpy()

    def _torch_answers(self, image: torch.Tensor, tta: Views) -> npt.NDArray[np.float32]:
        """Return what the network says (B, C) of pictures, uint8 (B, 3, H, W), in torch, averaged over their views."""
        preprocess = self.facts.preprocess
        with torch.inference_mode():
            pictures = normalize(image.to(self.device), preprocess)
            views = [
                self.network.scores(view.contiguous()) for view in views_of(pictures, tta, size=preprocess.image_size)
            ]
            proba: npt.NDArray[np.float32] = (torch.stack(views).mean(0) if len(views) > 1 else views[0]).cpu().numpy()
        return proba


def _mean(views: list[npt.NDArray[np.float32]]) -> npt.NDArray[np.float32]:
    """Return the mean (B, C) over views of what a network says, each (B, C)."""
    return np.mean(views, axis=0, dtype=np.float32) if len(views) > 1 else views[0]


def load_predictor(run: str | Path | object, *, device: str = "auto") -> Predictor:
    """Return the model of a run for prediction; nothing in its files can run code.

    Args:
        run: a run, its directory, or the folder with `model.safetensors` and `model.json` itself.
        device: auto, cpu, cuda or mps.

    Raises:
        ModelError: there is no stored model, or it does not fit this timm.
        RunError: there is no run at the path.
    """
    network, facts = load_stored(find_model(folder_of_run(run)))
    return Predictor(network, facts, device=choose_device(device, key="device"))
