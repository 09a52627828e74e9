"""The table of an audit's profiles: calibration, ranking and recall of each group."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tlkit.audit.group_profiles import MIN_CALIBRATION, MIN_RANKED
from tlkit.audit.redaction import redact
from tlkit.tables import Cell, Column, Table

if TYPE_CHECKING:
    from tlkit.audit.audit_result import Audit
    from tlkit.audit.group_profiles import GroupProfile

AREAS = ("auroc", "auroc_positives", "auroc_negatives")


def profile_tables(audit: Audit) -> tuple[Table, ...]:
    """Return calibration, ranking and recall of the groups of single columns, on which no test rests.

    The AUROCs are those of the positive class, where there is one: within the group, then across to the complement
    (`GroupProfile.auroc_positives`, `auroc_negatives`). A column that has a figure for no group is left out, and
    a note says why.
    """
    positive, most = audit.settings.positive, audit.settings.max_half_width
    rows = [(table.by, row) for table in audit.profiles if len(table.columns) == 1 for row in table.rows]
    if not rows:
        return ()
    columns = [
        Column("by", "by"),
        Column("group", "group"),
        Column("n", "n", "count"),
        Column("macro_recall", "macro recall", "estimate"),
        Column("macro_note", "of classes"),
    ]
    if any(row.confidence_gap is not None for _, row in rows):
        columns += [
            Column("confidence_gap", "confidence - accuracy", "estimate", signed=True),
            Column("calibration", "ECE", "number"),
            Column("calibration_expected", "ECE by chance", "number"),
            Column("brier", "Brier", "estimate"),
            Column("log_loss", "log loss", "estimate"),
        ]
        if positive is not None:
            columns += [
                Column("auroc", f"AUROC of {positive}", "estimate"),
                Column("auroc_positives", "BNSP AUC", "estimate"),
                Column("auroc_negatives", "BPSN AUC", "estimate"),
            ]
    cells = [_profile(by, row, positive, most) for by, row in rows]
    optional = {"macro_note", "calibration", "calibration_expected", *AREAS}
    empty = {
        column.name for column in columns if column.name in optional and not any(one[column.name] for one in cells)
    }
    kept = [column for column in columns if column.name not in empty]
    return (
        Table(
            name="profiles",
            title="Calibration, ranking and recall by group (no test rests on them)",
            columns=tuple(kept),
            rows=tuple(tuple(one[column.name] for column in kept) for one in cells),
            notes=tuple(_profile_notes(positive, columns, empty)),
        ),
    )


def _profile(by: str, row: GroupProfile, positive: str | None, most: float) -> dict[str, Cell]:
    recall = row.macro_recall
    known = recall is not None and recall.value is not None
    areas = {name: (getattr(row, name) or {}).get(positive or "") for name in AREAS}
    return {
        "by": by,
        "group": row.name,
        "n": row.images,
        "macro_recall": redact(recall, most) if recall is not None and known else None,
        "macro_note": recall.note if recall is not None and known else "",
        "confidence_gap": None if row.confidence_gap is None else redact(row.confidence_gap, most),
        "calibration": None if row.calibration_expected is None else row.calibration,
        "calibration_expected": row.calibration_expected,
        "brier": row.brier,
        "log_loss": row.log_loss,
        **{name: None if area is None else redact(area, most) for name, area in areas.items()},
    }


def _profile_notes(positive: str | None, columns: list[Column], empty: set[str]) -> list[str]:
    """Return the definition of the AUCs, and why columns are left out."""
    names = {column.name: column.label for column in columns}
    meant = {
        "auroc_positives": f"BNSP AUC: {positive} in the group ranked against other classes in the complement.",
        "auroc_negatives": f"BPSN AUC: {positive} in the complement ranked against other classes in the group.",
    }
    found = [meaning for name, meaning in meant.items() if name in names and name not in empty]
    if "calibration" in empty:
        found.append(f"ECE is left out: it takes {MIN_CALIBRATION} images of a group, or an effective size of as many.")
    ranked = [label for name, label in names.items() if name in empty and name.startswith("auroc")]
    if ranked:
        takes = "is left out: it takes" if len(ranked) == 1 else "are left out: each takes"
        sides = f"{MIN_RANKED} images of {positive} on one side and {MIN_RANKED} others on the other"
        found.append(f"{', '.join(ranked)} {takes} {sides}.")
    return found
