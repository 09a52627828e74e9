"""`MultilabelEvaluation`: the figures of a model that gives images any number of labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tlkit.evaluation.label_pairs import LabelCalled, LabelConfusion, LabelPair
from tlkit.evaluation.label_tables import multilabel_tables
from tlkit.plain_values import from_plain, to_plain
from tlkit.stats.estimate import Estimate
from tlkit.tables import Table, counted, to_html


@dataclass(frozen=True)
class LabelResult:
    """The figures of one label.

    Attributes:
        name: label.
        support: images with the label.
        known: images of which it is known whether they have it.
        precision: share of the images given the label that have it.
        recall: share of the images with the label that are given it.
        f1: 2·TP / (2·TP + FP + FN).
        average_precision: None without probabilities.
        auroc: likewise.
        threshold: probability from which the label is predicted; None where y_pred was given.
    """

    name: str
    support: int
    known: int
    precision: Estimate
    recall: Estimate
    f1: Estimate
    average_precision: Estimate | None = None
    auroc: Estimate | None = None
    threshold: float | None = None


@dataclass(frozen=True)
class MultilabelEvaluation:
    """The figures of multi-label predictions, as `evaluate_multilabel` returns them.

    Attributes:
        labels: label names.
        n: images of which some label is known.
        n_unlabelled: images left out, of which none is.
        unknown_cells: pairs of image and label, among those, that are unknown and left out.
        confidence: level of every interval.
        micro_f1: F1 over all pairs of image and label.
        macro_f1: mean F1 of the labels that have images.
        samples_f1: mean F1 of the images that have a label or are given one.
        subset_accuracy: share of images with all labels right; over images of which all are known.
        hamming_loss: share of all pairs of image and label that are wrong.
        mean_average_precision: mean over the labels with positives and negatives (mAP); None without probabilities.
        micro_average_precision: average precision over all pairs; None without probabilities.
        per_label: one result for each label.
        pairs: labels that are on the same images.
        confusions: labels missed where another one is predicted.
        called: how often each label is predicted where another one is true and it is not.
        cluster_by: group column of the clusters; None = independent images.
        clusters: how many there are.
        weights: group column of the images' weights; None = equal weights.
    """

    labels: tuple[str, ...]
    n: int
    n_unlabelled: int
    unknown_cells: int
    confidence: float
    micro_f1: Estimate
    macro_f1: Estimate
    samples_f1: Estimate
    subset_accuracy: Estimate
    hamming_loss: Estimate
    mean_average_precision: Estimate | None
    micro_average_precision: Estimate | None
    per_label: tuple[LabelResult, ...]
    pairs: tuple[LabelPair, ...] = ()
    confusions: tuple[LabelConfusion, ...] = ()
    called: tuple[LabelCalled, ...] = ()
    cluster_by: str | None = None
    clusters: int | None = None
    weights: str | None = None

    def tables(self) -> tuple[Table, ...]:
        """Return the tables of the figures, of the labels, and of labels that go together."""
        return multilabel_tables(self)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values; `from_dict` reads them back."""
        return {"task": "multilabel", **to_plain(self)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> MultilabelEvaluation:
        """Read what `to_dict` wrote."""
        return from_plain(cls, values)

    def __repr__(self) -> str:
        images = counted(self.n, "image")
        return f"MultilabelEvaluation({images}, {len(self.labels)} labels, micro F1 {self.micro_f1.format()})"

    def _repr_html_(self) -> str:
        return to_html(self.tables())
