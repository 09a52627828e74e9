"""Redaction of estimates that rest on too few images, in tables, gates and redacted JSON.

`redact` is the rule for all estimates. Counts by group are protected by complementary suppression instead, in
`Audit.export` (`tlkit.audit.cell_suppression`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tlkit.errors import TlkitError
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
_UNBOUNDED = ("odds", "brier", "log_loss")  # not rates: `max_half_width` does not apply


WITHHELD = "too few images for a number"


def redact(estimate: Estimate, most: float) -> Estimate:
    """Return an estimate; without its value, but with its interval, where that reaches farther than `most` to a side.

    Example:
        >>> redact(Estimate(0.45, 0.28, 0.65, n=24), 0.15)
        Estimate(value=None, low=0.28, high=0.65, n=24, note='too few images for a number')
    """
    return replace(estimate, value=None, note=WITHHELD) if estimate.is_wide(most) else estimate


def redaction_notes(tables: Iterable[Table], most: float) -> tuple[str, ...]:
    """Return a sentence that defines intervals without a value, if a table has one."""
    cells = (cell for table in tables for row in table.rows for cell in row if isinstance(cell, Estimate))
    if not any(cell.value is None and cell.low is not None for cell in cells):
        return ()
    return (f"An interval alone, [low, high], reaches farther than {most:g} to each side: {WITHHELD}.",)


def refuse_redacted(what: str, values: Mapping[str, Any], remedy: str) -> None:
    """Raise where the plain values of a result were published without the numbers of small groups.

    Raises:
        TlkitError: they are redacted; it names the remedy, which is what to use instead.
    """
    if not values.get("complete", True):
        raise TlkitError(
            f"{what} was published without the numbers of small groups, so it cannot be read back. Use {remedy}."
        )


def redacted_audit(audit: Audit) -> dict[str, Any]:
    """Return an audit for publication, in the form of `Audit.to_dict` with `"complete": false`.

    It leaves out what the tables hide: rates and right images of small groups, and the value (not the interval) of an
    estimate whose interval reaches farther than `max_half_width` on each side. It also leaves out values from which
    these follow: ratios, shrunken rates, differences to a redacted best group, a largest gap between redacted rates.
    Group sizes stay, so a hidden count can follow from a total; only `Audit.export` prevents that.
    """
    values, most = audit.to_dict(), audit.settings.max_half_width
    for table, plain in zip(audit.group_tables, values["group_tables"], strict=True):
        hide_table(table, plain, most)
    for facts in values["columns"]:
        del facts["right"]
    for profile in (row for table in values["profiles"] for row in table["rows"]):
        for name in _PROFILED:
            profile[name] = _redacted(profile[name], most)
        for name in _BY_CLASS:
            profile[name] = profile[name] and {key: _redacted(one, most) for key, one in profile[name].items()}
    return {**values, "complete": False}


def redacted_explanation(explanation: Explanation, *, most: float) -> dict[str, Any]:
    """Return an explanation for publication, as `Explanation.to_dict` with wide estimates without a value.

    Args:
        explanation: the explanation.
        most: an estimate whose interval reaches farther on each side loses its value.
    """

    def redact_all(value: Any) -> Any:
        if isinstance(value, Mapping):
            if {"value", "low", "high", "n", "note"} <= value.keys():
                return _redacted(value, most)
            return {key: entry if key in _UNBOUNDED else redact_all(entry) for key, entry in value.items()}
        return [redact_all(entry) for entry in value] if isinstance(value, list) else value

    values: dict[str, Any] = redact_all(explanation.to_dict())
    return {**values, "complete": False}


def redacted_comparison(comparison: Comparison) -> dict[str, Any]:
    """Return a comparison for publication, as `Comparison.to_dict` with only the size of small groups."""
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


def hide_table(table: GroupTable, plain: dict[str, Any], most: float) -> None:
    """Remove from the plain values of a table what tables for readers hide."""
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
