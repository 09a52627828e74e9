"""The kinds of head, each with the grid of hyper-parameters that cross-validation chooses from."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_args

from tlkit.choices import HeadKind

__all__ = ["FACTS", "KINDS", "QUICK_KINDS", "HeadFacts", "HeadKind", "Settings", "format_settings"]

Settings = Mapping[str, float | int]

KINDS: tuple[HeadKind, ...] = get_args(HeadKind)
"""The kinds of head, the simpler first."""
QUICK_KINDS: tuple[HeadKind, ...] = ("logistic", "lda", "ridge", "linear_svm", "knn", "svm")
"""What `head: auto` compares. Ensembles of trees take many times as long as these six together, and must be named."""


@dataclass(frozen=True)
class HeadFacts:
    """Properties of one kind of head.

    Attributes:
        description: the name of the method.
        linear: whether it is one weight matrix and one bias, as of a fine-tuned classifier.
        grid: the settings that cross-validation chooses from, the most regularized first.
    """

    description: str
    linear: bool
    grid: tuple[Settings, ...]


def _each(name: str, values: tuple[float | int, ...]) -> tuple[Settings, ...]:
    return tuple({name: value} for value in values)


FACTS: Mapping[HeadKind, HeadFacts] = {
    "logistic": HeadFacts(
        "multinomial logistic regression, L2", True, _each("C", (1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1.0, 10.0))
    ),
    "lda": HeadFacts(
        "linear discriminant analysis, shrunk covariance",
        True,
        _each("shrinkage", (0.9, 0.7, 0.5, 0.3, 0.1, 0.03, 0.01)),
    ),
    "ridge": HeadFacts(
        "ridge regression on ±1 targets", True, _each("alpha", (1e5, 3e4, 1e4, 3e3, 1e3, 300.0, 100.0, 10.0))
    ),
    "linear_svm": HeadFacts(
        "linear support vector machine, one-vs-rest, squared hinge",
        True,
        _each("C", (1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.1)),
    ),
    "knn": HeadFacts("k nearest neighbors, Euclidean", False, _each("n_neighbors", (25, 15, 9, 5, 3, 1))),
    "svm": HeadFacts(
        "support vector machine, RBF kernel",
        False,
        tuple({"C": c, "gamma_factor": g} for c in (0.3, 1.0, 3.0, 10.0) for g in (0.3, 1.0, 3.0)),
    ),
    "random_forest": HeadFacts("random forest", False, _each("min_samples_leaf", (3, 1))),
    "gradient_boosting": HeadFacts("gradient boosting of histogram trees", False, _each("max_leaf_nodes", (4, 8))),
}


def format_settings(settings: Mapping[str, Any]) -> str:
    """Return settings as text.

    Example:
        >>> format_settings({"C": 0.01, "gamma_factor": 1.0})
        'C 0.01, gamma_factor 1'
    """
    return ", ".join(f"{name} {value:g}" if math.isfinite(value) else f"{name} -" for name, value in settings.items())
