"""The tables of an `ErrorReport`, and the sentences about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tlkit.audit.error_example_tables import EXAMPLE_COLUMNS, example_cells
from tlkit.tables import Column, Table, counted

if TYPE_CHECKING:
    from tlkit.analysis.error_report import ErrorReport

MOST_IMAGES, MOST_PAIRS, MOST_CLASSES = 12, 10, 20


def error_tables(report: ErrorReport) -> tuple[Table, ...]:
    """Return the worst images, the confused pairs, and the error rate of each class."""
    return (_images(report), _pairs(report), _classes(report))


def _images(report: ErrorReport) -> Table:
    notes = [
        "Look at these first: a high loss means sure and wrong. Some labels may be wrong: `tlkit data labels RUN`."
    ]
    if report.images and report.images[0].loss is None:
        notes = ["The table has no probabilities, so the images are in the order of their paths."]
    if not report.errors:
        notes = [f"None of {counted(report.n, 'image')} is wrong."]
    close = report.close[: MOST_IMAGES // 2]
    return Table(
        name="error_images",
        title=f"{report.name}: {report.errors:,} of {report.n:,} images are wrong, {report.rate.format()}",
        columns=EXAMPLE_COLUMNS,
        rows=(
            *(example_cells(one, "wrong") for one in report.images[:MOST_IMAGES]),
            *(example_cells(one, "just right") for one in close),
        ),
        notes=(*notes, *_more(len(report.images), MOST_IMAGES)),
    )


def _pairs(report: ErrorReport) -> Table:
    held = (
        f"The intervals hold for all {report.pairs_tried:,} ordered pairs of classes at once ({report.confidence:.0%})"
    )
    notes = [
        f"{held}, since the most confused pair of many looks worse than it is. Sorted by the lower end.",
        *_clusters(report),
    ]
    return Table(
        name="confused_pairs",
        title="Most confused pairs",
        columns=(
            Column("y_true", "true class"),
            Column("y_pred", "taken for"),
            Column("k", "images", "count"),
            Column("n", "of", "count"),
            Column("rate", "rate", "estimate"),
        ),
        rows=tuple((one.y_true, one.y_pred, one.k, one.n, one.rate) for one in report.pairs[:MOST_PAIRS]),
        notes=(*notes, *_more(len(report.pairs), MOST_PAIRS)),
    )


def _classes(report: ErrorReport) -> Table:
    return Table(
        name="class_errors",
        title="Errors by class, the highest rate first",
        columns=(
            Column("name", "true class"),
            Column("errors", "wrong", "count"),
            Column("n", "of", "count"),
            Column("rate", "error rate", "estimate"),
            Column("worst", "highest loss"),
        ),
        rows=tuple(
            (one.name, one.errors, one.n, one.rate, one.images[0].path if one.images else None)
            for one in report.classes
        ),
        notes=tuple(_clusters(report)),
    ).head(MOST_CLASSES)


def _clusters(report: ErrorReport) -> list[str]:
    return [f"The intervals allow for the clusters of {report.clusters}."] if report.clusters else []


def _more(there: int, shown: int) -> list[str]:
    return [f"… and {there - shown:,} more (--json, or the result in Python)."] if there > shown else []
