"""The bias audit: rates across groups with intervals, tests and a verdict that can say "not enough data"."""

from tlkit.audit.audit import Audit, audit_groups
from tlkit.audit.cells import by_problems

__all__ = ["Audit", "audit_groups", "by_problems"]
