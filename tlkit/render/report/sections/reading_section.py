"""How the numbers of the report were computed: intervals, tests and verdicts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tlkit.render.report.page_section import Fold, PageSection

if TYPE_CHECKING:
    from tlkit.audit.audit_result import Audit
    from tlkit.audit.explanation import Explanation
    from tlkit.evaluation import Evaluation
    from tlkit.render.report.run_contents import RunContents

Notes = tuple[tuple[str, str], ...]


def reading_section(run: RunContents) -> PageSection:
    """Return the methods, a fold each; the words are in the glossary."""
    notes = reading(run.evaluation, run.audit, run.explanation)
    claim = "Which interval, test and correction each number comes from. The glossary at the end explains the words."
    return PageSection("reading", "Methods", claim, tuple(Fold(name, notes=(text,)) for name, text in notes))


def reading(evaluation: Evaluation, audit: Audit | None, explanation: Explanation | None = None) -> Notes:
    """Return (term, definition) for what the page shows."""
    notes = _of_evaluation(evaluation)
    if audit is not None:
        notes += _of_audit(audit)
    if explanation is not None:
        notes += _of_explanation(explanation)
    return notes


def _of_evaluation(evaluation: Evaluation) -> Notes:
    level, dependent = f"{evaluation.confidence:.0%}", "Near-duplicates and bursts make every interval too narrow."
    if evaluation.clusters is not None:
        dependent = (
            f"All of them allow for images of one {evaluation.cluster_by} being alike: the sizes are effective ones,"
            " and averages over classes take Student's t of the clusters in place of the bootstrap."
        )
    return (
        (
            f"Intervals, [low, high] at {level}",
            "Sampling uncertainty of a number, for images drawn at random and independently."
            " Shares of images (accuracy, top-k, recall, precision, group rates) have Wilson's score interval; F1 has"
            " Wilson's interval of TP / (TP + FP + FN), mapped to F1. Averages over classes take the wider of a"
            " bootstrap of the confusion matrix and the combined intervals of the classes. The log loss has Student's t"
            f" interval. {dependent}",
        ),
        (
            "Recall, precision, F1",
            "Recall: of the images of a class, the share that was recognized. Precision: of the images that were given"
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
            "Groups against their complements",
            "Each group is compared with all other images whose group is known: the difference of the two rates"
            f" with {_compared(audit)} p-values are corrected for all"
            f" {audit.tests} tests of this audit by Holm's method.",
        ),
        (
            "Verdicts",
            f"FAIL: the whole interval of the difference lies beyond {tolerance}, and the corrected p is below"
            f" {alpha}; the row says whether the group lies below or above the rest, in a color of its own where it is"
            f" better off. PASS: the whole interval lies within {tolerance}. NOT ENOUGH DATA: neither; the last columns"
            " hold the smallest gap that these images could show (with 80% power) and how many more are needed."
            " It is not a PASS.",
        ),
        (
            "Largest gap",
            "The highest minus the lowest group rate. The more groups and the smaller they are, the larger a gap"
            " chance alone makes, so it is shown with the gap expected by chance and the p-value of a"
            f" {'permutation test' if settings.gap_test_name == 'permutation' else 'simulation with their variances'}.",
        ),
        (
            "Limits of an audit",
            "It describes disparities between the named groups on these images. It does not show their causes, and it"
            " says nothing about other groups or other images.",
        ),
    )


def _compared(audit: Audit) -> str:
    """Return which interval and test compare groups, and the sampling design."""
    settings = audit.settings
    if settings.test_name == "Fisher":
        return "Newcombe's interval, and Fisher's exact test."
    whole = "The figures of the evaluation, over all images, do not."
    if settings.pair_by is not None:
        return (
            f"Newcombe's interval for pairs, and an exact test, within matched sets of {settings.pair_by}. Other"
            f" intervals of the audit treat a set as a cluster. {whole}"
        )
    if settings.cluster_by is None:
        return (
            "Newcombe's interval and a score test, by the effective sizes that the weights leave. All intervals of the"
            f" audit allow for the weights in {settings.weights}. {whole}"
        )
    weights = "" if settings.weights is None else f", and for the weights in {settings.weights}"
    return (
        "Newcombe's interval by effective sizes, no narrower than Student's t on the clusters, and the test of the same"
        f" t. All intervals of the audit allow for images of one {settings.cluster_by} being alike{weights}. {whole}"
    )


def _of_explanation(explanation: Explanation) -> Notes:
    made = "resample the images" if explanation.independent else "come from leaving out each cluster in turn"
    if not explanation.independent and explanation.settings.cluster_by is None and explanation.settings.pair_by is None:
        made = "come from leaving out each weighted image in turn"
    return (
        (
            "Class mix and rate",
            "A group can do worse because it has more of the hard classes (mix), or because the same classes are"
            " recognized less often in it (rate). Kitagawa's split adds up to the gap over the classes that both"
            f" sides have; its intervals {made}. “Standardized” is the gap if both sides had the"
            " classes in the shares of all images together. Mix need not be harmless: labels can be skewed as well.",
        ),
        (
            "Within another attribute",
            "The odds of being right are compared among images that share the other attribute's value, and pooled"
            " (Mantel–Haenszel); a logistic regression says the same as a difference of accuracies. None of it shows"
            " what causes a gap.",
        ),
    )
