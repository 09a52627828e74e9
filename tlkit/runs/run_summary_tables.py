"""The tables and lines of a `RunSummary` and a `RunList`."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING

from tlkit.evaluation.task_figures import FIGURE_WORDS
from tlkit.tables import Column, Paragraph, Table, paragraph_lines
from tlkit.tables.paragraphs import WIDTH

if TYPE_CHECKING:
    from tlkit.audit.plain_verdicts import PlainVerdict
    from tlkit.runs.run_summary import RunList, RunSummary

SIGN_COLORS = {"FAIL": ("✗", "31"), "PASS": ("✓", "32"), "NOT ENOUGH DATA": ("?", "33")}
"""Sign and ANSI code of the color of each verdict: red, green, yellow."""
MOST_VERDICTS = 6  # columns that a summary tells of
ROOM = 14  # lines that the verdicts on the columns may take


def summary_lines(summary: RunSummary, *, width: int = WIDTH, colored: bool = False) -> Iterator[str]:
    """Yield a run in brief, at most 25 lines at 80 columns: what it is, figures, verdicts, the next step, files.

    Args:
        summary: the run.
        width: columns of the terminal.
        colored: whether the signs of the verdicts have colors.
    """
    yield from paragraph_lines([Paragraph("", headline(summary))], width=width)
    yield ""
    yield from paragraph_lines([Paragraph("", " ".join(summary.findings))] if summary.findings else [], width=width)
    if summary.verdicts:
        yield ""
        yield from verdict_lines(summary.verdicts, width=width, colored=colored)
        yield ""
    step = summary.next_step
    named = [Paragraph("Next", step.command, keep=True), Paragraph("", step.why)]
    tail = [one for one in named if one.text] if step.command else [Paragraph("Next", step.why)]
    tail += [
        Paragraph(label, summary.files[key], keep=True)
        for label, key in (("Report", "report"), ("Log", "log"))
        if key in summary.files
    ]
    yield from paragraph_lines(tail, width=width)


def verdict_lines(verdicts: tuple[PlainVerdict, ...], *, width: int = WIDTH, colored: bool = False) -> Iterator[str]:
    """Yield the verdict on each column, those that fail first; at most 14 lines, and one that counts the others."""
    order = {word: place for place, word in enumerate(SIGN_COLORS)}
    ranked = sorted(verdicts, key=lambda one: order[one.verdict])
    shown = [
        Paragraph(f"{SIGN_COLORS[one.verdict][0]} {one.by}", one.text, color=SIGN_COLORS[one.verdict][1])
        for one in ranked[:MOST_VERDICTS]
    ]
    while len(shown) > 1 and len(list(paragraph_lines(shown, width=width))) > ROOM:
        shown = shown[:-1]
    yield from paragraph_lines(shown, width=width, colored=colored)
    if more := len(verdicts) - len(shown):
        yield f"  and {more} more, see the report or --details"


def headline(summary: RunSummary) -> str:
    """Return what was trained on what, how it ended, and what it is judged on."""
    trained = f"{summary.name}: {summary.model}, {summary.strategy}, on {summary.data}; {summary.state}"
    if summary.split is None:
        return f"{trained}, without predictions."
    chose = ", which also chose the epoch" if summary.chose_epoch else ""
    return f"{trained}, judged on the {summary.split} split{chose}."


def summary_tables(summary: RunSummary) -> tuple[Table, ...]:
    """Return what the run is and found as name and value, and the verdicts on its columns."""
    columns = (Column("name", ""), Column("value", ""))
    facts = {
        "run": summary.name,
        "task": summary.task if summary.task != "multiclass" else "",
        "state": summary.state,
        "updated": _shown_time(summary.updated),
        "backbone": summary.model,
        "weights": summary.weights,
        "strategy": summary.strategy,
        "images": summary.data,
        "judged on": summary.split or "",
        "accuracy": "" if summary.accuracy is None else summary.accuracy.format(),
        **{FIGURE_WORDS[name]: one.format() for name, one in summary.figures.items()},
        "next": summary.next_step.command or summary.next_step.why,
        **summary.files,
    }
    rows = tuple((name, value) for name, value in facts.items() if value)
    overview = Table("run", "", columns, rows, notes=summary.findings)
    if not summary.verdicts:
        return (overview,)
    by = (Column("by", "by"), Column("verdict", "verdict", "verdict"), Column("text", "what was found"))
    return (overview, Table("verdicts", "", by, tuple((one.by, one.verdict, one.text) for one in summary.verdicts)))


def list_tables(runs: RunList) -> tuple[Table, ...]:
    """Return one row for each run; the notes say why a run cannot be read."""
    others = any(one.figure for one in runs.runs)
    columns = (
        Column("run", "run"),
        Column("accuracy", "accuracy [interval]", "estimate"),
        *([Column("figure", "other tasks: main figure [interval]")] if others else []),
        Column("split", "on", "word"),
        Column("verdict", "worst verdict", "verdict"),
        Column("model", "model"),
        Column("strategy", "strategy"),
        Column("state", "state", "word"),
        Column("updated", "updated (UTC)", "time"),
    )
    rows = tuple(
        (
            one.name,
            one.accuracy,
            *([one.figure or None] if others else []),
            one.split or None,
            one.verdict,
            one.model or None,
            one.strategy or None,
            one.state,
            datetime.fromisoformat(one.updated) if one.updated else None,
        )
        for one in runs.runs
    )
    notes = tuple(f"{one.name}: {one.problem}" for one in runs.runs if one.problem)
    return (Table("runs", "", columns, rows, notes=notes),)


def _shown_time(updated: str) -> str:
    return f"{datetime.fromisoformat(updated):%Y-%m-%d %H:%M} UTC" if updated else ""
