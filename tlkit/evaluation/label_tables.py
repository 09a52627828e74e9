"""The tables of a `MultilabelEvaluation` and of `LabelThresholds`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tlkit.tables import Cell, Column, Table, counted

MOST_CALLED = 20
"""Pairs of labels in a table."""

if TYPE_CHECKING:
    from tlkit.evaluation.label_thresholds import LabelThresholds
    from tlkit.evaluation.multilabel_result import MultilabelEvaluation
    from tlkit.stats.estimate import Estimate


def multilabel_tables(result: MultilabelEvaluation) -> tuple[Table, ...]:
    """Return figures, labels, and, where there are any, pairs of labels on the same images and confused labels."""
    return (
        multilabel_summary(result),
        label_table(result),
        *([_pair_table(result)] if result.pairs else []),
        *([_confusion_table(result)] if result.confusions else []),
        *([called_table(result)] if result.called else []),
    )


def multilabel_summary(result: MultilabelEvaluation) -> Table:
    """Return the figures over all labels: metric, value with its interval, what it is."""
    figures: list[tuple[str, Estimate | None, str]] = [
        ("mAP", result.mean_average_precision, "mean average precision of the labels"),
        ("micro average precision", result.micro_average_precision, "over all pairs of image and label"),
        ("macro F1", result.macro_f1, "mean over the labels that have images"),
        ("micro F1", result.micro_f1, "over all pairs of image and label"),
        ("samples F1", result.samples_f1, "mean over the images that have or are given a label"),
        ("subset accuracy", result.subset_accuracy, "images with every label right"),
        ("Hamming loss", result.hamming_loss, "pairs of image and label that are wrong; 0 is best"),
    ]
    notes = []
    if result.mean_average_precision is None:
        notes.append("Average precision needs probabilities, which the predictions lack.")
    if result.n_unlabelled:
        notes.append(f"Left out: {counted(result.n_unlabelled, 'image')} of which no label is known.")
    if result.unknown_cells:
        notes.append(f"Left out: {result.unknown_cells:,} unknown pairs of image and label.")
    if result.clusters is not None:
        notes.append(f"Intervals allow for {result.clusters:,} clusters of {result.cluster_by}.")
    if result.weights is not None:
        notes.append(f"Figures and intervals are weighted by {result.weights}.")
    return Table(
        name="summary",
        title=f"{counted(result.n, 'image')}, {len(result.labels)} labels; intervals at {result.confidence:.0%}",
        columns=(Column("metric", "metric"), Column("value", "value", "estimate"), Column("meaning", "what it is")),
        rows=tuple((name, value, meaning + _of_some(value)) for name, value, meaning in figures if value is not None),
        notes=tuple(notes),
    )


def label_table(result: MultilabelEvaluation) -> Table:
    """Return one row for each label, the lowest F1 first; labels without F1 last."""
    ordered = sorted(result.per_label, key=lambda one: (one.f1.value is None, one.f1.value or 0.0))
    ranked = any(one.average_precision is not None for one in ordered)
    cut = any(one.threshold is not None for one in ordered)
    rows: list[tuple[Cell, ...]] = [
        (
            one.name,
            one.support,
            one.precision,
            one.recall,
            one.f1,
            *([one.average_precision] if ranked else []),
            *([one.threshold] if cut else []),
        )
        for one in ordered
    ]
    return Table(
        name="labels",
        title="Labels, the lowest F1 first",
        columns=(
            Column("label", "label"),
            Column("support", "images", "count"),
            Column("precision", "precision", "estimate"),
            Column("recall", "recall", "estimate"),
            Column("f1", "F1", "estimate"),
            *([Column("average_precision", "average precision", "estimate")] if ranked else []),
            *([Column("threshold", "threshold", "number")] if cut else []),
        ),
        rows=tuple(rows),
    )


def threshold_tables(chosen: LabelThresholds) -> tuple[Table, ...]:
    """Return the thresholds by label with their intervals."""
    return (
        Table(
            name="thresholds",
            title=f"Thresholds by F1 on {counted(chosen.images, 'image')} of val; intervals at {chosen.confidence:.0%}",
            columns=(
                Column("label", "label"),
                Column("positives", "images with it", "count"),
                Column("threshold", "threshold", "estimate"),
                Column("f1", "F1 on val", "number"),
            ),
            rows=tuple((one.label, one.positives, one.threshold, one.f1) for one in chosen.thresholds),
            notes=("F1 on val is too high for other images: the thresholds were chosen on these.",),
        ),
    )


def _pair_table(result: MultilabelEvaluation) -> Table:
    return Table(
        name="label_pairs",
        title="Labels that go together",
        columns=(
            Column("first", "label"),
            Column("second", "and"),
            Column("images", "images with both", "count"),
            Column("share", "share of those with the first", "estimate"),
            Column("expected", "by chance", "number"),
            Column("both_found", "both found", "estimate"),
        ),
        rows=tuple(
            (one.first, one.second, one.images, one.share, one.expected, one.both_found) for one in result.pairs
        ),
    )


def _confusion_table(result: MultilabelEvaluation) -> Table:
    return Table(
        name="label_confusions",
        title="Labels missed where another one is predicted",
        columns=(
            Column("missed", "missed"),
            Column("called", "predicted instead"),
            Column("images", "images", "count"),
            Column("share", "share of those with the first alone", "estimate"),
        ),
        rows=tuple((one.missed, one.called, one.images, one.share) for one in result.confusions),
    )


def called_table(result: MultilabelEvaluation) -> Table:
    """Return the pairs of labels of which the second is most often predicted where only the first is true."""
    ordered = sorted(result.called, key=lambda one: -(one.share.value or 0.0))
    return Table(
        name="labels_called",
        title="Labels predicted where another one is true, and they are not",
        columns=(
            Column("there", "images with"),
            Column("called", "and without"),
            Column("images", "images", "count"),
            Column("share", "share given the second", "estimate"),
        ),
        rows=tuple((one.there, one.called, one.share.n, one.share) for one in ordered[:MOST_CALLED]),
        notes=(f"The {MOST_CALLED} largest of {len(ordered)} pairs.",) if len(ordered) > MOST_CALLED else (),
    )


def _of_some(value: Estimate) -> str:
    return f"; {value.note}" if value.note and value.low is not None else ""
