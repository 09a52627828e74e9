"""How to read the page: what each number means and how its interval was made."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tlkit.audit.explanation import Explanation
    from tlkit.audit.result import Audit
    from tlkit.evaluation import Evaluation

Notes = tuple[tuple[str, str], ...]


def reading(evaluation: Evaluation, audit: Audit | None, explanation: Explanation | None = None) -> Notes:
    """Return the explanations that this page needs: a term, and what it means."""
    notes = _of_evaluation(evaluation)
    if audit is not None:
        notes += _of_audit(audit)
    if explanation is not None:
        notes += EXPLANATION
    return notes


def _of_evaluation(evaluation: Evaluation) -> Notes:
    level = f"{evaluation.confidence:.0%}"
    return (
        (
            f"Intervals, [low, high] at {level}",
            "How far chance alone may move a number, if the images were drawn at random and independently."
            " Shares of images (accuracy, top-k, recall, precision, group rates) have Wilson's score interval; F1 has"
            " Wilson's interval of TP / (TP + FP + FN), mapped to F1. Averages over classes take the wider of a"
            " bootstrap of the confusion matrix and the combined intervals of the classes. The log loss has Student's t"
            " interval. Near-duplicates and bursts make every interval too narrow.",
        ),
        (
            "Recall, precision, F1",
            "Recall: of the images of a class, the share that was recognised. Precision: of the images that were given"
            " a class, the share that belongs to it. F1: the harmonic mean of both. A number without images to rest on"
            " is undefined, not zero.",
        ),
        ("Balanced accuracy", "The mean recall of the classes that have images: every class counts the same."),
    )


def _of_audit(audit: Audit) -> Notes:
    settings = audit.settings
    tolerance, alpha = f"{settings.tolerance:g}", f"{settings.alpha:g}"
    return (
        (
            "Groups against the rest",
            "Each group is compared with all other images whose group is known: the difference of the two rates"
            " with Newcombe's interval, and Fisher's exact test. p-values are corrected for all"
            f" {audit.tests} tests of this audit by Holm's method.",
        ),
        (
            "Verdicts",
            f"FAIL: the whole interval of the difference lies beyond {tolerance}, and the corrected p is below"
            f" {alpha}. PASS: the whole interval lies within {tolerance}. NOT ENOUGH DATA: neither; the last"
            " columns say what gap these images could have shown (with 80% power) and how many more would do."
            " It is not a weaker PASS.",
        ),
        (
            "Largest gap",
            "The highest minus the lowest group rate. The more groups and the smaller they are, the larger a gap"
            " chance alone makes, so it is shown beside the gap to expect by chance and the p-value of a"
            " permutation test.",
        ),
        (
            "What an audit does not say",
            "It describes disparities between the groups that were named, on these images. It does not say why they"
            " arise, nor what happens to other groups or with other images.",
        ),
    )


EXPLANATION: Notes = (
    (
        "Class mix and rate",
        "A group can do worse because it has more of the hard classes (mix), or because the same classes are"
        " recognised less often in it (rate). Kitagawa's split adds up to the gap over the classes that both"
        " sides have; its intervals resample the images. “Standardised” is the gap if both sides had the"
        " classes in the shares of all images together. Mix need not be harmless: labels can be skewed, too.",
    ),
    (
        "Within another attribute",
        "The odds of being right are compared among images that share the other attribute's value, and pooled"
        " (Mantel–Haenszel); a logistic regression says the same as a difference of accuracies. None of it says"
        " what causes a gap.",
    ),
)
