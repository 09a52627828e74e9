"""The kinds of head: how each is fitted, and the grid of hyper-parameters that cross-validation chooses from."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_args

from tlkit.choices import HeadKind
from tlkit.features.heads import nonlinear
from tlkit.features.heads.linear import LinearFit, Settings, fit_lda, fit_linear_svm, fit_logistic, fit_ridge
from tlkit.features.heads.nonlinear import Nonlinear

__all__ = ["FACTS", "KINDS", "QUICK_KINDS", "HeadFacts", "HeadKind", "Settings", "format_settings"]

KINDS: tuple[HeadKind, ...] = get_args(HeadKind)
"""The kinds of head, the simpler first."""
QUICK_KINDS: tuple[HeadKind, ...] = ("logistic", "lda", "ridge", "linear_svm", "knn", "svm")
"""What `head: auto` compares. Ensembles of trees take many times as long as these six together, and must be named."""


@dataclass(frozen=True)
class HeadFacts:
    """One kind of head.

    Attributes:
        description: the name of the method.
        grid: the settings that cross-validation chooses from, the most regularized first.
        linear: fits it for each setting, where it is one weight matrix and one bias; else None.
        nonlinear: how it is fitted, scored and stored, where it is not linear; else None.
    """

    description: str
    grid: tuple[Settings, ...]
    linear: LinearFit | None = None
    nonlinear: Nonlinear | None = None


def _each(name: str, *values: float) -> tuple[Settings, ...]:
    return tuple({name: value} for value in values)


_SVM_GRID = tuple({"C": c, "gamma_factor": g} for c in (0.3, 1.0, 3.0, 10.0) for g in (0.3, 1.0, 3.0))

FACTS: Mapping[HeadKind, HeadFacts] = {
    "logistic": HeadFacts(
        "multinomial logistic regression, L2", _each("C", 1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1.0, 10.0), linear=fit_logistic
    ),
    "lda": HeadFacts(
        "linear discriminant analysis, shrunk covariance",
        _each("shrinkage", 0.9, 0.7, 0.5, 0.3, 0.1, 0.03, 0.01),
        linear=fit_lda,
    ),
    "ridge": HeadFacts(
        "ridge regression on ±1 targets", _each("alpha", 1e5, 3e4, 1e4, 3e3, 1e3, 300.0, 100.0, 10.0), linear=fit_ridge
    ),
    "linear_svm": HeadFacts(
        "linear support vector machine, one-vs-rest, squared hinge",
        _each("C", 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.1),
        linear=fit_linear_svm,
    ),
    "knn": HeadFacts(
        "k nearest neighbors, Euclidean", _each("n_neighbors", 25, 15, 9, 5, 3, 1), nonlinear=nonlinear.KNN
    ),
    "svm": HeadFacts("support vector machine, RBF kernel", _SVM_GRID, nonlinear=nonlinear.SVM),
    "random_forest": HeadFacts("random forest", _each("min_samples_leaf", 3, 1), nonlinear=nonlinear.FOREST),
    "gradient_boosting": HeadFacts(
        "gradient boosting of histogram trees", _each("max_leaf_nodes", 4, 8), nonlinear=nonlinear.BOOSTING
    ),
}


def format_settings(settings: Mapping[str, Any]) -> str:
    """Return settings as text.

    Example:
        >>> format_settings({"C": 0.01, "gamma_factor": 1.0})
        'C 0.01, gamma_factor 1'
    """
    return ", ".join(f"{name} {value:g}" if math.isfinite(value) else f"{name} -" for name, value in settings.items())
