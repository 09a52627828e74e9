"""Reads what val chose for a model of labels, grades or numbers, as its stored facts hold it: `StoredRule`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tlkit.evaluation.label_thresholds import LabelThresholds
from tlkit.stored_values import check_types
from tlkit.uncertainty.number_intervals import IntervalRule


@dataclass(frozen=True)
class StoredRule:
    """What val chose.

    Attributes:
        thresholds: of several labels; None = none were chosen.
        intervals: of numbers or grades; None = none were calibrated.
    """

    thresholds: LabelThresholds | None = None
    intervals: IntervalRule | None = None

    @classmethod
    def of(cls, rule: Mapping[str, Any], classes: Sequence[str]) -> StoredRule:
        """Return the rule in a model's facts, after checking each value.

        Args:
            rule: the facts, plain JSON values.
            classes: labels or grades of the model.

        Raises:
            Exception: a value is of another kind or out of its range, one of `stored_values.DAMAGES`; `damaged` turns
                it into an error that names the file.

        Example:
            >>> StoredRule.of({}, ["cat", "dog"])
            StoredRule(thresholds=None, intervals=None)
        """
        thresholds, intervals = rule.get("thresholds"), rule.get("intervals")
        found = cls(
            None if thresholds is None else LabelThresholds.from_dict(thresholds),
            None if intervals is None else IntervalRule.from_dict(intervals),
        )
        if found.thresholds is not None:
            check_types(found.thresholds)
            values = found.thresholds.values
            if lacking := [name for name in classes if name not in values]:
                raise ValueError(f"no threshold of {lacking[0]!r}")
            if not all(0 <= value <= 1 for value in values.values()):
                raise ValueError("a threshold is no probability")
        if found.intervals is not None:
            check_types(found.intervals)
            margins = [found.intervals.margin, *(found.intervals.group_margins or {}).values()]
            if any(map(math.isnan, margins)) or not 0 < found.intervals.coverage < 1:
                raise ValueError("a margin or the coverage of the intervals is out of range")
        return found
