"""What lies behind the gaps, on the page: column by column, each figure with the table of its numbers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from tlkit.audit.explain_words import MOST_HALF_WIDTH, column_sentences, design_sentences, rate_text, signed
from tlkit.audit.explanation import CLASS
from tlkit.audit.words import NONE, alone_note, p_text
from tlkit.errors import first_few
from tlkit.render.plots import plot_heat
from tlkit.render.report.report_page import (
    ExplainedPart,
    ExplainedSection,
    Figure,
    IllustratedText,
    Row,
    TextColumn,
    TextTable,
)

if TYPE_CHECKING:
    from tlkit.audit.explanation import AdjustedGap, ExplainedColumn, Explanation

MOST_CELLS = 30
MOST_ROWS = 40


def explained_section(explanation: Explanation) -> ExplainedSection | None:
    """Return what lies behind the gaps; None where no group could be explained."""
    if not any(column.groups for column in explanation.columns):
        return None
    lead = ["What goes with a gap, as far as the table of predictions shows it. It describes, and proves no cause."]
    lead += design_sentences(explanation)
    if explanation.linked:
        lead.append(explanation.sentences()[-1])
    parts = tuple(_part(explanation, column) for column in explanation.columns)
    if note := alone_note((text for part in parts for text in _texts(part)), MOST_HALF_WIDTH):
        lead.append(note)
    return ExplainedSection(tuple(lead), parts)


def _texts(part: ExplainedPart) -> Iterator[str]:
    """Yield the sentences and the cells of a part."""
    yield from part.lines
    for table in (part.split, part.adjusted, part.heat.table if part.heat is not None else None):
        if table is not None:
            yield from (cell for row in table.rows for cell in row.cells)


def _part(explanation: Explanation, column: ExplainedColumn) -> ExplainedPart:
    prefix = f"{column.by}: "
    lines = [line.removeprefix(prefix) for line in column_sentences(explanation, column)]
    worst = column.worst
    names = [worst.group] if worst is not None else []
    kept = [line for line in lines if not any(line.startswith(f"{name} within ") for name in names)]
    return ExplainedPart(
        name=column.by,
        lines=tuple(
            line[0].upper() + line[1:] if not line.startswith(tuple(names) or ("\0",)) else line for line in kept
        ),
        split=_split_table(explanation, column) if column.groups else None,
        heat=_heat(explanation, column) if column.heat.filled else None,
        adjusted=_adjusted_table(explanation, column) if column.adjusted else None,
    )


def _split_table(explanation: Explanation, column: ExplainedColumn) -> TextTable:
    level = f"[{explanation.settings.confidence:.0%}]"
    trained = any(group.train is not None for group in column.groups)
    columns = [
        TextColumn("group", "text"),
        TextColumn("n"),
        TextColumn(f"accuracy minus the rest {level}"),
        TextColumn("class mix"),
        TextColumn("same classes, other rates"),
        TextColumn("standardised"),
    ]
    if trained:
        columns.append(TextColumn("training images"))
    rows = []
    for group in column.groups[:MOST_ROWS]:
        split = group.split
        cells = [
            group.group,
            f"{group.accuracy.n:,}",
            signed(group.difference),
            signed(split.mix),
            signed(split.rate),
            signed(split.standardised),
        ]
        if trained:
            share = "" if group.train_share is None else f" ({group.train_share:.0%})"
            cells.append(NONE if group.train is None else f"{group.train:,}{share}")
        rows.append(Row(tuple(cells), "worst" if group == column.worst and (group.difference.high or 0.0) < 0 else ""))
    fewer = [f"{group.group}: {group.split.left_out} images" for group in column.groups if group.split.only_one]
    note = f"Left out, because only one side has their class: {first_few(fewer, most=10)}." if fewer else ""
    return TextTable(f"Gaps by {column.by}, split into class mix and rate", tuple(columns), tuple(rows), note)


def _adjusted_table(explanation: Explanation, column: ExplainedColumn) -> TextTable:
    level = f"[{explanation.settings.confidence:.0%}]"
    alone = explanation.independent
    columns = (
        TextColumn("group", "text"),
        TextColumn("within the same", "text"),
        TextColumn("odds ratio"),
        TextColumn(f"pooled {level}"),
        TextColumn("p (CMH)" if alone else f"p ({explanation.test_name})"),
        *([TextColumn("p alike in all (Breslow–Day)")] if alone else []),
        TextColumn(f"adjusted gap {level}"),
    )
    rows = tuple(_adjusted(gap, alone=alone) for gap in column.adjusted[:MOST_ROWS])
    note = ""
    if any(gap.odds.pooled.value is None or gap.gap.value is None for gap in column.adjusted):
        few = "" if alone else ", or clusters are too few"
        note = f"A dash: undefined, as where a group or a value is always right or always wrong{few}."
    return TextTable(f"Each group against the rest by {column.by}, within other attributes", columns, rows, note)


def _adjusted(gap: AdjustedGap, *, alone: bool) -> Row:
    odds = gap.odds
    return Row(
        (
            gap.group,
            "class" if gap.given == CLASS else gap.given,
            NONE if odds.crude is None else f"{odds.crude:.2f}",
            NONE if odds.pooled.value is None else odds.pooled.format(digits=2),
            p_text(odds.p),
            *([p_text(odds.equal_p)] if alone else []),
            NONE if gap.gap.value is None else signed(gap.gap),
        )
    )


def _heat(explanation: Explanation, column: ExplainedColumn) -> IllustratedText:
    heat, alpha = column.heat, explanation.settings.alpha
    cells = [
        (1.0 if cell.p_holm is None else cell.p_holm, 1.0 if cell.p is None else cell.p, group, name, cell)
        for group, row in zip(heat.groups, heat.cells, strict=True)
        for name, cell in zip(heat.classes, row, strict=True)
        if cell.recall.value is not None
    ]
    cells.sort(key=lambda entry: entry[:2])
    rows = tuple(
        Row(
            (
                group,
                name,
                f"{cell.recall.n:,}",
                rate_text(cell.recall),
                NONE if cell.difference is None else signed(cell.difference),
                p_text(cell.p_holm),
            ),
            "worst" if p < alpha else "",
        )
        for p, _, group, name, cell in cells[:MOST_CELLS]
    )
    level = f"[{explanation.settings.confidence:.0%}]"
    columns = (
        TextColumn("group", "text"),
        TextColumn("class", "text"),
        TextColumn("n"),
        TextColumn(f"recall {level}"),
        TextColumn(f"minus the rest {level}"),
        TextColumn("p (Holm)"),
    )
    note = f"The {MOST_CELLS} cells with the smallest p-values of {len(cells)}." if len(cells) > MOST_CELLS else ""
    figure = Figure.draw(
        lambda: plot_heat(column, alpha=alpha),
        alt=(
            f"Recall of {len(heat.classes)} classes in {len(heat.groups)} groups by {column.by}. The numbers are in the"
            " table below."
        ),
        caption="Darker: more of the class is recognised in the group. Compare down a column. A frame marks a cell that"
        " differs from the rest of its class by more than chance.",
    )
    return IllustratedText(figure, TextTable(f"Recall by {column.by} and class", columns, rows, note))
