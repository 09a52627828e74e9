"""Temperature and vector scaling of class probabilities, and the rule that chooses between them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast, get_args

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.special import log_softmax

from tlkit.arrays import Floats, Ints
from tlkit.choices import FOLDS
from tlkit.plain_values import to_plain
from tlkit.stats.temperature import fit_temperature

ScalingMethod = Literal["temperature", "vector"]
SMALLEST = float(np.finfo(np.float32).tiny)
"""Smallest probability whose logarithm is taken: models compute in float32."""
FEWEST_IMAGES = 20
"""With fewer validation images nothing is fitted."""
FEWEST_PER_CLASS = 20
"""Validation images that every class needs for vector scaling."""
RIDGE = 1e-3
CLEARLY = 1.645
"""Standard errors by which vector scaling must be better: a one-sided test at 5 %."""


@dataclass(frozen=True)
class LogitScaling:
    """How log probabilities z are rescaled: softmax(scale · z + offset).

    Attributes:
        method: "temperature" (one scale, which never changes the most probable class) or "vector" (a scale and an
            offset for each class, which can).
        scale: one number (1/T), or one for each class, above 0.
        offset: one number for each class, with mean 0; empty for a temperature.
        n: labelled validation images that it was fitted on.
    """

    method: ScalingMethod
    scale: tuple[float, ...]
    offset: tuple[float, ...] = ()
    n: int = 0

    def __post_init__(self) -> None:
        if self.method not in get_args(ScalingMethod):
            raise ValueError(f"method is {self.method!r}")
        numbers = (*self.scale, *self.offset)
        if not self.scale or not all(isinstance(one, int | float) and math.isfinite(one) for one in numbers):
            raise ValueError("scale and offset are not finite numbers")
        if min(self.scale) <= 0:
            raise ValueError("a scale is not above 0")
        if (len(self.scale), len(self.offset)) != ((1, 0) if self.method == "temperature" else (len(self.scale),) * 2):
            raise ValueError(f"{len(self.scale)} scales and {len(self.offset)} offsets are not a {self.method} scaling")

    @property
    def temperature(self) -> float | None:
        """T; None for vector scaling."""
        return 1 / self.scale[0] if self.method == "temperature" else None

    def apply(self, proba: npt.ArrayLike) -> Floats:
        """Return rescaled probabilities, shape (N, C), rows that sum to one, of probabilities (N, C)."""
        scores = log_probabilities(proba) * np.asarray(self.scale)
        return np.asarray(np.exp(log_softmax(scores + np.asarray(self.offset or 0.0), axis=1)))

    def undo(self, proba: npt.ArrayLike) -> Floats:
        """Return the probabilities, shape (N, C), that `apply` made these of.

        The log probability of a class before is (ln p + L − offset) / scale, where L is the one number of a row for
        which the row sums to one. The sum grows with L, which bisection finds.
        """
        logs, scale = log_probabilities(proba), np.asarray(self.scale)
        shifted = logs - np.asarray(self.offset or 0.0)
        if self.method == "temperature":
            return np.asarray(np.exp(log_softmax(shifted / scale, axis=1)))
        low = -shifted.max(axis=1) - scale.max() * math.log(logs.shape[1])
        high = -shifted.max(axis=1)
        for _ in range(80):
            middle = (low + high) / 2
            below = np.exp((shifted + middle[:, None]) / scale).sum(axis=1) < 1
            low, high = np.where(below, middle, low), np.where(below, high, middle)
        return np.asarray(np.exp(log_softmax((shifted + ((low + high) / 2)[:, None]) / scale, axis=1)))

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values; `from_dict` reads them back."""
        return cast("dict[str, Any]", to_plain(self))

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> LogitScaling:
        """Read what `to_dict` wrote.

        Raises:
            ValueError: the values are no scaling.
        """
        scale, offset = values.get("scale"), values.get("offset", [])
        if not isinstance(scale, list) or not isinstance(offset, list) or not isinstance(values.get("n", 0), int):
            raise ValueError("calibration has no usable scale, offset or n")
        return cls(cast("ScalingMethod", values.get("method")), tuple(scale), tuple(offset), values.get("n", 0))


def log_probabilities(proba: npt.ArrayLike) -> Floats:
    """Return the logarithms of probabilities, shape (N, C); a probability below 1.2e-38 counts as that."""
    return np.asarray(np.log(np.maximum(np.asarray(proba, dtype=np.float64), SMALLEST)))


def fit_scaling(proba: npt.ArrayLike, y: npt.ArrayLike, *, method: ScalingMethod) -> LogitScaling:
    """Return the scaling of a method that fits labels best: the smallest log loss.

    Temperature: see `fit_temperature`. Vector scaling: Guo, Pleiss, Sun & Weinberger (2017), On Calibration of Modern
    Neural Networks, ICML, section 4.2. Its targets are smoothed like those of the temperature, its scales are
    above 0, and a small penalty (0.001 times the squares of offset and of the log of scale · T) draws it to
    temperature scaling, as Kull et al. (2019), Beyond temperature scaling, NeurIPS, section 3, regularise theirs.

    Args:
        proba: probabilities of validation images, shape (N, C).
        y: their true classes, shape (N,), in 0…C-1.
        method: which scaling.
    """
    logs, truth = log_probabilities(proba), np.asarray(y, dtype=np.int64)
    temperature = fit_temperature(logs, truth)
    if method == "temperature":
        return LogitScaling("temperature", (1 / temperature,), n=len(truth))
    n, classes = logs.shape
    doubt = 1.0 / (n + 2)
    targets = np.full((n, classes), doubt / max(classes - 1, 1))
    targets[np.arange(n), truth] = 1.0 - doubt if classes > 1 else 1.0

    def loss(parameters: Floats) -> tuple[float, Floats]:
        drift, offset = parameters[:classes], parameters[classes:]
        scores = logs * (np.exp(drift) / temperature)
        fitted = log_softmax(scores + offset, axis=1)
        residual = (np.exp(fitted) - targets) / n
        value = -float((targets * fitted).sum()) / n + RIDGE * float(parameters @ parameters)
        slope = np.concatenate([(residual * scores).sum(axis=0), residual.sum(axis=0)])
        return value, slope + 2 * RIDGE * parameters

    found = minimize(loss, np.zeros(2 * classes), jac=True, method="L-BFGS-B", bounds=[(-5.0, 5.0)] * (2 * classes))
    drift, offset = found.x[:classes], found.x[classes:]
    return LogitScaling(
        "vector", tuple((np.exp(drift) / temperature).tolist()), tuple((offset - offset.mean()).tolist()), n=n
    )


def choose_scaling(proba: npt.ArrayLike, y: npt.ArrayLike) -> LogitScaling:
    """Return vector scaling where the data bear it, else temperature scaling.

    The data bear it where every class has 20 images and its log loss in 5-fold cross-validation is lower than that of
    temperature scaling by more than 1.645 standard errors of the paired difference. Folds are every fifth image
    of each class, so the choice depends on nothing random.

    Arguments are those of `fit_scaling`.
    """
    table, truth = np.asarray(proba, dtype=np.float64), np.asarray(y, dtype=np.int64)
    counts = np.bincount(truth, minlength=table.shape[1])
    if counts.min() >= FEWEST_PER_CLASS:
        gain = _losses_out_of_fold(table, truth, "temperature") - _losses_out_of_fold(table, truth, "vector")
        error = float(gain.std(ddof=1)) / math.sqrt(len(gain))
        if float(gain.mean()) > CLEARLY * error:
            return fit_scaling(table, truth, method="vector")
    return fit_scaling(table, truth, method="temperature")


def _losses_out_of_fold(proba: Floats, y: Ints, method: ScalingMethod) -> Floats:
    """Return the log loss of each image under a scaling that was fitted on other folds, shape (N,)."""
    order = np.argsort(y, kind="stable")
    fold = np.empty(len(y), dtype=np.int64)
    fold[order] = np.arange(len(y)) % FOLDS
    losses = np.empty(len(y))
    for number in range(FOLDS):
        held = fold == number
        scaled = fit_scaling(proba[~held], y[~held], method=method).apply(proba[held])
        losses[held] = -log_probabilities(scaled)[np.arange(int(held.sum())), y[held]]
    return losses
