"""`Head`: a calibrated classifier on features, with the settings that were tried."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tlkit.arrays import Floats
from tlkit.errors import ModelError
from tlkit.features.heads.head_kinds import FACTS, HeadKind, Settings, format_settings
from tlkit.features.heads.head_tables import head_tables
from tlkit.features.heads.linear import LinearWeights
from tlkit.stats.estimate import Estimate
from tlkit.stats.temperature import probabilities
from tlkit.tables import Table, to_html

Features = npt.NDArray[np.floating]

ABSENT_BIAS = -1e4  # of a class without images in a linear head; its exponential is 0 in every precision


@dataclass(frozen=True)
class Trial:
    """One setting in a cross-validation.

    Attributes:
        settings: hyper-parameters.
        log_loss: out of fold, at the trial's own temperature, in nats; the smallest is chosen.
        accuracy: out of fold, in [0, 1], classes weighted as in training.
        temperature: fitted to its out-of-fold scores.
    """

    settings: Settings
    log_loss: float
    accuracy: float
    temperature: float


@dataclass(frozen=True, eq=False)
class ScaledEstimator:
    """A fitted scikit-learn estimator behind a standardization.

    Attributes:
        mean: of each feature, shape (D,).
        scale: of each feature, shape (D,), above 0.
        estimator: fitted on standardized features and codes 0…P-1.
        present: codes of the classes that the estimator knows, shape (P,).
    """

    mean: Floats
    scale: Floats
    estimator: Any
    present: npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False, repr=False)
class Head:
    """A classifier on features: (N, D) in, calibrated probabilities (N, C) out. Made by `fit_head` or `choose_head`.

    Attributes:
        kind: which kind of head.
        classes: class names in the order of the columns.
        settings: the hyper-parameters chosen.
        temperature: what scores are divided by before the softmax; already inside a linear head's weight and bias.
        parameters: what turns features into probabilities.
        width: D.
        n: images it was fitted on.
        trials: every setting of the cross-validation, in the order of the grid; empty without one.
        out_of_fold: out-of-fold probabilities (N, C) of the training images at the chosen setting; None for a head that
            was loaded, or fitted without cross-validation.
        out_of_fold_accuracy: accuracy of those, with Wilson's interval; slightly optimistic, since the setting was
            chosen on the same images.
    """

    kind: HeadKind
    classes: tuple[str, ...]
    settings: Settings
    temperature: float
    parameters: LinearWeights | ScaledEstimator
    width: int
    n: int
    trials: tuple[Trial, ...] = ()
    out_of_fold: Floats | None = None
    out_of_fold_accuracy: Estimate | None = None

    def __repr__(self) -> str:
        return f"Head({self.kind}, {format_settings(self.settings)}, {len(self.classes)} classes, {self.n} images)"

    @property
    def linear(self) -> LinearWeights | None:
        """Weight and bias of a linear head; None for the others."""
        return self.parameters if isinstance(self.parameters, LinearWeights) else None

    def predict_proba(self, x: Features) -> Floats:
        """Return calibrated probabilities, shape (N, C), in the order of `classes`; rows sum to one.

        A class that had no training image has probability 0.

        Raises:
            ModelError: the features are of another width.
        """
        values = np.asarray(x)
        if values.ndim != 2 or values.shape[1] != self.width:
            raise ModelError(f"The head takes features of shape (N, {self.width}). Got {values.shape} instead.")
        found = self.parameters
        if isinstance(found, LinearWeights):
            return probabilities(found.scores(values), 1.0)
        kind = FACTS[self.kind].nonlinear
        assert kind is not None, "a linear head has a weight and a bias"
        scores = np.full((len(values), len(self.classes)), -np.inf)
        scores[:, found.present] = kind.scores(found.estimator, (values - found.mean) / found.scale)
        return probabilities(scores, self.temperature)

    def to_dict(self) -> dict[str, Any]:
        """Return kind, settings and trials as plain JSON values; weights are stored by `save_head`."""
        accuracy = self.out_of_fold_accuracy
        return {
            "kind": self.kind,
            "settings": dict(self.settings),
            "temperature": self.temperature,
            "images": self.n,
            "out_of_fold_accuracy": accuracy.to_dict() if accuracy else None,
            "trials": [
                {**dict(trial.settings), "log_loss": trial.log_loss, "accuracy": trial.accuracy}
                for trial in self.trials
            ],
        }

    def tables(self) -> tuple[Table, ...]:
        """Return the table of the settings that were tried; its note names the chosen one."""
        return head_tables(self)

    def _repr_html_(self) -> str:
        """Return what a notebook shows."""
        return to_html(self.tables())
