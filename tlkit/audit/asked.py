"""What an audit can be asked: the range of every parameter, in words."""

from __future__ import annotations

from collections.abc import Sequence

from tlkit.audit.criteria import CRITERIA
from tlkit.audit.design import pairing_problems
from tlkit.audit.rates import METRICS
from tlkit.audit.result import AuditSettings
from tlkit.errors import did_you_mean, first_few


def setting_problems(settings: AuditSettings, classes: Sequence[str]) -> list[str]:
    """Return which parameters are out of their range, or do not go together."""
    rules = {
        "min_group_size": ("an integer of at least 1", settings.min_group_size >= 1),
        "max_intersection_order": ("an integer of at least 1", settings.max_intersection_order >= 1),
        "confidence": ("above 0 and below 1, for example 0.95", 0 < settings.confidence < 1),
        "tolerance": ("at least 0 and below 1, for example 0.05", 0 <= settings.tolerance < 1),
        "alpha": ("above 0 and below 1, for example 0.05", 0 < settings.alpha < 1),
        "max_half_width": ("above 0 and at most 1, for example 0.15", 0 < settings.max_half_width <= 1),
        "seed": ("an integer of at least 0", settings.seed >= 0),
        "draws": ("an integer of at least 100", settings.draws >= 100),
    }
    problems = [
        f"The `{name}` parameter of `audit_groups` must be {rule}. Got {getattr(settings, name)} instead."
        for name, (rule, holds) in rules.items()
        if not holds
    ]
    if not settings.metrics and not settings.criteria:
        problems.append(f"There is no metric to compare. Name at least one of: {', '.join(METRICS)}.")
    problems += [
        f"There is no metric {metric!r}.{did_you_mean(str(metric), METRICS)} The metrics are: {', '.join(METRICS)}."
        for metric in settings.metrics
        if metric not in METRICS
    ]
    problems += [
        f"There is no criterion {one!r}.{did_you_mean(str(one), CRITERIA)} The criteria are: {', '.join(CRITERIA)}."
        for one in settings.criteria
        if one not in CRITERIA
    ]
    if settings.positive is not None and settings.positive not in classes:
        problems.append(
            f"The positive class {settings.positive!r} is not among the classes."
            f"{did_you_mean(settings.positive, classes)} The classes are: {first_few(list(classes), most=20)}."
        )
    problems += pairing_problems(settings)
    if settings.weights is not None and "four_fifths" in settings.criteria:
        problems.append("The four-fifths rule counts images. Leave out weights, or four_fifths.")
    return problems
