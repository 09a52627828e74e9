"""The table of a `LabelNext`, and the sentences about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tlkit.tables import Column, Table, counted

if TYPE_CHECKING:
    from tlkit.evaluation.label_next_result import LabelNext

HOW = {
    "margin": "the smallest difference of the two largest probabilities first",
    "coverage": "each the farthest from all images that are labelled or chosen (k-center), so outliers come first",
    "typicality": "the most typical image of each cluster without a label first",
}


def label_next_tables(result: LabelNext) -> tuple[Table, ...]:
    """Return the images to label; the notes say how they were chosen and what accuracy the labels would add."""
    notes = [f"Chosen by {result.method}: {HOW[result.method]}.", _gain(result)]
    if result.copies:
        notes.append(f"{counted(result.copies, 'file')} left out as copies of the run's images or of each other.")
    return (
        Table(
            name="label_next",
            title=f"{counted(len(result.images), 'image')} to label next, of {result.pool:,}",
            columns=(
                Column("path", "path"),
                Column("predicted", "predicted class"),
                Column("probability", "probability", "number"),
                Column("second", "or"),
                Column("margin", "margin", "number"),
                Column("distance", "distance to training", "number"),
            ),
            rows=tuple(
                (one.path, one.predicted, one.probability, one.second, one.margin, one.distance)
                for one in result.images
            ),
            notes=tuple(notes),
        ),
    )


def label_next_sentence(result: LabelNext) -> str:
    """Return which images to label, and what accuracy as many labels would add."""
    found = [f"Label these {counted(len(result.images), 'image')} of {result.pool:,} first, chosen by {result.method}."]
    gain = result.gain
    if gain.value is not None and gain.low is not None and gain.high is not None:
        found.append(
            f"As many random ones would add {100 * gain.value:+.1f} points of accuracy "
            f"[{100 * gain.low:+.1f}, {100 * gain.high:+.1f}] ({result.confidence:.0%} interval); chosen ones may add "
            "more or less."
        )
    else:
        found.append("What they would add cannot be said; the test split tells after the next fit.")
    return " ".join(found)


def _gain(result: LabelNext) -> str:
    more = len(result.images)
    if result.fine_tuned:
        return (
            "What they would bring is not forecast: the fine-tuned backbone has seen the training images, so their "
            "learning curve would be too optimistic."
        )
    if result.gain.value is None:
        return f"What they would bring: {result.gain.note or 'undefined'}."
    points = ", ".join(f"{100 * end:+.2f}" for end in (result.gain.low, result.gain.high) if end is not None)
    return (
        f"{counted(more, 'random image')} like the {result.labelled:,} training images would add "
        f"{100 * result.gain.value:+.2f} points of accuracy [{points}] ({result.confidence:.0%}), by the learning "
        "curve. Chosen images may bring more or less than random ones; the test split tells."
    )
