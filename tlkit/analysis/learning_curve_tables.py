"""The table of a `LearningCurve`: accuracy by number of training images, and the predicted gain from more."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tlkit.features.folds import optimism_note
from tlkit.features.heads.head_kinds import format_settings
from tlkit.stats.estimate import signed_number
from tlkit.tables import Column, Table, counted

if TYPE_CHECKING:
    from tlkit.analysis.learning_curve_result import LearningCurve
    from tlkit.stats.estimate import Estimate


def curve_tables(curve: LearningCurve, *, more: int | None = None) -> tuple[Table, ...]:
    """Return the points of the curve; the notes say how accuracy was measured, and give the predicted gain.

    Raises:
        DataError: `more` is below 1.
    """
    return (
        Table(
            name="curve",
            title="Learning curve",
            columns=(
                Column("per_class", "images per class", "count"),
                Column("images", "images", "number", digits=0),
                Column("accuracy", "accuracy", "estimate"),
                Column("setting", "setting"),
            ),
            rows=tuple(
                (point.per_class, point.images, point.accuracy, format_settings(point.settings))
                for point in curve.points
            ),
            notes=tuple(filter(None, (_basis(curve), _optimism(curve), gain_sentence(curve, more)))),
        ),
    )


def gain_sentence(curve: LearningCurve, more: int | None = None) -> str:
    """Return the predicted gain: "+500 images ≈ +1.2 points of accuracy [+0.6, +1.8], if …".

    `more` is the number of additional images; default: `curve.default_more`.

    Raises:
        DataError: `more` is below 1.
    """
    more = curve.default_more if more is None else more
    gain = curve.gain(more)
    images = f"+{counted(more, 'image')}"
    if gain.value is None or gain.low is None or gain.high is None:
        return f"{images}: {gain.note}."
    value, low, high = (_points(share, gain) for share in (gain.value, gain.low, gain.high))
    return (
        f"{images} ≈ {value} points of accuracy [{low}, {high}], if they are like the {curve.n:,} at hand and "
        "the curve goes on as it does."
    )


def _basis(curve: LearningCurve) -> str:
    times = "" if curve.repeats == 1 else f", {curve.repeats} times over"
    return (
        f"Accuracy of a {curve.kind} head on all {curve.n:,} images, each predicted by heads fitted without it "
        f"({curve.folds} folds{times}); {100 * curve.confidence:g} % intervals."
    )


def _optimism(curve: LearningCurve) -> str:
    return optimism_note(curve.points[-1].accuracy, curve.measured) if curve.points else ""


def _points(share: float, gain: Estimate) -> str:
    """Return a share in percentage points, with one to four digits, so that the ends of the gain's interval differ."""
    assert gain.low is not None and gain.high is not None, "the gain has a value"
    low, high = 100 * gain.low, 100 * gain.high
    enough = (n for n in range(1, 4) if signed_number(low, digits=n) != signed_number(high, digits=n))
    digits = next(enough, 4)
    return signed_number(100 * share, digits=digits)
