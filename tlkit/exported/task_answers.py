"""Tables of predictions of an exported file of several labels, grades or numbers. Needs no torch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from tlkit.arrays import Floats32
from tlkit.data.sources.given_images import GivenImages
from tlkit.errors import DataError, first_few
from tlkit.evaluation.label_thresholds import LabelThresholds
from tlkit.exported.exported_predictor import ExportedPredictor
from tlkit.exported.facts import ExportedFacts
from tlkit.exported.mask_answers import ExportedMaskPredictor
from tlkit.exported.model import open_exported
from tlkit.notebook_progress import with_notebook_bar
from tlkit.predictions import MultilabelPredictions, NumberPredictions, Unreadable
from tlkit.predictions.multilabel_predictions import THRESHOLD
from tlkit.predictions.task_predictions import RowPredictions
from tlkit.samples import Samples, target_numbers
from tlkit.uncertainty.number_intervals import IntervalRule


def thresholds_of(facts: ExportedFacts) -> tuple[float, ...]:
    """Return from which probability on each label is predicted, in their order; 0.5 where val chose none."""
    if (stored := facts.rule.get("thresholds")) is None:
        return (THRESHOLD,) * len(facts.classes)
    values = LabelThresholds.from_dict(stored).values
    return tuple(float(values[name]) for name in facts.classes)


def margin_of(facts: ExportedFacts) -> float | None:
    """Return the margin of the intervals of numbers; None where val calibrated none."""
    stored = facts.rule.get("intervals")
    return None if stored is None else float(IntervalRule.from_dict(stored).margin)


def grade_of(proba: npt.NDArray[np.floating]) -> npt.NDArray[np.int64]:
    """Return the median of the grades' distributions, shape (N,): the first grade up to which half the mass lies.

    Args:
        proba: probability of each grade, shape (N, K), from the lowest on.
    """
    upto = np.cumsum(np.asarray(proba, dtype=np.float32), axis=1)
    return np.asarray(np.minimum((upto < 0.5).sum(axis=1), proba.shape[1] - 1), dtype=np.int64)


class ExportedTaskPredictor:
    """An exported file of several labels, grades or numbers that predicts images, without torch.

    Attributes:
        images: what decodes the images and runs the file.
    """

    def __init__(self, images: ExportedPredictor) -> None:
        self.images = images

    def __repr__(self) -> str:
        return f"ExportedTaskPredictor({self.images.model.path}, {self.facts.task}, {self.images.model.engine})"

    @property
    def facts(self) -> ExportedFacts:
        """What the file states about itself."""
        return self.images.facts

    @with_notebook_bar("predicting images")
    def predict(
        self,
        images: GivenImages,
        *,
        progress: Callable[[int, int], None] | None = None,
        on_unreadable: Callable[[Unreadable], None] | None = None,
    ) -> RowPredictions:
        """Return predictions of images, as `TaskPredictor.predict` does; the arguments are `ExportedPredictor`'s.

        Raises:
            DataError: an image is of another kind, a path does not exist, or no image can be read.
        """
        paths, scores = self.images.scores(images, progress=progress, on_unreadable=on_unreadable)
        return self.table_of(np.asarray(paths, dtype=str), scores)

    def predict_samples(self, samples: Samples) -> RowPredictions:
        """Return predictions of labelled samples; unreadable images are left out.

        Raises:
            DataError: the samples are of another task, have labels or grades that the file does not know, or no image
                can be read.
        """
        if samples.task != self.facts.task:
            raise DataError(f"The model is of the task {self.facts.task}, but the images are of {samples.task}.")
        known = self.facts.classes
        if known and (unknown := [name for name in samples.classes if name not in known]):
            raise DataError(
                f"{self.images.model.path} does not know {first_few(unknown)}. It knows {first_few(known)}."
            )
        rows, scores = self.images.scores_of_files([samples.root / path for path in samples.paths.tolist()])
        some = samples.take(rows)
        return self.table_of(some.paths, scores, some)

    def table_of(self, path: npt.NDArray[np.str_], scores: Floats32, samples: Samples | None = None) -> RowPredictions:
        """Return probabilities (N, C) or numbers (N, 1) as predictions, by the thresholds or with the intervals of val.

        Args:
            path: of the images, shape (N,).
            scores: what the file gives for them; (N, 3) where it gives the median and two quantiles of numbers.
            samples: the same images with their labels and groups; None = unlabelled.
        """
        facts = self.facts
        groups: pd.DataFrame | None = None if samples is None else samples.groups
        truth = None if samples is None else target_numbers(samples, facts.classes)
        if facts.task == "multilabel":
            labels = MultilabelPredictions.build(
                labels=facts.classes, path=path, y_true=truth, proba=scores, groups=groups, verbatim=True
            )
            return labels.with_thresholds(dict(zip(facts.classes, thresholds_of(facts), strict=True)))
        guess = scores[:, 0] if facts.task == "regression" else grade_of(scores)
        ends = (None, None) if facts.quantiles is None else (scores[:, 1], scores[:, 2])
        numbers = NumberPredictions.build(
            path=path,
            y_true=truth,
            y_pred=guess.astype(np.float64),
            lower=ends[0],
            upper=ends[1],
            grades=facts.classes,
            groups=groups,
            verbatim=True,
        )
        stored = facts.rule.get("intervals")
        return numbers if stored is None else IntervalRule.from_dict(stored).apply(numbers)


def load_exported_task(
    path: str | Path, *, workers: int = 0
) -> ExportedPredictor | ExportedTaskPredictor | ExportedMaskPredictor:
    """Return an exported file of any task for prediction.

    Args:
        path: the file.
        workers: images that are predicted at the same time; 0 = one per core.

    Raises:
        ModelError: there is no such file, or it was changed.
    """
    images = ExportedPredictor(open_exported(path, threads=1), workers=workers)
    if images.facts.task == "segmentation":
        return ExportedMaskPredictor(images)
    return images if images.facts.task == "multiclass" else ExportedTaskPredictor(images)
