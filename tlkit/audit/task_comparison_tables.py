"""The table of a `TaskComparison`: every figure of both models and its change, for all images, labels and groups."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tlkit.audit.group_tables import ALL
from tlkit.errors import first_few
from tlkit.stats.estimate import plain_number
from tlkit.stats.task_measures import figure_title
from tlkit.tables import Cell, Column, Mark, Table, counted, format_p, two_figures

if TYPE_CHECKING:
    from tlkit.audit.task_comparison import TaskChange, TaskComparison


def task_comparison_tables(comparison: TaskComparison) -> tuple[Table, ...]:
    """Return the table of changes; small groups show their size and nothing else. What is worse is marked."""
    level = f"{comparison.settings.confidence:.0%}"
    clean = [] if comparison.without_leaks is None else [comparison.without_leaks]
    shown = [comparison.main, *clean, *comparison.rows[1:]]
    marks: dict[int, Mark] = {place: "worst" for place, row in enumerate(shown) if row.change == "worse"}
    table = Table(
        name="changes",
        title=f"Changes from {comparison.first} to {comparison.second}, image by image",
        columns=(
            Column("by", "by"),
            Column("name", "images of"),
            Column("figure", "figure"),
            Column("n", "n", "count"),
            Column("first", comparison.first, "number", in_unit=True),
            Column("second", comparison.second, "number", in_unit=True),
            Column("difference", f"change [{level}]", "estimate", signed=True, in_unit=True),
            Column("p_holm", "p (Holm)", "p_value"),
            Column("change", "change", "word"),
        ),
        rows=tuple(map(_row, shown)),
        notes=(*task_comparison_sentences(comparison), _method(comparison)),
        marks=marks,
    )
    return (table,)


def task_comparison_sentences(comparison: TaskComparison) -> tuple[str, ...]:
    """Return which model is better, by how much, and which figures, labels and groups changed."""
    parts = comparison.rows[1:]
    changed = [row for row in parts if row.change in ("better", "worse")]
    found = [_basis(comparison), _main(comparison.main, comparison), *_leaks(comparison)]
    if changed:
        named = first_few([_named(row) for row in sorted(changed, key=lambda row: row.p_holm or 0.0)])
        found.append(f"With {comparison.second}, changed by more than chance may have moved them: {named}.")
    elif parts:
        found.append("No other figure, label or group changed by more than chance may have moved it.")
    return tuple(found)


def _named(row: TaskChange) -> str:
    what = figure_title(row.figure)
    where = "" if row.by == ALL or ":" in row.figure else f" of {row.by} {row.name}"
    return f"{what}{where} {row.change} ({_difference(row)})"


def _row(row: TaskChange) -> tuple[Cell, ...]:
    title = figure_title(row.figure)
    if row.small:
        return (row.by, row.name, title, row.n, *[None] * 4, row.change)
    return (row.by, row.name, title, row.n, row.first, row.second, row.difference, row.p_holm, row.change)


def _basis(comparison: TaskComparison) -> str:
    one, two = comparison.first, comparison.second
    left_out = [
        f"{counted(count, 'image')} {what}"
        for count, what in (
            (comparison.left_out, "that only one of them predicted"),
            (comparison.unlabelled, "of unknown truth"),
        )
        if count
    ]
    basis = f"{counted(comparison.images, 'image')} predicted by both {one} and {two}, compared image by image."
    return f"{basis} Left out: {', '.join(left_out)}." if left_out else basis


def _leaks(comparison: TaskComparison) -> list[str]:
    if not comparison.leaked:
        return []
    if comparison.without_leaks is None:
        return ["All of these images are also in an earlier split, so nothing is known of others."]
    were = "was" if comparison.leaked == 1 else "were"
    met = f"{comparison.leaked:,} of these images {were} also in an earlier split."
    return [f"{met} Without: {_main(comparison.without_leaks, comparison)}"]


def _main(row: TaskChange, comparison: TaskComparison) -> str:
    """Return which model is better by the main figure on all images, or on those that did not leak."""
    one, two = comparison.first, comparison.second
    if row.difference.value is None or row.first is None or row.second is None:
        return f"{one} and {two} cannot be compared: {row.difference.note}."
    title = figure_title(row.figure)
    change = f"{title} {_number(row.first)} → {_number(row.second)}, {_difference(row)}"
    if row.p is None:
        return f"{one} and {two} are not distinguishable at n = {row.n:,}: {change}. There is no test."
    if row.change != "not distinguishable":
        return f"{two} is {row.change} than {one}: {change} ({format_p(row.p)})."
    could = "" if row.detectable is None else f" So many images could have shown {_number(row.detectable)}"
    need = "" if row.needed is None else f"; a difference as small as this would need n = {two_figures(row.needed):,}"
    return f"{one} and {two} are not distinguishable at n = {row.n:,}: {change} ({format_p(row.p)}).{could}{need}."


def _number(value: float) -> str:
    return plain_number(value, size=abs(value))


def _difference(row: TaskChange) -> str:
    return row.difference.format(signed=True, in_unit=True)


def _method(comparison: TaskComparison) -> str:
    settings = comparison.settings
    allowed = " and ".join(settings.design_columns)
    kind = f"Student's t on the images' influences{f', which allows for {allowed}' if allowed else ''}"
    tests = "one other test" if comparison.tests == 1 else f"{comparison.tests} other tests"
    return (
        f"Intervals of {settings.confidence:.0%} and tests: {kind}. The first row has its own test; "
        f"{tests} are corrected (Holm, alpha {settings.alpha:g})."
    )
