"""The table of a `LearningCurve`: accuracy by number of images, and what more of them may bring."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tlkit.features.heads.head_kinds import setting_words
from tlkit.stats.estimate import signed_number
from tlkit.tables import Column, Table, counted

if TYPE_CHECKING:
    from tlkit.analysis.learning_curve_result import LearningCurve
    from tlkit.stats.estimate import Estimate


def curve_tables(curve: LearningCurve, *, more: int | None = None) -> tuple[Table, ...]:
    """Return the points of the curve; the notes say what the accuracies are of, and what more images may bring.

    Args:
        curve: what was measured.
        more: images beyond those there are; default: as many again, rounded.

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
                (point.per_class, point.images, point.accuracy, setting_words(point.settings)) for point in curve.points
            ),
            notes=(_basis(curve), gain_sentence(curve, more)),
        ),
    )


def gain_sentence(curve: LearningCurve, more: int | None = None) -> str:
    """Return what more images may bring: "+500 images ≈ +1.2 points of accuracy [+0.6, +1.8], if …".

    Args:
        curve: what was measured.
        more: images beyond those there are; default: as many again, rounded.

    Raises:
        DataError: `more` is below 1.
    """
    more = curve.as_many_again if more is None else more
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
        f"Accuracy of a {curve.kind} head on all {curve.n:,} images, each predicted by heads that had not learnt from "
        f"it ({curve.folds} folds{times}); {100 * curve.confidence:g} % intervals."
    )


def _points(share: float, gain: Estimate) -> str:
    """Return a share as points with as many digits, one to four, as it takes to tell a gain's ends apart."""
    assert gain.low is not None and gain.high is not None, "asked of a gain that has a value"
    low, high = 100 * gain.low, 100 * gain.high
    apart = (n for n in range(1, 4) if signed_number(low, digits=n) != signed_number(high, digits=n))
    digits = next(apart, 4)
    return signed_number(100 * share, digits=digits)
