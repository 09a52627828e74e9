"""The bias audit: rates across groups with intervals, tests and a verdict that can say "not enough data"."""

from tlkit.audit.audit import Audit, audit_groups
from tlkit.audit.explain import explain_gaps
from tlkit.audit.explanation import Explanation
from tlkit.audit.groups.intersections import validate_columns
from tlkit.audit.model_comparison import Comparison, compare_predictions

__all__ = [
    "Audit",
    "Comparison",
    "Explanation",
    "audit_groups",
    "compare_predictions",
    "explain_gaps",
    "validate_columns",
]
