"""`ValScores`: what a model keeps of its validation images, from which thresholds for any risk or coverage follow.

A model's folder holds it as `val_scores.parquet`: one row for each labelled validation image, with its class, whether
it was predicted right, its confidence and the scores of conformal prediction. It holds no paths and no groups.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from tlkit.arrays import Floats, Ints, Mask
from tlkit.choices import ALPHA, SetMethod
from tlkit.errors import PredictionsError
from tlkit.predictions import Predictions
from tlkit.predictions.prediction_files import read_parquet_table, write_parquet_table
from tlkit.stats.conformal import SET_METHODS, conditional_quantiles, conformal_quantile, nonconformity, sets_of
from tlkit.stats.selective_risk import RiskThreshold, threshold_for_risk
from tlkit.uncertainty.group_rows import probabilities_of, require_judgeable

FILE = "val_scores.parquet"


@dataclass(frozen=True, eq=False)
class ValScores:
    """Scores of the labelled validation images of a model.

    Attributes:
        classes: class names, C of them.
        y_true: true classes, shape (N,), in 0…C-1.
        correct: whether the prediction is right, shape (N,).
        confidence: probability of the predicted class, shape (N,).
        scores: by method, the nonconformity of the true class, shape (N,).
        chose_epoch: whether these images also chose the epoch that the model is of.
        tta: test-time augmentation of the predictions; thresholds hold for new ones that are made alike.
    """

    classes: tuple[str, ...]
    y_true: Ints
    correct: Mask
    confidence: Floats
    scores: dict[SetMethod, Floats]
    chose_epoch: bool = False
    tta: str = "none"

    def __len__(self) -> int:
        return len(self.y_true)

    @classmethod
    def of(cls, predictions: Predictions, *, chose_epoch: bool = False, source: str = "val's predictions") -> ValScores:
        """Return the scores of validation predictions.

        Args:
            predictions: with labels and probabilities, of images that did not train the model.
            chose_epoch: whether they chose the epoch.
            source: what they are, for messages.

        Raises:
            PredictionsError: there are no labels, or no probabilities.
        """
        known = require_judgeable(predictions, source=source)
        rows = np.arange(len(known))
        proba = probabilities_of(known)
        return cls(
            classes=known.classes,
            y_true=known.y_true,
            correct=known.correct,
            confidence=np.asarray(proba[rows, known.y_pred]),
            scores={method: nonconformity(proba, method)[rows, known.y_true] for method in SET_METHODS},
            chose_epoch=chose_epoch,
            tta=known.tta,
        )

    def threshold(self, risk: float, *, delta: float = ALPHA) -> RiskThreshold:
        """Return the threshold of confidence for a wanted risk; see `threshold_for_risk` for its guarantee.

        Raises:
            PredictionsError: `risk` or `delta` is not in (0, 1).
        """
        try:
            return threshold_for_risk(self.confidence, self.correct, risk, delta=delta)
        except ValueError as error:
            raise PredictionsError(str(error)) from None

    def limits(self, coverage: float, method: SetMethod, *, by_class: bool = False) -> Floats:
        """Return the largest score of a class in a set, shape (C,); the same for every class unless `by_class`.

        Raises:
            PredictionsError: the coverage is not in (0, 1), or there is no such method.
        """
        if not 0 < coverage < 1:
            raise PredictionsError(
                f"The coverage of sets must be above 0 and below 1, for example 0.95. Got {coverage}."
            )
        if method not in SET_METHODS:
            raise PredictionsError(f"There are no sets {method!r}. Use {', '.join(SET_METHODS)}.")
        count = len(self.classes)
        if by_class:
            return conditional_quantiles(self.scores[method], self.y_true, count, coverage)
        return np.full(count, conformal_quantile(self.scores[method], coverage))

    def sets(self, predictions: Predictions, coverage: float, method: SetMethod, *, by_class: bool = False) -> Mask:
        """Return which classes the set of each image holds, shape (M, C).

        Raises:
            PredictionsError: the predictions are of other classes or lack probabilities, the coverage is not in (0, 1),
                or there is no such method.
        """
        if predictions.classes != self.classes or predictions.proba is None:
            raise PredictionsError(
                "The predictions hold other classes than the validation images, or no probabilities."
            )
        limits = self.limits(coverage, method, by_class=by_class)
        return sets_of(nonconformity(predictions.proba, method), limits)

    def save(self, folder: Path) -> None:
        """Write them into the folder of a model, atomically."""
        columns = {f"score_{method}": values for method, values in self.scores.items()}
        table = pd.DataFrame(
            {"y_true": self.y_true, "correct": self.correct, "confidence": self.confidence, **columns}
        ).astype(dict.fromkeys(("confidence", *columns), np.float64))
        write_parquet_table(
            folder / FILE,
            table,
            noted={"classes": list(self.classes), "chose_epoch": self.chose_epoch, "tta": self.tta},
        )

    @classmethod
    def load(cls, folder: Path) -> ValScores | None:
        """Return the scores that a model's folder holds; None where it has none.

        Raises:
            PredictionsError: the file is damaged, or a newer tlkit wrote it.
        """
        path = folder / FILE
        if not path.is_file():
            return None
        table, noted = read_parquet_table(path)
        names = [f"score_{method}" for method in SET_METHODS]
        try:
            assert noted is not None, "metadata"
            classes = tuple(noted["classes"])
            y_true = pd.to_numeric(table["y_true"]).to_numpy(dtype=np.int64)
            confidence, *scores = (
                pd.to_numeric(table[name]).to_numpy(dtype=np.float64) for name in ["confidence", *names]
            )
            right = table["correct"].astype("string").str.lower().eq("true").to_numpy(dtype=np.bool_)
            usable = len(y_true) > 0 and y_true.min() >= 0 and y_true.max() < len(classes)
            assert usable and np.isfinite([confidence, *scores]).all(), "values out of range"
        except (AssertionError, KeyError, ValueError, TypeError) as error:
            raise PredictionsError(f"{path} is damaged ({type(error).__name__}: {error}). Fit again.") from error
        found = dict(zip(SET_METHODS, scores, strict=True))
        chose, tta = noted.get("chose_epoch") is True, str(noted.get("tta", "none"))
        return cls(classes, y_true, right, confidence, found, chose_epoch=chose, tta=tta)


def store_val_scores(folder: Path, val: Predictions | None, *, chose_epoch: bool) -> None:
    """Write the scores of the validation images into the folder of a model; delete earlier ones where there are none.

    Args:
        folder: of the model.
        val: its predictions; None = it has no validation images.
        chose_epoch: whether they chose the epoch, or the head.
    """
    (folder / FILE).unlink(missing_ok=True)
    if val is not None and val.proba is not None and (val.y_true >= 0).any():
        ValScores.of(val, chose_epoch=chose_epoch).save(folder)
