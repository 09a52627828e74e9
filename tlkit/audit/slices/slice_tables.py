"""The tables of a `SliceReport`: slices that looked worse, with their test, and the test for shortcuts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tlkit.tables import Cell, Column, Mark, Table, format_estimate, format_p

if TYPE_CHECKING:
    from tlkit.audit.slices.slice_report import FoundSlice, SliceReport

SIGNS = {"confirmed": "✗ confirmed", "not confirmed": "? not confirmed", "candidate": "? candidate"}
MOST_COLUMNS = 5


def slice_report_tables(report: SliceReport) -> tuple[Table, ...]:
    """Return the slices, the test for shortcuts, and images behind the slices that are confirmed."""
    shown = [one.images for one in report.confirmed if one.images is not None]
    return (slices_table(report), *shortcut_tables(report), *(table for one in shown for table in one.tables()))


def slices_table(report: SliceReport) -> Table:
    """Return the slices that looked worse on the half that was searched, in the order in which they were found."""
    level = f"{report.settings.confidence:.0%}"
    marks: dict[int, Mark] = {place: "worst" for place, one in enumerate(report.slices) if one.standing == "confirmed"}
    return Table(
        name="slices",
        title=f"Slices nobody declared: {len(report.confirmed)} confirmed",
        columns=(
            Column("slice", "slice"),
            Column("standing", "standing", "word"),
            Column("n_searched", "n searched", "count"),
            Column("searched", f"accuracy searched [{level}]", "estimate"),
            Column("n_tested", "n tested", "count"),
            Column("tested", f"accuracy [{level}]", "estimate"),
            Column("difference", f"against the rest [{level}]", "estimate", signed=True),
            Column("mix", f"due to classes [{level}]", "estimate", signed=True),
            Column("p_holm", "p (Holm)", "p_value"),
            Column("detectable_gap", "smallest gap it could show", "number", digits=2),
        ),
        rows=tuple(map(_slice, report.slices)),
        notes=tuple(_slice_notes(report)),
        marks=marks,
    )


def shortcut_tables(report: SliceReport) -> tuple[Table, ...]:
    """Return how well the classes can be told from columns alone; nothing where that could not be tested."""
    if not report.shortcuts:
        return ()
    alpha = report.settings.alpha
    marks: dict[int, Mark] = {place: "worst" for place, one in enumerate(report.shortcuts) if one.tells(alpha)}
    return (
        Table(
            name="shortcuts",
            title="Shortcuts: telling the classes from columns alone",
            columns=(
                Column("column", "classes told from"),
                Column("accuracy", f"accuracy [{report.settings.confidence:.0%}]", "estimate"),
                Column("base_rate", "always the most frequent class", "number"),
                Column("p_holm", "p", "p_value"),
            ),
            rows=tuple((one.words, one.accuracy, one.base_rate, one.p_holm) for one in report.shortcuts),
            notes=(shortcut_sentence(report),),
            marks=marks,
        ),
    )


def shortcut_sentence(report: SliceReport) -> str:
    """Return whether the classes can be told from columns alone; "" where that could not be tested."""
    if not report.shortcuts:
        return ""
    together, *alone = report.shortcuts
    value = f"{format_estimate(together.accuracy)} against {together.base_rate:.3f} for always saying the most frequent"
    tested = f"{value} class, permutation {format_p(together.p)}"
    telling = [one.words for one in alone if one.tells(report.settings.alpha)]
    if not together.tells(report.settings.alpha) and not telling:
        return f"The classes could not be told from the columns alone ({tested})."
    if together.tells(report.settings.alpha):
        first = f"The columns alone tell the classes better than chance ({tested})."
    else:
        first = "Single columns tell the classes better than chance."
    more = f" and {len(telling) - MOST_COLUMNS} more" * (len(telling) > MOST_COLUMNS)
    named = ", ".join(telling[:MOST_COLUMNS]) + more
    told = f" So {'does' if len(telling) == 1 else 'do'} {named} alone." if telling else ""
    return f"{first}{told} A model can learn that in place of what the images show."


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


def _slice_notes(report: SliceReport) -> list[str]:
    settings = report.settings
    found = [_search(report)]
    if report.units < report.images:
        found.append(f"The images show {report.units:,} different pictures or units; each lies in one half.")
    if len(report.slices) > 1:
        found.append("Each is compared with the rest without the images of the slices named before it.")
    if any(one.standing == "candidate" for one in report.slices):
        found.append(
            f"A candidate has fewer than {settings.min_group_size} images, or as few others, in the half to test it on."
        )
    if not report.searched_conditions:
        found.append(
            f"NOT ENOUGH DATA: nothing that the images have in common holds of {settings.min_group_size} images in the "
            f"half that is searched, and not of {settings.min_group_size} others."
        )
    elif not report.slices:
        found.append("No slice that nobody declared does worse than the rest.")
    elif not report.confirmed:
        found.append("None of them is confirmed: that is no proof that all slices do alike.")
    return found


def _search(report: SliceReport) -> str:
    """Return what was searched and on how many images, and on which images the findings were tested."""
    count = "1 slice" if len(report.slices) == 1 else f"{len(report.slices)} slices"
    return (
        f"{report.searched_conditions:,} conditions and pairs of conditions on {len(report.columns)} columns were "
        f"tried on {report.searched:,} of {report.images:,} images; {count} looked worse and "
        f"{'was' if len(report.slices) == 1 else 'were'} tested on the other {report.tested:,}, which had no part in "
        f"the search (Holm, alpha {report.settings.alpha:g})."
    )
