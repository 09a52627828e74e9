"""Output of `tlkit predict --unknown`, and contact sheets of images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tlkit.choices import CONFIDENCE, Views
from tlkit.cli.output import print_lines, print_tables, write_predictions, write_svg
from tlkit.errors import PredictionsError
from tlkit.tables import Column, Table

if TYPE_CHECKING:
    from tlkit.inference.unknown_images import UnknownPredictions
    from tlkit.predictions import Unreadable

SHEET_SIDE = 128
"""Pixels of an image on a contact sheet."""


def require_threshold(folder: Path, *, tta: Views) -> None:
    """Check, before torch is loaded, that a stored model has a threshold, and that no views are averaged.

    Raises:
        TlkitError: it has none, or there are views.
    """
    from tlkit.features.ood.store import load_detector

    if tta != "none":
        raise PredictionsError(f"--unknown with --tta {tta}: the threshold is for images as they are. Leave out --tta.")
    load_detector(folder)


def write_unknown(found: UnknownPredictions, out: Path | None, *, unreadable: Sequence[Unreadable]) -> None:
    """Write the predictions as `write_predictions` does, with the columns `unknown` and `unknown_score`.

    Then print how many images of each predicted class are unknown.
    """
    predictions = found.predictions
    if out is not None:
        write_predictions(predictions, out, unreadable=unreadable)
    else:
        print_tables([_images(found, unreadable)])
    print_lines([""])
    print_tables([_by_class(found)])


def _images(found: UnknownPredictions, unreadable: Sequence[Unreadable]) -> Table:
    predictions = found.predictions
    confidence = predictions.confidence
    assert confidence is not None, "a model gives probabilities"
    named = [predictions.classes[code] for code in predictions.y_pred.tolist()]
    rows: list[tuple[str, str | None, str | None, float | None, float | None]] = [
        (str(path), "unknown" if unknown else name, name if unknown else None, float(sure), float(score))
        for path, name, unknown, sure, score in zip(
            predictions.path, named, found.unknown.tolist(), confidence, found.score, strict=True
        )
    ]
    rows += [(one.path, None, None, None, None) for one in unreadable]
    return Table(
        "predictions",
        "",
        (
            Column("path", "path"),
            Column("predicted", "predicted"),
            Column("instead_of", "instead of"),
            Column("confidence", "confidence", "number", digits=4),
            Column("unknown_score", f"{found.detector.score.name} score", "significant", digits=4),
        ),
        tuple(rows),
        notes=tuple(f"{one.path} cannot be read: {one.reason}" for one in unreadable),
    )


def _by_class(found: UnknownPredictions) -> Table:
    import numpy as np

    from tlkit.stats.intervals import wilson

    predictions, threshold = found.predictions, found.detector.threshold
    rows = []
    for code, name in (*enumerate(predictions.classes), (-1, "all images")):
        inside = np.asarray(predictions.y_pred == code) if code >= 0 else np.ones(len(predictions), dtype=np.bool_)
        n, k = int(inside.sum()), int((found.unknown & inside).sum())
        if n:
            rows.append((name, n, k, wilson(k, n, CONFIDENCE)))
    return Table(
        "unknown",
        "Who is called unknown, by the class that is predicted",
        (
            Column("class", "predicted class"),
            Column("n", "images", "count"),
            Column("unknown", "unknown", "count"),
            Column("rate", "share", "estimate"),
        ),
        tuple(rows),
        notes=(
            f"Beyond a {found.detector.score.name} score of {threshold.value:.4g}; among images like those of training "
            f"a share of {threshold.false_alarms.format()} would be. `tlkit unknown RUN` shows it by group.",
            "y_pred is never changed: a file has the columns unknown and unknown_score beside it.",
        ),
        marks={len(rows) - 1: "total"},
    )


def write_contact_sheet(file: Path, rows: Mapping[str, Sequence[tuple[Path, str]]]) -> None:
    """Write images, each with its caption, in titled rows as one SVG file; unreadable images are left out."""
    import numpy as np

    from tlkit.data.checks.thumbnails import open_small
    from tlkit.render.plots import plot_contact_sheet

    drawn = {}
    for title, images in rows.items():
        row = []
        for path, caption in images:
            image = open_small(path, side=SHEET_SIDE)
            if image is not None:
                image.thumbnail((SHEET_SIDE, SHEET_SIDE))
                row.append((np.asarray(image.convert("RGB")), caption))
        drawn[title] = row
    write_svg(file, lambda: plot_contact_sheet(drawn))
