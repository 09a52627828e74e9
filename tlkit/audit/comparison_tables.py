"""The table of a `Comparison`: accuracy of both models and the change, for all images, classes and groups."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tlkit.audit.group_tables import ALL, CLASS
from tlkit.choices import RESOLVED_DIFFERENCE
from tlkit.errors import first_few
from tlkit.tables import Cell, Column, Mark, Table, counted, format_p, two_figures
from tlkit.tables.shares import points

if TYPE_CHECKING:
    from tlkit.audit.model_comparison import ChangeRow, Comparison

MOST_CLASSES = 40
FEWEST_DISCORDANT = 6  # below, no outcome of McNemar's exact test reaches p < 0.05


def comparison_tables(comparison: Comparison) -> tuple[Table, ...]:
    """Return the table of changes."""
    return (changes_table(comparison),)


def changes_table(comparison: Comparison) -> Table:
    """Return accuracy before and after with the change: all images, those that did not leak, classes, groups.

    Of the classes only those where one model is right and the other wrong have a row, at most 40, the smallest p-values
    first. Small groups show their size and nothing else. What is worse than chance may explain is marked.
    """
    level = f"{comparison.settings.confidence:.0%}"
    one, two = comparison.first, comparison.second
    shown = _shown(comparison)
    marks: dict[int, Mark] = {place: "worst" for place, row in enumerate(shown) if row.change == "worse"}
    return Table(
        name="changes",
        title=f"Changes from {one} to {two}, image by image",
        columns=(
            Column("by", "by"),
            Column("name", "images of"),
            Column("n", "n", "count"),
            Column("first", one, "number"),
            Column("second", two, "number"),
            Column("difference", f"change [{level}]", "estimate", signed=True),
            Column("only_first_right", f"only {one} right", "count"),
            Column("only_second_right", f"only {two} right", "count"),
            Column("p_holm", "p (Holm)", "p_value"),
            Column("change", "change", "word"),
        ),
        rows=tuple(map(_row, shown)),
        notes=tuple(_notes(comparison)),
        marks=marks,
    )


def comparison_sentences(comparison: Comparison) -> tuple[str, ...]:
    """Return which model is better, by how much, and which classes and groups changed."""
    parts = [row for row in comparison.rows if row.by != ALL]
    changed = [row for row in parts if row.change in ("better", "worse")]
    named = [
        f"{row.by if row.by != CLASS else 'class'} {row.name} {row.change} ({row.difference.format(signed=True)})"
        for row in sorted(changed, key=lambda row: row.difference.value or 0.0)
    ]
    found = [_basis(comparison), _overall(comparison.overall, comparison), *_leaks(comparison)]
    if named:
        found.append(f"With {comparison.second}, changed by more than chance may have moved them: {first_few(named)}.")
    elif parts:
        found.append(f"{_kinds(parts)} changed by more than chance may have moved it.")
    return tuple(found)


def _shown(comparison: Comparison) -> list[ChangeRow]:
    differing = [row for row in comparison.rows if row.by == CLASS and row.pairs.discordant]
    kept = sorted(differing, key=lambda row: 1.0 if row.p is None else row.p)[:MOST_CLASSES]
    clean = [] if comparison.without_leaks is None else [comparison.without_leaks]
    return [comparison.overall, *clean, *(row for row in comparison.rows[1:] if row.by != CLASS or row in kept)]


def _row(row: ChangeRow) -> tuple[Cell, ...]:
    if row.small:
        return (row.by, row.name, row.pairs.n, *[None] * 6, row.change)
    return (
        row.by,
        row.name,
        row.pairs.n,
        row.first.value,
        row.second.value,
        row.difference,
        row.pairs.first,
        row.pairs.second,
        row.p_holm,
        row.change,
    )


def _notes(comparison: Comparison) -> list[str]:
    """Return what the images are, which model is better, and what is not distinguishable."""
    found = [_basis(comparison), _overall(comparison.overall, comparison), *_leaks(comparison)]
    parts = [row for row in comparison.rows if row.by != ALL]
    if parts and not any(row.change != "not distinguishable" for row in parts):
        found.append(f"{_kinds(parts)} changed by more than chance may have moved it.")
    if alike := [row.name for row in parts if row.by == CLASS and row.pairs.discordant == 0]:
        count = sum(row.by == CLASS for row in parts)
        classes = "1 class" if count == 1 else f"{count} classes"
        found.append(f"Right on the same images in {len(alike)} of {classes}: {first_few(alike, most=10)}.")
    return [*found, _method(comparison)]


def _basis(comparison: Comparison) -> str:
    one, two = comparison.first, comparison.second
    left_out = [
        f"{counted(count, 'image')} {what}"
        for count, what in (
            (comparison.only_first, f"that only {one} predicted"),
            (comparison.only_second, f"that only {two} predicted"),
            (comparison.unlabelled, "without a label"),
        )
        if count
    ]
    basis = f"{counted(comparison.images, 'image')} predicted by both {one} and {two}, compared image by image."
    return f"{basis} Left out: {', '.join(left_out)}." if left_out else basis


def _method(comparison: Comparison) -> str:
    settings = comparison.settings
    allowed = " and ".join(settings.design_columns)
    kind = f"Newcombe, for pairs, which allow for {allowed}" if allowed else "Newcombe, for pairs"
    intervals = f"Intervals of {settings.confidence:.0%} ({kind})"
    if comparison.tests == 0:
        return f"{intervals}; no image differs, so there is no test."
    exact = "exact McNemar" if comparison.test_name == "McNemar" else comparison.test_name
    tests = "one test" if comparison.tests == 1 else f"{comparison.tests} tests"
    return (
        f"{intervals}; {exact} tests, those of classes and groups corrected for {tests} (Holm, alpha "
        f"{settings.alpha:g})."
    )


def _leaks(comparison: Comparison) -> list[str]:
    """Return how many of the images leaked, and what the others show."""
    if not comparison.leaked:
        return []
    if comparison.without_leaks is None:
        return ["All of these images are also in an earlier split, so nothing is known of others."]
    were = "was" if comparison.leaked == 1 else "were"
    met = f"{comparison.leaked:,} of these images {were} also in an earlier split."
    return [f"{met} Without: {_overall(comparison.without_leaks, comparison)}"]


def _overall(row: ChangeRow, comparison: Comparison) -> str:
    """Return which model is better on all images, or on those that did not leak."""
    one, two = comparison.first, comparison.second
    if row.small:
        return f"{one} and {two} cannot be compared: {row.difference.note}."
    rates = f"accuracy {row.first.value:.3f} → {row.second.value:.3f}, {row.difference.format(signed=True)}"
    right = f"{counted(row.pairs.first, 'image')} only {one} got right, {row.pairs.second:,} only {two}"
    if row.pairs.discordant == 0:
        return f"{one} and {two} are right on the same images ({rates}): not distinguishable at n = {row.pairs.n:,}."
    if row.change != "not distinguishable":
        return f"{two} is {row.change} than {one}: {rates}; {right} ({comparison.test_name} {format_p(row.p)})."
    undecided = f"{one} and {two} are not distinguishable at n = {row.pairs.n:,}: {rates}; {right}"
    tested = f"{comparison.test_name} {format_p(row.p)}"
    if comparison.settings.design_columns:
        return f"{undecided} ({'no test, since all clusters differ alike' if row.p is None else tested})."
    could = "Fewer than 6 images differ, which cannot reach p < 0.05 whatever they are"
    if row.pairs.discordant >= FEWEST_DISCORDANT:
        shown = "no difference" if row.detectable is None else f"a difference of {row.detectable:.3f}"
        could = f"So many images could have shown {shown}"
    need = "" if row.needed is None else f"; one as small as this would need n = {two_figures(row.needed):,}"
    return f"{undecided} ({tested}). {could}{need}{_resolving(row)}."


def _resolving(row: ChangeRow) -> str:
    """Return how many more images would show two points, as the end of a sentence."""
    if row.resolving is None or row.resolving <= row.pairs.n:
        return ""
    more = two_figures(row.resolving - row.pairs.n)
    return f"; about {more:,} more images would resolve {points(RESOLVED_DIFFERENCE)}"


def _kinds(parts: list[ChangeRow]) -> str:
    columns = list(dict.fromkeys(row.by for row in parts if row.by != CLASS))
    return f"No class and no group of {first_few(columns, most=6)}" if columns else "No class"
