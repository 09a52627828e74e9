"""What leaves the run: audits and comparisons as JSON values that hold no number which their text does not show."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tlkit.audit.audit_result import Audit
from tlkit.audit.explanation import Explanation
from tlkit.audit.group_tables import GroupTable
from tlkit.audit.model_comparison import Comparison
from tlkit.stats.estimate import Estimate

_TO_BEST = ("best_difference", "best_ratio", "best_error_ratio")
_RATIOS = ("ratio", "error_ratio")
_PROFILED = ("macro_recall", "macro_recall_common", "confidence_gap")
_BY_CLASS = ("recall", "auroc", "auroc_positives", "auroc_negatives")
_UNBOUNDED = ("odds", "brier", "log_loss")  # no rates: how wide their intervals are says nothing


def published_audit(audit: Audit) -> dict[str, Any]:
    """Return an audit for other eyes, in the form of `Audit.to_dict` with `"complete": false`.

    Left out is what the tables hide: rates, and right images, of groups that are too small, and the number (not the
    interval) of an estimate whose interval reaches farther than `max_half_width` to each side, with all that would give
    it back: ratios, shrunken rates, the differences to a best group without a number, such a largest gap. The sizes of
    groups stay, as in the tables, and so may a hidden count be the total minus all others: `Audit.export` is what
    promises that it cannot.
    """
    values, most = audit.to_dict(), audit.settings.max_half_width
    for table, plain in zip(audit.tables, values["tables"], strict=True):
        _hide_table(table, plain, most)
    for facts in values["columns"]:
        del facts["right"]
    for profile in (row for table in values["profiles"] for row in table["rows"]):
        for name in _PROFILED:
            profile[name] = shown(profile[name], most)
        for name in _BY_CLASS:
            profile[name] = profile[name] and {key: shown(one, most) for key, one in profile[name].items()}
    return {**values, "complete": False}


def published_explanation(explanation: Explanation, *, most: float) -> dict[str, Any]:
    """Return what lies behind the gaps for other eyes: as `Explanation.to_dict`, wide estimates without a number.

    Args:
        explanation: what to write.
        most: an interval that reaches farther to each side stands without its number.
    """

    def walked(value: Any) -> Any:
        if isinstance(value, Mapping):
            if {"value", "low", "high", "n", "note"} <= value.keys():
                return shown(value, most)
            return {key: entry if key in _UNBOUNDED else walked(entry) for key, entry in value.items()}
        return [walked(entry) for entry in value] if isinstance(value, list) else value

    values: dict[str, Any] = walked(explanation.to_dict())
    return {**values, "complete": False}


def published_comparison(comparison: Comparison) -> dict[str, Any]:
    """Return a comparison for other eyes: as `Comparison.to_dict`, of small groups the size alone."""
    values = comparison.to_dict()
    nothing = Estimate(None, None, None, n=0).to_dict()
    for row, plain in zip(comparison.rows, values["rows"], strict=True):
        if row.small:
            fewer = f"n = {row.pairs.n}, fewer than {comparison.settings.min_group_size}"
            few = {**nothing, "n": row.pairs.n, "note": row.difference.note or fewer}
            plain.update(dict.fromkeys(("pairs", "p", "p_holm", "detectable", "needed")))
            plain.update({name: dict(few) for name in ("first", "second", "difference")})
    return {**values, "complete": False}


def shown(estimate: Mapping[str, Any] | None, most: float) -> dict[str, Any] | None:
    """Return the plain values of an estimate, without the number where its interval reaches farther than `most`."""
    if estimate is None or estimate["low"] is None or estimate["high"] is None:
        return None if estimate is None else dict(estimate)
    if (estimate["high"] - estimate["low"]) / 2 <= most:
        return dict(estimate)
    return {**estimate, "value": None, "note": "too few images for a number"}


def _hide_table(table: GroupTable, plain: dict[str, Any], most: float) -> None:
    """Hide in the plain values of a table what its text does not show."""
    best = table.best
    for row, values in zip(table.rows, plain["rows"], strict=True):
        for name in ("rate", "difference", "base_rate"):
            values[name] = shown(values[name], most)
        if row.wide:
            values["shrunk"] = None
        if row.wide or (row.difference is not None and row.difference.is_wide(most)):
            values.update(dict.fromkeys(_RATIOS))
        if row.wide or best is None or best.wide:
            values.update(dict.fromkeys(_TO_BEST))
        else:
            values["best_difference"] = shown(values["best_difference"], most)
    if table.gap is not None and (table.row(table.gap.lowest).wide or table.row(table.gap.highest).wide):
        plain["gap"].update(dict.fromkeys(("value", "ratio", "error_ratio")))
