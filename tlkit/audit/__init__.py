"""The bias audit: rates across groups with intervals, tests and a verdict that can say "not enough data"."""

from tlkit.audit.audit import Audit, audit_groups
from tlkit.audit.explain import explain_gaps
from tlkit.audit.explanation import Explanation
from tlkit.audit.groups.intersections import validate_columns
from tlkit.audit.mask_audit import audit_masks
from tlkit.audit.model_comparison import Comparison, compare_predictions
from tlkit.audit.multilabel_audit import audit_multilabel
from tlkit.audit.number_audit import audit_numbers
from tlkit.audit.task_comparison import TaskComparison, compare_task_models

__all__ = [
    "Audit",
    "Comparison",
    "Explanation",
    "TaskComparison",
    "audit_groups",
    "audit_masks",
    "audit_multilabel",
    "audit_numbers",
    "compare_predictions",
    "compare_task_models",
    "explain_gaps",
    "validate_columns",
]
