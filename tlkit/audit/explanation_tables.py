"""Tables of an `Explanation`: parts of each gap, adjusted gaps, recall by class, trends, associations."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tlkit.audit.group_tables import CLASS
from tlkit.audit.redaction import redact, redaction_notes
from tlkit.errors import first_few
from tlkit.tables import Cell, Column, Mark, Table, counted

if TYPE_CHECKING:
    from tlkit.audit.explanation import (
        AdjustedGap,
        ExplainedColumn,
        ExplainedGroup,
        Explanation,
        HeatCell,
        OrderedTrend,
    )

NOTABLE_V = 0.1  # below, an association is negligible (Cohen 1988, section 7.2: "small")
MOST_CELLS = 30
MOST_ROWS = 40
SHAPES = {
    "level": "the same everywhere",
    "rising": "rises, never falls",
    "falling": "falls, never rises",
    "U": "falls and rises again (U)",
    "inverted U": "rises and falls again (inverted U)",
    "irregular": "goes up and down",
}


def explanation_tables(explanation: Explanation) -> tuple[Table, ...]:
    """Return the basis, the tables of each column, trends and associations."""
    columns = tuple(table for column in explanation.columns for table in column_tables(explanation, column))
    return (basis_table(explanation), *columns, *trend_tables(explanation), *association_tables(explanation))


def basis_table(explanation: Explanation) -> Table:
    """Return a table without rows whose notes state the scope, the sampling design and what is redacted."""
    found = ["What is associated with each gap, from the table of predictions. It is descriptive and proves no cause."]
    found += _design(explanation)
    tables = [table for column in explanation.columns for table in column_tables(explanation, column)]
    found += redaction_notes(tables, explanation.settings.max_half_width)
    return Table("basis", "Behind the gaps", (Column("by", "by"),), (), notes=tuple(found))


def column_tables(explanation: Explanation, column: ExplainedColumn) -> tuple[Table, ...]:
    """Return the tables of one column: the parts of its gaps, adjusted gaps, recall by class."""
    adjusted = (adjusted_table(explanation, column),) if column.adjusted else ()
    return (split_table(explanation, column), *adjusted, recall_table(explanation, column))


def split_table(explanation: Explanation, column: ExplainedColumn) -> Table:
    """Return the gap of each group split into class mix and rate, with its number of training images.

    The split is Kitagawa's (1955). The lowest group is marked where its whole interval lies below 0.
    """
    level, most = f"{explanation.settings.confidence:.0%}", explanation.settings.max_half_width
    trained = any(group.train is not None for group in column.groups)
    partial = any(group.split.only_one for group in column.groups)
    columns = [
        Column("group", "group"),
        Column("n", "n", "count"),
        Column("difference", f"accuracy minus the complement [{level}]", "estimate", signed=True),
        Column("mix", "class mix", "estimate", signed=True),
        Column("rate", "same classes, other rates", "estimate", signed=True),
        Column("standardized", "standardized", "estimate", signed=True),
        Column("common", "shared classes", "count"),
    ]
    if partial:
        columns += [
            Column("gap", "over shared classes", "estimate", signed=True),
            Column("left_out", "images left out: their class is on one side only", "count"),
        ]
    if trained:
        columns += [
            Column("train", "training images", "count"),
            Column("train_share", "share in training", "percent"),
            Column("judged_share", "share judged", "percent"),
        ]
    rows = tuple(_split(group, most, partial=partial, trained=trained) for group in column.groups)
    marks: dict[int, Mark] = {
        place: "worst" for place, group in enumerate(column.groups) if group == column.worst and _is_clear(group)
    }
    return Table(
        name=f"gaps by {column.by}",
        title=f"Gaps by {column.by}, split into class mix and rate",
        columns=tuple(columns),
        rows=rows,
        notes=tuple(_split_notes(explanation, column)),
        marks=marks,
    ).head(MOST_ROWS)


def adjusted_table(explanation: Explanation, column: ExplainedColumn) -> Table:
    """Return the gap of each group within strata of each other attribute, and within the classes."""
    settings, alone = explanation.settings, explanation.independent
    level = f"{settings.confidence:.0%}"
    columns = [
        Column("group", "group"),
        Column("given", "within the same"),
        Column("crude", "odds ratio", "number", digits=2),
        Column("pooled", f"pooled [{level}]", "estimate", digits=2),
        Column("p", "p (CMH)" if alone else f"p ({explanation.test_name})", "p_value"),
        *([Column("equal_p", "p alike in all (Breslow–Day)", "p_value")] if alone else []),
        Column("gap", f"adjusted gap [{level}]", "estimate", signed=True),
    ]
    notes = []
    if any(gap.odds.pooled.value is None or gap.gap.value is None for gap in column.adjusted):
        few = "" if alone else ", or clusters are too few"
        notes.append(f"A dash: undefined, as where a group or a value is always right or always wrong{few}.")
    return Table(
        name=f"adjusted by {column.by}",
        title=f"Each group against the complement by {column.by}, within other attributes",
        columns=tuple(columns),
        rows=tuple(_adjusted(gap, settings.max_half_width, alone=alone) for gap in column.adjusted),
        notes=tuple(notes),
    ).head(MOST_ROWS)


def recall_table(explanation: Explanation, column: ExplainedColumn) -> Table:
    """Return the recall of the classes by group, the smallest p-values first; significant cells are marked."""
    heat, settings = column.heat, explanation.settings
    level = f"{settings.confidence:.0%}"
    cells = sorted(
        (
            (group, name, cell)
            for group, row in zip(heat.groups, heat.cells, strict=True)
            for name, cell in zip(heat.classes, row, strict=True)
            if cell.recall.value is not None
        ),
        key=lambda entry: (_or_one(entry[2].p_holm), _or_one(entry[2].p)),
    )
    hits = [place for place, (*_, cell) in enumerate(cells) if _or_one(cell.p_holm) < settings.alpha]
    notes = []
    if not heat.filled:
        notes.append(f"No group has {heat.min_recall_images} images of a class, so recall is not shown.")
    elif heat.tests:
        found = counted(len(hits), "cell") if hits else "No cell"
        differ = "differ" if len(hits) > 1 else "differs"
        tests = counted(heat.tests, "test")
        notes.append(f"{found} {differ} from the complement of the class by more than chance (Holm over {tests}).")
    if len(cells) > MOST_CELLS:
        notes.append(f"The {MOST_CELLS} cells with the smallest p-values of {len(cells)}.")
    marks: dict[int, Mark] = {place: "worst" for place in hits if place < MOST_CELLS}
    return Table(
        name=f"recall by {column.by}",
        title=f"Recall by {column.by} and class",
        columns=(
            Column("group", "group"),
            Column("class", "class"),
            Column("n", "n", "count"),
            Column("recall", f"recall [{level}]", "estimate"),
            Column("difference", f"minus the complement [{level}]", "estimate", signed=True),
            Column("p_holm", "p (Holm)", "p_value"),
        ),
        rows=tuple(_recall(*entry, settings.max_half_width) for entry in cells[:MOST_CELLS]),
        notes=tuple(notes),
        marks=marks,
    )


def trend_tables(explanation: Explanation) -> tuple[Table, ...]:
    """Return the trend of the accuracy along ordered groups; empty where no column has an order."""
    ordered = {column.by: column.ordered for column in explanation.columns if column.ordered is not None}
    if not ordered:
        return ()
    line = "Cochran–Armitage" if explanation.independent else "t"
    return (
        Table(
            name="trends",
            title="Accuracy along ordered groups",
            columns=(
                Column("by", "by"),
                Column("order", "order"),
                Column("shape", "accuracy, as the rates stand"),
                Column("turn", "turning at"),
                Column("trend_p", f"p trend ({line})", "p_value"),
                Column("any_p", "p any difference", "p_value"),
                Column("bend_p", "p departure from a line", "p_value"),
            ),
            rows=tuple(_trend(by, one) for by, one in ordered.items()),
            notes=tuple(note for by, one in ordered.items() for note in _trend_notes(explanation, by, one)),
        ),
    )


def association_tables(explanation: Explanation) -> tuple[Table, ...]:
    """Return the associations of attributes with each other and with the class; no rows where none is notable."""
    if not explanation.associations:
        return ()
    rows = tuple(
        (one.first, "class" if one.second == CLASS else one.second, one.association.v, one.association.p)
        for one in explanation.associations
        if one.association is not None
        and one.association.v >= NOTABLE_V
        and one.association.p < explanation.settings.alpha
    )
    none = (
        f"No attributes are associated by more than chance and a Cramér's V of {NOTABLE_V:g} (corrected for bias), "
        "nor with the classes."
    )
    return (
        Table(
            name="associations",
            title="Associations of attributes",
            columns=(
                Column("first", "attribute"),
                Column("second", "associated with"),
                Column("v", "Cramér's V, corrected for bias", "number", digits=2),
                Column("p", "p", "p_value"),
            ),
            rows=rows,
            notes=() if rows else (none,),
        ),
    )


def _design(explanation: Explanation) -> list[str]:
    """Return the sampling design; empty for independent images of equal weight."""
    settings = explanation.settings
    if settings.pair_by is not None:
        return [
            f"Accuracies and recalls are compared within matched sets of {settings.pair_by}; everything else treats a "
            "set as a cluster."
        ]
    return [f"Intervals and tests allow for {settings.design_words}."] if settings.design_columns else []


def _split(group: ExplainedGroup, most: float, *, partial: bool, trained: bool) -> tuple[Cell, ...]:
    split = group.split
    parts = (redact(one, most) for one in (group.difference, split.mix, split.rate, split.standardised))
    return (
        group.group,
        group.accuracy.n,
        *parts,
        split.common,
        *((redact(split.gap, most), split.left_out) if partial else ()),
        *((group.train, group.train_share, group.judged_share) if trained else ()),
    )


def _split_notes(explanation: Explanation, column: ExplainedColumn) -> list[str]:
    worst, found = column.worst, []
    if not column.groups:
        least = explanation.settings.min_group_size
        found.append(f"No group of {least} images or more, with a complement as large, to explain.")
    elif worst is not None and not _is_clear(worst):
        found.append(f"No group has its whole interval below its complement; {worst.group} is lowest.")
    elif worst is None and any(group.difference.value is not None for group in column.groups):
        found.append("No group lies below its complement.")
    unknown = [group for group in column.groups if group.difference.value is None]
    if unknown:
        names = first_few([group.group for group in unknown], most=10)
        found.append(f"{names} cannot be compared with the complement ({unknown[0].difference.note}).")
    return found


def _is_clear(group: ExplainedGroup) -> bool:
    return group.difference.is_below(0)


def _adjusted(gap: AdjustedGap, most: float, *, alone: bool) -> tuple[Cell, ...]:
    odds = gap.odds
    return (
        gap.group,
        "class" if gap.given == CLASS else gap.given,
        odds.crude,
        None if odds.pooled.value is None else odds.pooled,
        odds.p,
        *((odds.equal_p,) if alone else ()),
        None if gap.gap.value is None else redact(gap.gap, most),
    )


def _recall(group: str, name: str, cell: HeatCell, most: float) -> tuple[Cell, ...]:
    difference = None if cell.difference is None else redact(cell.difference, most)
    return group, name, cell.recall.n, redact(cell.recall, most), difference, cell.p_holm


def _trend(by: str, ordered: OrderedTrend) -> tuple[Cell, ...]:
    order, rates = " < ".join(ordered.order), ordered.rates
    if rates is None:
        return by, order, None, None, None, None, None
    turn = None if rates.turn is None else ordered.order[rates.turn]
    return by, order, SHAPES[rates.shape], turn, rates.trend.p, rates.any.p, rates.bend_p


def _trend_notes(explanation: Explanation, by: str, ordered: OrderedTrend) -> list[str]:
    rates, alpha, found = ordered.rates, explanation.settings.alpha, []
    if ordered.left_out:
        found.append(f"{by}: not in the order: {first_few(ordered.left_out)}.")
    if rates is None:
        few = "" if explanation.independent else ", or a group is of one cluster"
        found.append(f"{by}: no test, because the accuracy does not vary{few}.")
    elif rates.any.p >= alpha and rates.trend.p >= alpha:
        found.append(f"{by}: neither the trend nor any difference is significant.")
    elif rates.bend_p is not None and rates.bend_p < alpha:
        found.append(f"{by}: the departure from a line is significant, so the trend alone misleads.")
    return found


def _or_one(p: float | None) -> float:
    return 1.0 if p is None else p
