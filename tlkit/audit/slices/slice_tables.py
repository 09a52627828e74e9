"""Tables of a `SliceReport`: slices with their tests, and the shortcut test."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tlkit.tables import Cell, Column, Mark, Table, format_p

if TYPE_CHECKING:
    from tlkit.audit.slices.slice_report import FoundSlice, SliceReport
    from tlkit.audit.slices.task_slices import TaskSliceReport

SIGNS = {"confirmed": "✗ confirmed", "not confirmed": "? not confirmed", "candidate": "? candidate"}
MOST_COLUMNS = 5


def slice_report_tables(report: SliceReport) -> tuple[Table, ...]:
    """Return the slices, the shortcut test, and images of the confirmed slices."""
    shown = [one.images for one in report.confirmed if one.images is not None]
    return (slices_table(report), *shortcut_tables(report), *(table for one in shown for table in one.tables()))


def slices_table(report: SliceReport) -> Table:
    """Return the slices found on the searched half, in the order in which they were found."""
    level = f"{report.settings.confidence:.0%}"
    marks: dict[int, Mark] = {place: "worst" for place, one in enumerate(report.slices) if one.standing == "confirmed"}
    return Table(
        name="slices",
        title=f"Slices: {len(report.confirmed)} confirmed",
        columns=(
            Column("slice", "slice"),
            Column("standing", "standing", "word"),
            Column("n_searched", "n searched", "count"),
            Column("searched", f"accuracy searched [{level}]", "estimate"),
            Column("n_tested", "n tested", "count"),
            Column("tested", f"accuracy [{level}]", "estimate"),
            Column("difference", f"against the complement [{level}]", "estimate", signed=True),
            Column("mix", f"due to classes [{level}]", "estimate", signed=True),
            Column("p_holm", "p (Holm)", "p_value"),
            Column("detectable_gap", "smallest gap it could show", "number", digits=2),
        ),
        rows=tuple(map(_slice, report.slices)),
        notes=tuple(slice_notes(report)),
        marks=marks,
    )


def shortcut_tables(report: SliceReport) -> tuple[Table, ...]:
    """Return the shortcut test; empty where it could not be made."""
    if not report.shortcuts:
        return ()
    alpha = report.settings.alpha
    marks: dict[int, Mark] = {place: "worst" for place, one in enumerate(report.shortcuts) if one.is_significant(alpha)}
    return (
        Table(
            name="shortcuts",
            title="Shortcuts: predicting the classes from columns alone",
            columns=(
                Column("column", "predicted from"),
                Column("accuracy", f"accuracy [{report.settings.confidence:.0%}]", "estimate"),
                Column("base_rate", "always the most frequent class", "number"),
                Column("p_holm", "p", "p_value"),
            ),
            rows=tuple((one.text, one.accuracy, one.base_rate, one.p_holm) for one in report.shortcuts),
            notes=(shortcut_sentence(report),),
            marks=marks,
        ),
    )


def shortcut_sentence(report: SliceReport) -> str:
    """Return the result of the shortcut test as text; "" where it could not be made."""
    if not report.shortcuts:
        return ""
    together, *alone = report.shortcuts
    value = f"{together.accuracy.format()} against {together.base_rate:.3f} for always predicting the most frequent"
    tested = f"{value} class, permutation {format_p(together.p)}"
    significant = [one.text for one in alone if one.is_significant(report.settings.alpha)]
    if not together.is_significant(report.settings.alpha) and not significant:
        return f"The columns alone do not predict the classes better than chance ({tested})."
    if together.is_significant(report.settings.alpha):
        first = f"The columns alone predict the classes better than chance ({tested})."
    else:
        first = "Single columns predict the classes better than chance."
    more = f" and {len(significant) - MOST_COLUMNS} more" * (len(significant) > MOST_COLUMNS)
    named = ", ".join(significant[:MOST_COLUMNS]) + more
    singly = f" So {'does' if len(significant) == 1 else 'do'} {named} alone." if significant else ""
    return f"{first}{singly} A model can learn that instead of the image content."


def _slice(one: FoundSlice) -> tuple[Cell, ...]:
    tested = one.difference is not None
    return (
        one.name,
        SIGNS[one.standing],
        one.searched.n,
        one.searched,
        one.tested.n,
        one.tested if tested else None,
        one.difference,
        one.mix if one.mix is not None and one.mix.value is not None else None,
        one.p_holm,
        one.detectable_gap,
    )


def slice_notes(report: SliceReport | TaskSliceReport) -> list[str]:
    """Return how the slices were found, and what is not confirmed."""
    settings = report.settings
    found = [_search(report)]
    if report.units < report.images:
        found.append(f"The images form {report.units:,} units (duplicates, clusters); each lies in one half.")
    if len(report.slices) > 1:
        found.append("Each is compared with its complement without the images of the slices above it.")
    if any(one.standing == "candidate" for one in report.slices):
        found.append(
            f"A candidate has fewer than {settings.min_group_size} images, or its complement has, in the tested half."
        )
    if not report.searched_conditions:
        found.append(
            f"NOT ENOUGH DATA: no condition holds for {settings.min_group_size} images of the searched half and "
            f"fails for {settings.min_group_size} others."
        )
    elif not report.slices:
        found.append("No slice does worse than its complement.")
    elif not report.confirmed:
        figure = getattr(report, "figure", "accuracy")
        found.append(f"None of them is confirmed; this does not prove that all slices have the same {figure}.")
    return found


def _search(report: SliceReport | TaskSliceReport) -> str:
    """Return what was searched and on how many images, and on which images the findings were tested."""
    count = "1 slice" if len(report.slices) == 1 else f"{len(report.slices)} slices"
    return (
        f"{report.searched_conditions:,} conditions and pairs of conditions on {len(report.columns)} columns were "
        f"tried on {report.searched:,} of {report.images:,} images; {count} looked worse and "
        f"{'was' if len(report.slices) == 1 else 'were'} tested on the other {report.tested:,}, which had no part in "
        f"the search (Holm, alpha {report.settings.alpha:g})."
    )
