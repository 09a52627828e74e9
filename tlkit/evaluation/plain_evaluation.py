"""What an evaluation found, in plain sentences."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tlkit.tables import counted
from tlkit.tables.shares import in_percent

if TYPE_CHECKING:
    from tlkit.evaluation.evaluation_result import Evaluation

MOST_CONFUSIONS = 2


def evaluation_sentences(evaluation: Evaluation, *, split: str = "") -> tuple[str, ...]:
    """Return the accuracy with its interval, what qualifies it, and what is confused most often.

    Args:
        evaluation: the figures.
        split: the split that they are about; "" for a table of another tool.
    """
    what = f"{split} image" if split else "image"
    images, classes = counted(evaluation.n, what), f"{len(evaluation.classes):,} classes"
    found = [
        f"Accuracy {in_percent(evaluation.accuracy)} on {images} of {classes} ({evaluation.confidence:.0%} interval)."
    ]
    if (clean := evaluation.without_leaks) is not None:
        left_out = "1 image that is" if clean.n_leaked == 1 else f"{clean.n_leaked:,} images that are"
        found.append(f"Without the {left_out} also in an earlier split: {in_percent(clean.accuracy)}.")
    if evaluation.trained_on:
        found.append("The model was trained on these images: this says nothing about new ones.")
    pairs = evaluation.most_confused(MOST_CONFUSIONS)
    if len(pairs):
        named = [
            f"{true} taken for {predicted} ({int(count):,} of {int(support):,})"
            for true, predicted, count, support, _ in pairs.itertuples(index=False)
        ]
        found.append(f"Most frequent confusions: {', '.join(named)}.")
    return tuple(found)
