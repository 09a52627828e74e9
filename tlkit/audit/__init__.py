"""The bias audit: rates across groups with intervals, tests and a verdict that can say "not enough data"."""

from tlkit.audit.audit import Audit, audit_groups
from tlkit.audit.cells import by_problems
from tlkit.audit.comparison import Comparison, compare_predictions

__all__ = ["Audit", "Comparison", "audit_groups", "by_problems", "compare_predictions"]
