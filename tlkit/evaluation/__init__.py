"""Evaluation of classes, labels, grades and numbers: every figure with its interval."""

from tlkit.evaluation.evaluate_masks import evaluate_masks
from tlkit.evaluation.evaluate_numbers import evaluate_numbers
from tlkit.evaluation.evaluation import evaluate
from tlkit.evaluation.evaluation_result import ClassResult, Evaluation
from tlkit.evaluation.label_thresholds import choose_thresholds
from tlkit.evaluation.multilabel import evaluate_multilabel

__all__ = [
    "ClassResult",
    "Evaluation",
    "choose_thresholds",
    "evaluate",
    "evaluate_masks",
    "evaluate_multilabel",
    "evaluate_numbers",
]
