"""The tables of a `MetricComparison`: models or recipes with their spread, and all pairs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tlkit.errors import first_few
from tlkit.tables import Cell, Column, Mark, Table, counted, format_p, two_figures
from tlkit.tables.shares import points

if TYPE_CHECKING:
    from tlkit.evaluation.metric_comparison import Contender, MetricChange, MetricComparison

MOST_SENTENCES = 6


def metric_comparison_tables(comparison: MetricComparison) -> tuple[Table, ...]:
    """Return the models and, where there are two contenders, the pairs."""
    pairs = (change_table(comparison),) if comparison.changes else ()
    return (contender_table(comparison), *pairs)


def contender_table(comparison: MetricComparison) -> Table:
    """Return each model or recipe with its value; for recipes also the standard deviation over seeds and the range."""
    level, several = f"{comparison.confidence:.0%}", any(len(one.runs) > 1 for one in comparison.contenders)
    columns = [
        Column("name", "recipe" if several else "model"),
        Column("score", f"{comparison.title} [{level}]", "estimate"),
    ]
    if several:
        columns += [
            Column("runs", "seeds", "count"),
            Column("deviation", "SD over seeds", "number", digits=4),
            Column("lowest", "lowest", "number"),
            Column("highest", "highest", "number"),
        ]
    return Table(
        name="models",
        title=f"{comparison.title} of {counted(comparison.images, 'image')} that all models predicted",
        columns=tuple(columns),
        rows=tuple(_contender_row(one, several=several) for one in comparison.contenders),
        notes=tuple(_basis(comparison)),
    )


def _contender_row(one: Contender, *, several: bool) -> tuple[Cell, ...]:
    if not several:
        return (one.name, one.score)
    known = [value for value in one.values if value is not None]
    ends = (min(known), max(known)) if len(known) > 1 else (None, None)
    return (one.name, one.score, len(one.runs), one.deviation, *ends)


def _basis(comparison: MetricComparison) -> list[str]:
    notes = [f"{'Higher' if comparison.higher_is_better else 'Lower'} is better."]
    left_out = [
        f"{counted(count, 'image')} {what}"
        for count, what in (
            (comparison.left_out, "that not all models predicted"),
            (comparison.unlabelled, "without a label"),
        )
        if count
    ]
    notes += [f"Left out: {', '.join(left_out)}."] * bool(left_out)
    if comparison.clusters is not None:
        notes.append(f"Intervals allow for {comparison.clusters:,} clusters of {comparison.cluster_by}.")
    if comparison.weights is not None:
        notes.append(f"Weighted by {comparison.weights}.")
    for one in comparison.contenders:
        if len(one.runs) > 1:
            notes.append(f"{one.name}: {first_few(list(one.runs), most=8)}.")
    return notes


def change_table(comparison: MetricComparison) -> Table:
    """Return every pair with its difference, p-value and, where it is undecided, the number of images it would take."""
    level = f"{comparison.confidence:.0%}"
    marks: dict[int, Mark] = {place: "worst" for place, one in enumerate(comparison.changes) if one.change == "worse"}
    return Table(
        name="changes",
        title="Differences, image by image",
        columns=(
            Column("first", "from"),
            Column("second", "to"),
            Column("difference", f"change [{level}]", "estimate", signed=True),
            Column("p_holm", "p (Holm)", "p_value"),
            Column("change", "change", "word"),
            Column("needed", f"images for {comparison.resolve:g}", "count"),
        ),
        rows=tuple(
            (one.first, one.second, one.difference, one.p_holm, one.change, _rounded(one.needed))
            for one in comparison.changes
        ),
        notes=(*_sentences(comparison), _method(comparison)),
        marks=marks,
    )


def _rounded(needed: int | None) -> int | None:
    return None if needed is None else two_figures(needed)


def _sentences(comparison: MetricComparison) -> list[str]:
    """Return a sentence for each pair, the first few where there are many."""
    found = [_sentence(one, comparison) for one in comparison.changes[:MOST_SENTENCES]]
    more = len(comparison.changes) - len(found)
    return [*found, f"… and {more} more pairs."] if more else found


def _sentence(one: MetricChange, comparison: MetricComparison) -> str:
    if one.difference.value is None:
        return f"{one.first} and {one.second} cannot be compared: {one.difference.note}."
    change = f"{comparison.title} {one.difference.format(signed=True)}"
    if one.change != "not distinguishable":
        return f"{one.second} is {one.change} than {one.first}: {change} ({format_p(one.p_holm)})."
    return (
        f"{one.first} and {one.second} are not distinguishable at n = {comparison.images:,}: {change}"
        f"{'' if one.p_holm is None else f' ({format_p(one.p_holm)})'}"
        f"{_resolving(one.needed, comparison)}."
    )


def _resolving(needed: int | None, comparison: MetricComparison) -> str:
    """Return how many more images would show a difference, as the end of a sentence; "" where it is unknown."""
    if needed is None:
        return ""
    size = comparison.resolve
    what = points(size, decimals=2) if comparison.higher_is_better else f"a difference of {size:g}"
    if needed <= comparison.images:
        return f"; so many images suffice to resolve {what}"
    return f"; about {two_figures(needed - comparison.images):,} more images would resolve {what}"


def _method(comparison: MetricComparison) -> str:
    several = any(len(one.runs) > 1 for one in comparison.contenders)
    tests = counted(sum(one.p is not None for one in comparison.changes), "test")
    text = f"Paired by image; p-values corrected for {tests} (Holm, alpha {comparison.alpha:g}); power 80 %."
    if several:
        text += " Differences of recipes hold the spread over seeds."
        single = [one.name for one in comparison.contenders if len(one.runs) == 1]
        if single:
            text += f" One run only, so its spread is unknown: {first_few(single)}."
    return text
