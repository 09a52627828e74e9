"""`TaskPredictor`: predictions of a stored model of several labels, grades or numbers."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch

from tlkit.choices import BATCH_SIZE, PredictEngine, Views
from tlkit.data.decode.decode_options import DecodeOptions
from tlkit.data.sources.given_images import GivenImages, read_images
from tlkit.errors import DataError, ModelError
from tlkit.features.activations import Activations
from tlkit.features.features import Features
from tlkit.inference.box_predictor import BoxPredictor
from tlkit.inference.devices import choose_device
from tlkit.inference.mask_predictor import MaskPredictor
from tlkit.inference.predictor import Predictor, load_predictor
from tlkit.inference.stored_model import load_any_task
from tlkit.models.cuts import Cut
from tlkit.models.model_files import REMEDY, ModelFacts
from tlkit.models.model_format import FACTS_FILE
from tlkit.models.network import Network
from tlkit.notebook_progress import with_notebook_bar
from tlkit.predictions import MultilabelPredictions, NumberPredictions, Unreadable
from tlkit.predictions.task_predictions import RowPredictions
from tlkit.runs import find_model, folder_of_run
from tlkit.samples import Samples, target_numbers
from tlkit.stored_values import damaged
from tlkit.uncertainty.stored_rule import StoredRule


class TaskPredictor:
    """A network that predicts several labels, grades or numbers, with the rule that was chosen on val.

    Images are decoded and preprocessed as `Predictor` does.

    Attributes:
        network: the network, in evaluation mode.
        facts: its labels or grades, preprocessing, origin and rule.
        device: where it runs, such as "cpu".

    Example:
        >>> from tlkit import Classifier
        >>> trained = Classifier("test_resnet", classes=["cat", "dog"], weights="none", task="multilabel")
        >>> model = TaskPredictor(trained.plain_network(), trained.facts())
        >>> model.predict("photos/cat/00.png").proba.shape
        (1, 2)
    """

    def __init__(self, network: Network, facts: ModelFacts, *, device: str = "cpu") -> None:
        """Take a network and its facts.

        Raises:
            ModelError: the rule in the facts cannot be used.
        """
        with damaged(Path(FACTS_FILE), error=ModelError, remedy=REMEDY):
            StoredRule.of(facts.rule, facts.classes)
        self._images = Predictor(network, facts, device=device)
        self.network, self.facts, self.device = self._images.network, facts, device

    def __repr__(self) -> str:
        return f"TaskPredictor({self.facts.architecture}, {self.facts.task}, {self.device})"

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
    ) -> RowPredictions:
        """Return predictions of images, as `Predictor.predict` does; its arguments are the same.

        Labels are predicted from the thresholds on that val chose, and numbers have the intervals that val calibrated,
        where the run had val images.

        Raises:
            DataError: an image is of another kind, a path does not exist, or no image can be read.
        """
        files = read_images(images, background=self.facts.preprocess.background)
        scores, index = self._images.scores_of(
            files,
            batch_size=batch_size,
            num_workers="auto",
            decode_options=DecodeOptions(),
            tta=tta,
            engine=engine,
            progress=progress,
            on_unreadable=on_unreadable,
        )
        return self.table(np.array([os.fspath(file) for file in files])[index], scores)

    def predict_samples(
        self,
        samples: Samples,
        *,
        batch_size: int = BATCH_SIZE,
        num_workers: int | Literal["auto"] = "auto",
        decode_options: DecodeOptions = DecodeOptions(),
        tta: Views = "none",
        on_changed: Callable[[Sequence[str]], None] | None = None,
    ) -> RowPredictions:
        """Return predictions of labelled samples from their pixels, as `Predictor.predict_samples` does."""
        self._images.require_known(samples)
        scores, index = self._images.scores_of(
            samples,
            batch_size=batch_size,
            num_workers=num_workers,
            decode_options=decode_options,
            tta=tta,
            on_changed=on_changed,
        )
        return self.table(samples.paths[index], scores, samples.take(index))

    def predict_features(
        self, features: Features | Activations, samples: Samples, *, cut: Cut | None = None
    ) -> RowPredictions:
        """Return predictions of labelled samples from features, as `Predictor.predict_features` does."""
        self._images.require_known(samples)
        scores, index = self._images.scores_of_features(features, samples, cut=cut)
        return self.table(samples.paths[index], scores, samples.take(index))

    def table(
        self, path: npt.NDArray[np.str_], scores: npt.NDArray[np.float32], samples: Samples | None = None
    ) -> RowPredictions:
        """Return the table of predictions of images.

        Args:
            path: their paths, shape (M,).
            scores: what the network says of each, as `Network.scores` gives it.
            samples: the same images with their labels and groups; None = unlabelled.

        Raises:
            DataError: the samples have other labels or grades than the model.
        """
        groups = None if samples is None else samples.groups
        if samples is not None and samples.task != self.facts.task:
            raise DataError(f"The model is of the task {self.facts.task}, but the images are of {samples.task}.")
        if self.facts.task == "multilabel":
            labels = MultilabelPredictions.build(
                labels=self.facts.classes,
                path=path,
                y_true=None if samples is None else target_numbers(samples, self.facts.classes),
                proba=scores,
                groups=groups,
                verbatim=True,
            )
            return self.with_rule(labels)
        lower, upper = (None, None) if self.facts.quantiles is None else (scores[:, 1], scores[:, 2])
        found = NumberPredictions.build(
            path=path,
            y_true=None if samples is None else target_numbers(samples, self.facts.classes),
            y_pred=self.network.task.predicted(torch.from_numpy(scores)).numpy().astype(np.float64),
            lower=lower,
            upper=upper,
            grades=self.facts.classes,
            groups=groups,
            verbatim=True,
        )
        return self.with_rule(found)

    def with_rule(self, predictions: RowPredictions) -> RowPredictions:
        """Return predictions by the thresholds or with the intervals of the model; unchanged where val chose none."""
        rule = StoredRule.of(self.facts.rule, self.facts.classes)
        if isinstance(predictions, MultilabelPredictions):
            return predictions if rule.thresholds is None else rule.thresholds.apply(predictions)
        return predictions if rule.intervals is None else rule.intervals.apply(predictions)


def task_predictor(
    network: Network, facts: ModelFacts, *, device: str = "cpu", folder: Path | None = None
) -> TaskPredictor | MaskPredictor | BoxPredictor:
    """Return what predicts with a network of another task than one class for each image.

    Args:
        network: the network.
        facts: its facts.
        device: where it runs.
        folder: where the masks of samples are written; None = nowhere.
    """
    if facts.task == "segmentation":
        return MaskPredictor(network, facts, device=device, folder=folder)
    if facts.task == "detection":
        return BoxPredictor(network, facts, device=device)
    return TaskPredictor(network, facts, device=device)


def load_task_model(
    run: str | Path | object, *, device: str = "auto"
) -> Predictor | TaskPredictor | MaskPredictor | BoxPredictor:
    """Return the model of a run for prediction, of whichever task; nothing in its files can run code.

    Args:
        run: a run, its directory, or the folder with `model.safetensors` and `model.json` itself.
        device: auto, cpu, cuda or mps.

    Raises:
        ModelError: there is no stored model, or it does not fit this timm.
        RunError: there is no run at the path.
    """
    folder = find_model(folder_of_run(run))
    network, facts = load_any_task(folder)
    if facts.task == "multiclass":
        return load_predictor(folder, device=device)
    return task_predictor(network, facts, device=choose_device(device, key="device"))
