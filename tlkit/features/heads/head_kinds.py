"""The kinds of head: what each can do, and the small grid that its hyper-parameters are chosen from."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_args

from tlkit.choices import HeadKind

__all__ = ["FACTS", "KINDS", "QUICK_KINDS", "HeadKind", "KindFacts", "Settings", "setting_words"]

Settings = Mapping[str, float | int]

KINDS: tuple[HeadKind, ...] = get_args(HeadKind)
"""The kinds of head, the simpler first."""
QUICK_KINDS: tuple[HeadKind, ...] = ("logistic", "lda", "ridge", "linear_svm", "knn", "svm")
"""What `head: auto` compares. Ensembles of trees take many times as long as the six together, and have to be named."""


@dataclass(frozen=True)
class KindFacts:
    """What is true of one kind of head.

    Attributes:
        words: what it is, in words.
        linear: whether it becomes one matrix and one bias, the same artefact as a fine-tuned classifier.
        grid: the settings that cross-validation chooses from, the stronger regularised first.
    """

    words: str
    linear: bool
    grid: tuple[Settings, ...]


def _each(name: str, values: tuple[float | int, ...]) -> tuple[Settings, ...]:
    return tuple({name: value} for value in values)


FACTS: Mapping[HeadKind, KindFacts] = {
    "logistic": KindFacts(
        "multinomial logistic regression, L2", True, _each("C", (1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1.0, 10.0))
    ),
    "lda": KindFacts(
        "linear discriminant analysis, shrunk covariance",
        True,
        _each("shrinkage", (0.9, 0.7, 0.5, 0.3, 0.1, 0.03, 0.01)),
    ),
    "ridge": KindFacts(
        "ridge regression on ±1 targets", True, _each("alpha", (1e5, 3e4, 1e4, 3e3, 1e3, 300.0, 100.0, 10.0))
    ),
    "linear_svm": KindFacts(
        "linear support vector machine, one class against the rest, squared hinge",
        True,
        _each("C", (1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.1)),
    ),
    "knn": KindFacts("k nearest neighbors, Euclidean", False, _each("n_neighbors", (25, 15, 9, 5, 3, 1))),
    "svm": KindFacts(
        "support vector machine, RBF kernel",
        False,
        tuple({"C": c, "gamma_factor": g} for c in (0.3, 1.0, 3.0, 10.0) for g in (0.3, 1.0, 3.0)),
    ),
    "random_forest": KindFacts("random forest", False, _each("min_samples_leaf", (3, 1))),
    "gradient_boosting": KindFacts("gradient boosting of histogram trees", False, _each("max_leaf_nodes", (4, 8))),
}


def setting_words(settings: Mapping[str, Any]) -> str:
    """Return settings as text.

    Example:
        >>> setting_words({"C": 0.01, "gamma_factor": 1.0})
        'C 0.01, gamma_factor 1'
    """
    return ", ".join(f"{name} {value:g}" if math.isfinite(value) else f"{name} -" for name, value in settings.items())
