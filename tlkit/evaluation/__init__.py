"""Evaluation of a classifier: accuracy, averages over classes, classes, confusions, each with its interval."""

from tlkit.evaluation.evaluation import evaluate
from tlkit.evaluation.evaluation_result import ClassResult, Evaluation

__all__ = ["ClassResult", "Evaluation", "evaluate"]
