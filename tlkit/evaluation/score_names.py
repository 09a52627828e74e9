"""Names of the metrics that `evaluate` gives and `compare` compares, with title, range and direction."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tlkit.errors import PredictionsError, did_you_mean, first_few
from tlkit.spelling import known_name
from tlkit.stats.measured import ScoreFacts

SCORES: dict[str, ScoreFacts] = {
    "accuracy": ScoreFacts("accuracy"),
    "balanced_accuracy": ScoreFacts("balanced accuracy"),
    "macro_precision": ScoreFacts("macro precision"),
    "macro_recall": ScoreFacts("macro recall"),
    "macro_f1": ScoreFacts("macro F1"),
    "micro_precision": ScoreFacts("micro precision"),
    "micro_recall": ScoreFacts("micro recall"),
    "micro_f1": ScoreFacts("micro F1"),
    "weighted_precision": ScoreFacts("weighted precision"),
    "weighted_recall": ScoreFacts("weighted recall"),
    "weighted_f1": ScoreFacts("weighted F1"),
    "mcc": ScoreFacts("Matthews correlation", lowest=-1.0),
    "cohen_kappa": ScoreFacts("Cohen's kappa", lowest=-1.0),
    "cohen_kappa_quadratic": ScoreFacts("Cohen's kappa, quadratic", lowest=-1.0),
    "auroc": ScoreFacts("AUROC, one-vs-rest, macro", needs_proba=True),
    "average_precision": ScoreFacts("average precision, one-vs-rest, macro", needs_proba=True),
    "log_loss": ScoreFacts("log loss", needs_proba=True, highest=math.inf, higher_is_better=False),
    "brier": ScoreFacts("Brier score", needs_proba=True, highest=2.0, higher_is_better=False),
}
"""Metrics over all classes by name. Besides: `top_K`, and `recall:CLASS` and its like for one class."""
SAME_AS: dict[str, str] = {
    "macro_recall": "balanced_accuracy",
    "micro_precision": "accuracy",
    "micro_recall": "accuracy",
    "micro_f1": "accuracy",
    "weighted_recall": "accuracy",
}
"""Metrics that equal another one where every image has one true and one predicted class."""
BRIER_PARTS: dict[str, str] = {
    "brier_reliability": "Brier: reliability",
    "brier_resolution": "Brier: resolution",
    "brier_uncertainty": "Brier: uncertainty",
    "brier_within_bins": "Brier: within bins",
}
"""Titles of the parts of the Brier score, which have no test of their own."""
HEADLINE = ("accuracy", "balanced_accuracy", "macro_f1", "log_loss")
"""Metrics that are fields of an `Evaluation`; the others are in its `scores`."""
SCORE_ORDER = tuple(name for name in (*SCORES, *BRIER_PARTS) if name not in HEADLINE)
"""Order of the entries of `Evaluation.scores`."""
OF_ONE_CLASS: dict[str, ScoreFacts] = {
    "recall": ScoreFacts("recall"),
    "precision": ScoreFacts("precision"),
    "f1": ScoreFacts("F1"),
    "auroc": ScoreFacts("AUROC", needs_proba=True),
    "average_precision": ScoreFacts("average precision", needs_proba=True),
}


def own_name(name: str, classes: Sequence[str]) -> str:
    """Return the name of a metric with its class as the classes write it, where it is another spelling of one.

    Example:
        >>> own_name("recall: cat", ["cat", "dog"]), own_name("macro_f1", ["cat", "dog"])
        ('recall:cat', 'macro_f1')
    """
    kind, colon, label = name.partition(":")
    return f"{kind}:{known_name(label, classes)}" if colon and kind in OF_ONE_CLASS else name


def facts_of(name: str, classes: Sequence[str]) -> ScoreFacts:
    """Return what a metric is, by name.

    Args:
        name: one of `SCORES`; `top_K` with a K below the number of classes; or a metric of one class, `recall:CLASS`,
            `precision:CLASS`, `f1:CLASS`, `auroc:CLASS` or `average_precision:CLASS`.
        classes: names of the classes.

    Raises:
        PredictionsError: there is no such metric, class or K.
    """
    if name in SCORES:
        return SCORES[name]
    kind, colon, label = name.partition(":")
    if colon and kind in OF_ONE_CLASS:
        if label not in classes:
            raise PredictionsError(
                f"metric {name}: there is no class {label!r}.{did_you_mean(label, classes)} "
                f"The classes are: {first_few(classes, most=20)}."
            )
        facts = OF_ONE_CLASS[kind]
        return ScoreFacts(f"{facts.title} of {label}", facts.needs_proba)
    digits = name.removeprefix("top_")
    if digits != name and digits.isdecimal():
        if not 1 <= int(digits) < len(classes):
            raise PredictionsError(
                f"metric {name}: K must be at least 1 and below the number of classes, {len(classes)}. "
                + ("Use accuracy." if len(classes) == 2 else f"Use top_2 … top_{len(classes) - 1}, or accuracy.")
            )
        return ScoreFacts(f"top-{int(digits)} accuracy", needs_proba=True)
    raise PredictionsError(
        f"There is no metric {name!r}.{did_you_mean(name, list(SCORES))} Use one of {', '.join(SCORES)}; top_K, such "
        f"as top_5; or {', '.join(f'{kind}:CLASS' for kind in OF_ONE_CLASS)} for one class."
    )
