"""Table of a `TaskSliceReport`: slices with their mean errors and tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tlkit.audit.slices.slice_tables import SIGNS, slice_notes
from tlkit.tables import Cell, Column, Mark, Table, counted

if TYPE_CHECKING:
    from tlkit.audit.slices.slice_report import FoundSlice
    from tlkit.audit.slices.task_slices import TaskSliceReport


def task_slice_tables(report: TaskSliceReport) -> tuple[Table, ...]:
    """Return the slices found on the searched half, in the order in which they were found."""
    level = f"{report.settings.confidence:.0%}"
    overall = report.overall.format(in_unit=True)
    of = " with an object" if report.task == "detection" else ""
    marks: dict[int, Mark] = {place: "worst" for place, one in enumerate(report.slices) if one.standing == "confirmed"}
    table = Table(
        name="slices",
        title=f"Slices with a larger {report.figure}: {len(report.confirmed)} confirmed",
        columns=(
            Column("slice", "slice"),
            Column("standing", "standing", "word"),
            Column("n_searched", "n searched", "count"),
            Column("searched", f"mean searched [{level}]", "estimate", in_unit=True),
            Column("n_tested", "n tested", "count"),
            Column("tested", f"mean {report.figure} [{level}]", "estimate", in_unit=True),
            Column("difference", f"against the complement [{level}]", "estimate", signed=True, in_unit=True),
            Column("p_holm", "p (Holm)", "p_value"),
            Column("detectable_gap", "smallest gap it could show", "significant"),
        ),
        rows=tuple(map(_row, report.slices)),
        notes=(
            f"Mean {report.figure} over all {counted(report.images, 'image')}{of}: {overall}.",
            *slice_notes(report),
        ),
        marks=marks,
    )
    return (table,)


def _row(one: FoundSlice) -> tuple[Cell, ...]:
    tested = one.difference is not None
    return (
        one.name,
        SIGNS[one.standing],
        one.searched.n,
        one.searched,
        one.tested.n,
        one.tested if tested else None,
        one.difference,
        one.p_holm,
        one.detectable_gap,
    )
