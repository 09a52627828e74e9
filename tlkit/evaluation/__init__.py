"""How good a classifier is: every number with its error bar, or the reason why it has none."""

from tlkit.evaluation.evaluation import evaluate
from tlkit.evaluation.evaluation_result import ClassResult, Evaluation

__all__ = ["ClassResult", "Evaluation", "evaluate"]
