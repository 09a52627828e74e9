"""`Evaluation`: the figures of a classifier on a set of labelled images, and its parts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
import pandas as pd

from tlkit.arrays import Ints
from tlkit.errors import PredictionsError
from tlkit.evaluation.evaluation_tables import evaluation_tables
from tlkit.evaluation.score_names import HEADLINE, facts_of, own_name
from tlkit.plain_values import from_plain, to_plain
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
        auroc: area under the ROC curve of this class against all others; None without probabilities, or where only
            headline figures were requested.
        average_precision: likewise.
    """

    name: str
    support: int
    precision: Estimate
    recall: Estimate
    f1: Estimate
    auroc: Estimate | None = None
    average_precision: Estimate | None = None


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
        n_not_most_probable: number of images whose predicted class (`y_pred`) is not the most probable one, as where a
            threshold chose it. Top-k accuracy and log loss are about the probabilities, all else is about `y_pred`.
        cluster_by: group column of the clusters that the intervals allow for; None = independent images.
        clusters: how many there are; None = independent images.
        scores: all other metrics by name, in the order and with the titles of `tlkit.evaluation.score_names`; empty
            where only headline figures were requested.
        weights: group column of the images' weights; None = equal weights.
        trained_on: whether the model was trained on these images: no figure then holds for new ones.

    Example:
        >>> from tlkit import Predictions, evaluate
        >>> names = [f"{number}.jpg" for number in range(100)]
        >>> made = Predictions.build(
        ...     classes=["cat", "dog"], path=names, y_true=["cat", "dog"] * 50, y_pred=["cat"] * 100)
        >>> evaluation = evaluate(made)
        >>> evaluation.accuracy.format(), evaluation.per_class[1].recall.value
        ('0.500 [0.404, 0.596]', 0.0)
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
    confusion: Ints
    without_leaks: WithoutLeaks | None = None
    n_not_most_probable: int = 0
    cluster_by: str | None = None
    clusters: int | None = None
    trained_on: bool = False
    scores: dict[str, Estimate] = field(default_factory=dict)
    weights: str | None = None

    def __post_init__(self) -> None:
        assert self.confusion.shape == (len(self.classes), len(self.classes)), "one row and one column per class"
        self.confusion.setflags(write=False)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Evaluation):
            return NotImplemented
        names = [one.name for one in fields(self) if one.name != "confusion"]
        same = all(getattr(self, name) == getattr(other, name) for name in names)
        return same and np.array_equal(self.confusion, other.confusion)

    __hash__ = None  # type: ignore[assignment]  # arrays have no hash

    @property
    def n_present(self) -> int:
        """Number of classes that have images."""
        return sum(result.support > 0 for result in self.per_class)

    def score(self, name: str) -> Estimate:
        """Return a metric by its name, such as "mcc", "log_loss", "top_5" or "recall:cat"; see `score_names`.

        Raises:
            PredictionsError: there is no such metric, or it was not computed.
        """
        name = own_name(name, self.classes)
        kind, _, label = name.partition(":")
        found: object = None
        if label and label in self.classes:
            found = getattr(self.per_class[self.classes.index(label)], kind, None)
        elif name in HEADLINE:
            found = getattr(self, name)
        else:
            found = {**self.scores, **{f"top_{k}": one for k, one in self.top_k.items()}}.get(name)
        if isinstance(found, Estimate):
            return found
        facts = facts_of(name, self.classes)
        if facts.needs_proba and self.log_loss is None:
            raise PredictionsError(f"{facts.title} needs probabilities, which the predictions lack.")
        raise PredictionsError(f"{facts.title} was not computed: evaluate with metrics='all', and with its top_k.")

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values; `from_dict` reads them back.

        Of the confusion matrix they hold, as `confusion_cells`, the cells that are not empty: positions of the true and
        of the predicted class in `classes`, and number of images.
        """
        true, predicted = np.nonzero(self.confusion)
        cells = np.column_stack([true, predicted, self.confusion[true, predicted]])
        values = {one.name: to_plain(getattr(self, one.name)) for one in fields(self) if one.name != "confusion"}
        return {**values, "confusion_cells": cells.tolist()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Evaluation:
        """Read what `to_dict` wrote."""
        size = len(values["classes"])
        confusion = np.zeros((size, size), dtype=np.int64)
        for true, predicted, images in values["confusion_cells"]:
            confusion[true, predicted] = images
        return from_plain(cls, {**values, "confusion": confusion})

    def tables(self) -> tuple[Table, ...]:
        """Return the tables of the figures, of the classes and of the most frequent confusions."""
        return evaluation_tables(self)

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
