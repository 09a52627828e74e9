"""`Evaluation`: the figures of a classifier on a set of labelled images, and its parts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tlkit.evaluation.evaluation_tables import evaluation_tables
from tlkit.stats.estimate import Estimate
from tlkit.tables import Table, counted, to_html

MAIN_FIGURES = ("accuracy", "balanced_accuracy", "macro_f1")


@dataclass(frozen=True)
class ClassResult:
    """Precision, recall and F1 of one class.

    Attributes:
        name: class name.
        support: number of images of this class.
        precision: share of the images predicted as this class that are of it; undefined if it is never predicted.
        recall: share of the images of this class that are predicted as it; undefined without images of it.
        f1: harmonic mean of precision and recall, 2·TP / (2·TP + FP + FN), 0 where TP is 0; undefined without images
            of this class. Its n is TP + FP + FN.
    """

    name: str
    support: int
    precision: Estimate
    recall: Estimate
    f1: Estimate

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values; `from_dict` reads them back."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ClassResult:
        """Read what `to_dict` wrote."""
        return cls(values["name"], values["support"], **_estimates(values, ("precision", "recall", "f1")))


@dataclass(frozen=True)
class WithoutLeaks:
    """The main figures without images that were also in the training set.

    Attributes:
        n_leaked: number of labelled images that are left out.
        accuracy: share of the other images predicted right; undefined where there are none.
        balanced_accuracy: their mean recall over the classes that have images.
        macro_f1: their mean F1 over the classes that have images.
    """

    n_leaked: int
    accuracy: Estimate
    balanced_accuracy: Estimate
    macro_f1: Estimate

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values; `from_dict` reads them back."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> WithoutLeaks:
        """Read what `to_dict` wrote."""
        return cls(values["n_leaked"], **_estimates(values, MAIN_FIGURES))


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The figures of a classifier on a set of labelled images, as `evaluate` returns them.

    Attributes:
        classes: class names, C of them.
        n: number of labelled images.
        n_unlabelled: number of images that were left out because their label is unknown.
        confidence: level of every interval, in (0, 1).
        accuracy: share of images predicted right.
        balanced_accuracy: mean recall over the classes that have images.
        macro_f1: mean F1 over the classes that have images.
        top_k: for each k, share of images whose class is among the k most probable.
        log_loss: mean of −ln(probability of the true class), in nats, 0 is best; None without probabilities.
        per_class: one result per class, in the order of `classes`.
        confusion: number of images, shape (C, C); row = true class, column = predicted class.
        without_leaks: the main figures without images that were also in the training set; None where none are known.
    """

    classes: tuple[str, ...]
    n: int
    n_unlabelled: int
    confidence: float
    accuracy: Estimate
    balanced_accuracy: Estimate
    macro_f1: Estimate
    top_k: dict[int, Estimate]
    log_loss: Estimate | None
    per_class: tuple[ClassResult, ...]
    confusion: npt.NDArray[np.int64]
    without_leaks: WithoutLeaks | None = None

    def __post_init__(self) -> None:
        assert self.confusion.shape == (len(self.classes), len(self.classes)), "one row and one column per class"
        self.confusion.setflags(write=False)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Evaluation):
            return NotImplemented
        names = [field.name for field in fields(self) if field.name != "confusion"]
        same = all(getattr(self, name) == getattr(other, name) for name in names)
        return same and np.array_equal(self.confusion, other.confusion)

    __hash__ = None  # type: ignore[assignment]  # arrays have no hash

    @property
    def n_present(self) -> int:
        """Number of classes that have images."""
        return sum(result.support > 0 for result in self.per_class)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values; `from_dict` reads them back."""
        return {
            **asdict(self),
            "classes": list(self.classes),
            "top_k": {str(k): estimate.to_dict() for k, estimate in self.top_k.items()},
            "per_class": [result.to_dict() for result in self.per_class],
            "confusion": self.confusion.tolist(),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Evaluation:
        """Read what `to_dict` wrote."""
        size = len(values["classes"])
        plain: dict[str, Any] = {name: values[name] for name in ("n", "n_unlabelled", "confidence")}
        return cls(
            **plain | _estimates(values, MAIN_FIGURES),
            classes=tuple(values["classes"]),
            top_k={int(k): Estimate.from_dict(estimate) for k, estimate in values["top_k"].items()},
            log_loss=None if values["log_loss"] is None else Estimate.from_dict(values["log_loss"]),
            per_class=tuple(ClassResult.from_dict(result) for result in values["per_class"]),
            confusion=np.array(values["confusion"], dtype=np.int64).reshape(size, size),
            without_leaks=WithoutLeaks.from_dict(values["without_leaks"]) if values.get("without_leaks") else None,
        )

    def tables(self) -> tuple[Table, ...]:
        """Return the tables of the figures, of the classes and of the most frequent confusions."""
        return evaluation_tables(self)

    def per_class_table(self) -> pd.DataFrame:
        """Return one row per class: support, and precision, recall and F1 with their bounds; NaN where undefined.

        Columns: class, support, then for each of precision, recall and f1 its value, `_low` and `_high`.
        """
        rows = []
        for result in self.per_class:
            row: dict[str, object] = {"class": result.name, "support": result.support}
            for key in ("precision", "recall", "f1"):
                estimate: Estimate = getattr(result, key)
                for suffix, number in (("", estimate.value), ("_low", estimate.low), ("_high", estimate.high)):
                    row[f"{key}{suffix}"] = float("nan") if number is None else number
            rows.append(row)
        return pd.DataFrame(rows)

    def most_confused(self, n: int = 5) -> pd.DataFrame:
        """Return the pairs of classes that are confused most often, most images first, ties in class order.

        Columns: true, predicted, images (confused), support (images of the true class), share (of the support).

        Args:
            n: number of pairs at most.
        """
        errors = self.confusion.copy()
        np.fill_diagonal(errors, 0)
        order = np.argsort(-errors, axis=None, kind="stable")[: max(n, 0)]
        true, predicted = np.unravel_index(order, errors.shape)
        confused = errors[true, predicted] > 0
        true, predicted = true[confused], predicted[confused]
        support = self.confusion.sum(axis=1)[true]
        names = np.array(self.classes, dtype=object)
        images = errors[true, predicted]
        return pd.DataFrame(
            {
                "true": names[true],
                "predicted": names[predicted],
                "images": images,
                "support": support,
                "share": images / support,
            }
        )

    def __repr__(self) -> str:
        images = counted(self.n, "image")
        return f"Evaluation({images}, {len(self.classes)} classes, accuracy {self.accuracy.format()})"

    def _repr_html_(self) -> str:
        """Return what a notebook shows."""
        return to_html(self.tables())


def _estimates(values: Mapping[str, Any], names: Sequence[str]) -> dict[str, Estimate]:
    return {name: Estimate.from_dict(values[name]) for name in names}
