"""The bias audit: rates across groups with intervals, tests and a verdict that can say "not enough data"."""

from tlkit.audit.audit import Audit, audit_groups
from tlkit.audit.cells import by_problems
from tlkit.audit.comparison import Comparison, compare_predictions
from tlkit.audit.explain import explain_gaps
from tlkit.audit.explanation import Explanation

__all__ = ["Audit", "Comparison", "Explanation", "audit_groups", "by_problems", "compare_predictions", "explain_gaps"]
