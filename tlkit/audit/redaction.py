"""Redaction: which numbers of an audit or a comparison no table, no JSON for other eyes and no gate may show.

`redact` is the one rule for estimates; tables, gates and the published values all use it. Counts by group are hidden by
another rule, complementary suppression, in `Audit.export` (`tlkit.audit.cell_suppression`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tlkit.stats.estimate import Estimate
from tlkit.tables import Table

if TYPE_CHECKING:
    from tlkit.audit.audit_result import Audit
    from tlkit.audit.explanation import Explanation
    from tlkit.audit.group_tables import GroupTable
    from tlkit.audit.model_comparison import Comparison

_TO_BEST = ("best_difference", "best_ratio", "best_error_ratio")
_RATIOS = ("ratio", "error_ratio")
_PROFILED = ("macro_recall", "macro_recall_common", "confidence_gap")
_BY_CLASS = ("recall", "auroc", "auroc_positives", "auroc_negatives")
_UNBOUNDED = ("odds", "brier", "log_loss")  # no rates: how wide their intervals are says nothing


WITHHELD = "too few images for a number"


def redact(estimate: Estimate, most: float) -> Estimate:
    """Return an estimate; without its value, but with its interval, where that reaches farther than `most` to a side.

    Example:
        >>> redact(Estimate(0.45, 0.28, 0.65, n=24), 0.15)
        Estimate(value=None, low=0.28, high=0.65, n=24, note='too few images for a number')
    """
    return replace(estimate, value=None, note=WITHHELD) if estimate.is_wide(most) else estimate


def redaction_notes(tables: Iterable[Table], most: float) -> tuple[str, ...]:
    """Return what an interval without a value means, in one sentence, where a cell of the tables is one."""
    cells = (cell for table in tables for row in table.rows for cell in row if isinstance(cell, Estimate))
    if not any(cell.value is None and cell.low is not None for cell in cells):
        return ()
    return (f"An interval alone, [low, high], reaches farther than {most:g} to each side: {WITHHELD}.",)


def redacted_audit(audit: Audit) -> dict[str, Any]:
    """Return an audit for other eyes, in the form of `Audit.to_dict` with `"complete": false`.

    Left out is what the tables hide: rates, and right images, of groups that are too small, and the number (not the
    interval) of an estimate whose interval reaches farther than `max_half_width` to each side, with all that would give
    it back: ratios, shrunken rates, the differences to a best group without a number, such a largest gap. The sizes of
    groups stay, as in the tables, and so may a hidden count be the total minus all others: `Audit.export` is what
    promises that it cannot.
    """
    values, most = audit.to_dict(), audit.settings.max_half_width
    for table, plain in zip(audit.group_tables, values["group_tables"], strict=True):
        _hide_table(table, plain, most)
    for facts in values["columns"]:
        del facts["right"]
    for profile in (row for table in values["profiles"] for row in table["rows"]):
        for name in _PROFILED:
            profile[name] = _redacted(profile[name], most)
        for name in _BY_CLASS:
            profile[name] = profile[name] and {key: _redacted(one, most) for key, one in profile[name].items()}
    return {**values, "complete": False}


def redacted_explanation(explanation: Explanation, *, most: float) -> dict[str, Any]:
    """Return what lies behind the gaps for other eyes: as `Explanation.to_dict`, wide estimates without a number.

    Args:
        explanation: what to write.
        most: an interval that reaches farther to each side stands without its number.
    """

    def walked(value: Any) -> Any:
        if isinstance(value, Mapping):
            if {"value", "low", "high", "n", "note"} <= value.keys():
                return _redacted(value, most)
            return {key: entry if key in _UNBOUNDED else walked(entry) for key, entry in value.items()}
        return [walked(entry) for entry in value] if isinstance(value, list) else value

    values: dict[str, Any] = walked(explanation.to_dict())
    return {**values, "complete": False}


def redacted_comparison(comparison: Comparison) -> dict[str, Any]:
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


def _redacted(plain: Mapping[str, Any] | None, most: float) -> dict[str, Any] | None:
    """Return the plain values of an estimate, redacted."""
    return None if plain is None else redact(Estimate.from_dict(plain), most).to_dict()


def _hide_table(table: GroupTable, plain: dict[str, Any], most: float) -> None:
    """Hide in the plain values of a table what its text does not show."""
    best = table.best
    for row, values in zip(table.rows, plain["rows"], strict=True):
        for name in ("rate", "difference", "base_rate"):
            values[name] = _redacted(values[name], most)
        if row.wide:
            values["shrunk"] = None
        if row.wide or (row.difference is not None and row.difference.is_wide(most)):
            values.update(dict.fromkeys(_RATIOS))
        if row.wide or best is None or best.wide:
            values.update(dict.fromkeys(_TO_BEST))
        else:
            values["best_difference"] = _redacted(values["best_difference"], most)
    if table.gap is not None and (table.row(table.gap.lowest).wide or table.row(table.gap.highest).wide):
        plain["gap"].update(dict.fromkeys(("value", "ratio", "error_ratio")))
