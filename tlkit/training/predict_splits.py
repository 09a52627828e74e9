"""Predictions of the splits of a fit, from cached features or activations where there are any, and their files."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol, TypeVar

from tlkit.choices import Views
from tlkit.data.decode.decode_options import DecodeOptions
from tlkit.features.activations import Activations
from tlkit.features.features import Features
from tlkit.inference.recipe_features import CachedFeatures, predicted_splits
from tlkit.models.cuts import Cut
from tlkit.predictions import DetectionPredictions, Predictions
from tlkit.predictions.task_predictions import TaskPredictions
from tlkit.runs import RunDirectory
from tlkit.samples import Samples
from tlkit.training.prepare import Prepared

P_co = TypeVar("P_co", covariant=True)
ActivationsOf = Callable[[Samples], tuple[Features | Activations, Cut] | None]

logger = logging.getLogger(__name__)


class SamplesPredictor(Protocol[P_co]):
    """What predicts samples: `Predictor` or `TaskPredictor`."""

    def predict_features(self, features: Features | Activations, samples: Samples, *, cut: Cut | None = None) -> P_co:
        """Return predictions of samples from their features, or from activations at a cut."""

    def predict_samples(self, samples: Samples, *args: Any, **options: Any) -> P_co:
        """Return predictions of samples from their pixels."""


def split_samples(prepared: Prepared) -> Iterator[tuple[str, Samples]]:
    """Yield test and val, or train where there is neither, each with the columns that its predictions carry."""
    section, tta = prepared.recipe.data, prepared.recipe.evaluate.tta
    if tta != "none":
        logger.info("Test-time augmentation %s: each prediction is the mean over the views of its image.", tta)
    only_split = {section.group_by or ""} - {*section.groups}
    for split in predicted_splits(prepared.data.samples):
        yield split, prepared.data.samples.split(split).without_columns(only_split)


def predict_split(
    predictor: SamplesPredictor[P_co],
    prepared: Prepared,
    samples: Samples,
    *,
    features: CachedFeatures | None,
    activations: ActivationsOf | None,
    tta: Views,
) -> P_co:
    """Return the predictions for samples, from features or activations where there are any."""
    section = prepared.recipe.data
    if tta == "none" and features is not None:
        return predictor.predict_features(features.plain, samples)
    if tta == "none" and activations is not None and (found := activations(samples)) is not None:
        return predictor.predict_features(found[0], samples, cut=found[1])
    return predictor.predict_samples(
        samples,
        batch_size=section.batch_size,
        num_workers=section.num_workers,
        decode_options=DecodeOptions.of(section),
        tta=tta,
        on_changed=prepared.data.add_changed,
    )


def replace_predictions(directory: RunDirectory, predictions: Mapping[str, Predictions | TaskPredictions]) -> None:
    """Write the predictions, and delete the results that belong to earlier ones."""
    results = (directory.evaluation, directory.audit, directory.explanation, directory.slices, directory.neighbors)
    for path in (*results, directory.repair):
        path.unlink(missing_ok=True)
    for split, predicted in predictions.items():
        directory.predictions(split).parent.mkdir(exist_ok=True)
        predicted.to_parquet(directory.predictions(split))
        if isinstance(predicted, DetectionPredictions):
            for file, values in zip(directory.boxes(split), predicted.coco(), strict=True):
                directory.write_text(file, json.dumps(values, ensure_ascii=False, allow_nan=False) + "\n")
