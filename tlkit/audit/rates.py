"""Rates and means that an audit compares (accuracy, recall, …), with numerators and denominators by group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from tlkit.arrays import Ints, Mask
from tlkit.choices import Counted, Task

Metric = Literal["accuracy", "recall", "precision", "false_positive_rate", "selection_rate"]
METRICS: tuple[Metric, ...] = get_args(Metric)
MeanMetric = Literal["mean_absolute_error", "mean_error", "mean_iou", "iou"]
AnyMetric = Metric | Literal["coverage"] | MeanMetric
"""The metrics of every task; those of classifiers are `Metric`."""
MEANS: tuple[MeanMetric, ...] = get_args(MeanMetric)
WHOLE: tuple[AnyMetric, ...] = ("accuracy", "mean_iou")
"""Metrics of all classes together."""
LABEL_RATES: tuple[Metric, ...] = ("recall", "precision", "false_positive_rate", "selection_rate")
NUMBER_MEANS: tuple[MeanMetric, ...] = ("mean_absolute_error", "mean_error")
NUMBER_RATES: tuple[AnyMetric, ...] = (*NUMBER_MEANS, "coverage")
TASK_METRICS: Mapping[Task, tuple[AnyMetric, ...]] = {
    "multiclass": METRICS,
    "multilabel": LABEL_RATES,
    "ordinal": NUMBER_RATES,
    "regression": NUMBER_RATES,
    "segmentation": ("mean_iou", "iou"),
    "detection": ("recall",),
}
"""Rates and means that gates may name, by task."""


@dataclass(frozen=True)
class Rate:
    """One rate or mean: a metric and, where it is about one, the class or label.

    Attributes:
        metric: accuracy = correct of all; recall = found of those that are of the class; precision = right of those
            called the class; false_positive_rate = called the class of those that are not; selection_rate = called
            the class of all; coverage = truth inside its interval; mean_absolute_error = |prediction − truth|;
            mean_error = prediction − truth; iou = intersection over union of the masks of a class in an image;
            mean_iou = its mean over the classes that either mask of an image shows.
        class_name: the class, or None for what is about all.
        unit: what its numerator and denominator count, and the size of the smallest group with them.
    """

    metric: AnyMetric
    class_name: str | None = None
    unit: Counted = "image"

    @property
    def name(self) -> str:
        """The rate as text: "accuracy", "false positive rate of cat"."""
        words = self.metric.replace("_", " ").replace("iou", "IoU")
        return words if self.class_name is None else f"{words} of {self.class_name}"

    @property
    def lower_is_better(self) -> bool:
        """Whether the group with the lowest rate is best off: false positives, absolute errors."""
        return self.metric in ("false_positive_rate", "mean_absolute_error")

    @property
    def nothing(self) -> str:
        """Why the rate is undefined where its denominator is 0: "no images", "no images of cat"."""
        return {
            "recall": f"no {self.unit}s" + ("" if self.class_name is None else f" of {self.class_name}"),
            "precision": f"none called {self.class_name}",
            "false_positive_rate": f"no images of another class than {self.class_name}",
            "iou": f"no images whose masks show {self.class_name}",
        }.get(self.metric, "no images")

    def outcomes(self, y_true: Ints, y_pred: Ints, label: int | None) -> tuple[Mask, Mask]:
        """Return whether each image counts in the numerator and in the denominator, each of shape (N,).

        Args:
            y_true: true classes, shape (N,), in 0…C-1.
            y_pred: predicted classes, shape (N,), in 0…C-1.
            label: the class that the rate is about, in 0…C-1; None for the accuracy.
        """
        if label is None:
            return y_true == y_pred, np.ones(len(y_true), dtype=np.bool_)
        return self.counted(y_true == label, y_pred == label)

    def counted(self, truly: Mask, called: Mask) -> tuple[Mask, Mask]:
        """Return numerator and denominator of each image, as `outcomes`, for one class or one label of several.

        Args:
            truly: whether an image is of the class, shape (N,).
            called: whether it is called the class, shape (N,).
        """
        if self.metric == "accuracy":
            return truly == called, np.ones(len(truly), dtype=np.bool_)
        counted = {
            "recall": truly,
            "precision": called,
            "false_positive_rate": ~truly,
            "selection_rate": np.ones(len(truly), dtype=np.bool_),
        }[self.metric]
        return counted & (truly if self.metric == "precision" else called), counted


def rates_of(metrics: Sequence[AnyMetric], classes: Sequence[str], positive: str | None = None) -> tuple[Rate, ...]:
    """Return the rates to compare: accuracy and mean IoU once, every other metric for the positive or for each class.

    Args:
        metrics: what to compare.
        classes: class names.
        positive: the class that everything but these is about; None = each class against all others.
    """
    about = classes if positive is None else (positive,)
    return tuple(
        rate
        for metric in metrics
        for rate in ((Rate(metric),) if metric in WHOLE else (Rate(metric, name) for name in about))
    )


@dataclass(frozen=True)
class GroupCounts:
    """Counts by group from which all rates follow.

    Attributes:
        n: images of each group, shape (G,).
        truly: images of each class, shape (G, C).
        called: images called each class, shape (G, C).
        rightly: images of each class that were called so, shape (G, C).
    """

    n: Ints
    truly: Ints
    called: Ints
    rightly: Ints

    @classmethod
    def count(cls, *, y_true: Ints, y_pred: Ints, group: Ints, classes: int, groups: int) -> GroupCounts:
        """Return the counts of labelled images.

        Args:
            y_true: true classes, shape (N,), in 0…C-1.
            y_pred: predicted classes, shape (N,), in 0…C-1.
            group: group of each image, shape (N,), in 0…G-1.
            classes: C.
            groups: G.
        """

        def by_class(group: Ints, label: Ints) -> Ints:
            counted = np.bincount(group * classes + label, minlength=groups * classes)
            return counted.reshape(groups, classes).astype(np.int64)

        right = y_true == y_pred
        truly = by_class(group, y_true)
        return cls(truly.sum(axis=1), truly, by_class(group, y_pred), by_class(group[right], y_true[right]))

    def of(self, metric: AnyMetric, label: int | None) -> tuple[Ints, Ints]:
        """Return numerators and denominators of one rate, each of shape (G,).

        Args:
            metric: the rate.
            label: the class it is about, in 0…C-1; None for the accuracy.
        """
        if label is None:
            assert metric == "accuracy", "only the accuracy is about no class"
            return self.rightly.sum(axis=1), self.n
        truly, called, rightly = self.truly[:, label], self.called[:, label], self.rightly[:, label]
        if metric == "recall":
            return rightly, truly
        if metric == "precision":
            return rightly, called
        if metric == "false_positive_rate":
            return called - rightly, self.n - truly
        assert metric == "selection_rate", metric
        return called, self.n
