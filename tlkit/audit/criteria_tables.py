"""The table of the criteria that were chosen for an `Audit`, with their definitions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tlkit.audit.redaction import WITHHELD
from tlkit.choices import Criterion
from tlkit.tables import Cell, Column, Table

if TYPE_CHECKING:
    from tlkit.audit.audit_result import Audit
    from tlkit.audit.criteria import CriterionResult

DEFINITIONS: dict[Criterion, str] = {
    "accuracy_parity": "the same share of right predictions in every group",
    "demographic_parity": "the same share called the class in every group, whatever its base rate",
    "equal_opportunity": "of the images that are of the class, the same share found in every group",
    "equalized_odds": "the same share found of those that are of the class, and the same share of false alarms among "
    "the others",
    "predictive_parity": "of the images called the class, the same share right in every group",
    "four_fifths": "the lowest selection rate at least four fifths of the highest; a rule for hiring with large errors "
    "of both kinds in small samples, without a test",
}


def criteria_tables(audit: Audit) -> tuple[Table, ...]:
    """Return how far the groups of single columns are from the criteria that were chosen; nothing without any."""
    results = [result for result in audit.criteria if len(result.columns) == 1]
    if not results:
        return ()
    return (
        Table(
            name="criteria",
            title="Chosen criteria",
            columns=(
                Column("by", "by"),
                Column("criterion", "criterion"),
                Column("verdict", "verdict", "verdict"),
                Column("rate", "rate with the largest gap"),
                Column("gap", "largest gap", "number"),
                Column("expected", "by chance alone", "number"),
                Column("highest", "highest"),
                Column("lowest", "lowest"),
                Column("ratio", "smallest ratio", "number", digits=2),
                Column("lowest_base", "lowest base rate", "number"),
                Column("highest_base", "highest base rate", "number"),
                Column("note", "note"),
            ),
            rows=tuple(map(_criterion, results)),
            notes=(_choice_sentence(audit),),
        ),
    )


def _criterion(result: CriterionResult) -> tuple[Cell, ...]:
    verdict = result.verdict or ("kept" if result.kept else "not kept")
    bases = result.base_rates or (None, None)
    if result.gap is None:
        return (result.by, result.name, verdict, *[None] * 8, "no two groups are large enough to compare")
    if result.gap == 0:
        return (result.by, result.name, verdict, None, 0.0, result.expected, None, None, result.ratio, *bases, "")
    ends = (" × ".join(result.highest or ()), " × ".join(result.lowest or ()))
    number, ratio = (None, None) if result.vague else (result.gap, result.ratio)
    note = WITHHELD if result.vague else ""
    return (result.by, result.name, verdict, result.rate_name, number, result.expected, *ends, ratio, *bases, note)


def _choice_sentence(audit: Audit) -> str:
    """Return the chosen criteria with their definitions, and that they cannot all hold at once."""
    names = {result.criterion: result.name for result in audit.criteria}
    chosen = "; ".join(f"{names[one]} ({DEFINITIONS[one]})" for one in audit.settings.criteria)
    positive = audit.settings.positive
    classes = "each class against all others, the largest gap over the classes"
    return (
        f"Chosen: {chosen}; for {classes if positive is None else f'the class {positive}'}. The choice depends on the "
        "use of the model, not on these numbers: where the base rates of the groups differ and the predictions are not "
        "perfect, calibration or predictive parity and equalized odds cannot all hold (Kleinberg, Mullainathan & "
        "Raghavan 2017; Chouldechova 2017)."
    )
