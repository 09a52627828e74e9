"""The tables of a `SweepResult`, and all sentences about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from tlkit.tables import Cell, Column, Table, counted

if TYPE_CHECKING:
    from tlkit.sweeps.sweep_result import SweepResult, TrialRow

SAME = "not distinguishable from the default"


def sweep_tables(result: SweepResult, *, most_rows: int | None) -> tuple[Table, ...]:
    """Return the trials, best first, the importance of the keys, and the winner against the default."""
    tables = [trials_table(result, most_rows=most_rows)]
    if result.importances:
        tables.append(importance_table(result))
    if result.comparison is not None:
        tables += [replace(one, title=f"Test: {one.title}" if one.title else "") for one in result.comparison.tables()]
    return tuple(tables)


def trials_table(result: SweepResult, *, most_rows: int | None) -> Table:
    """Return the trials, best first; the notes say how the winner was chosen, and how it was judged."""
    rows = sorted(result.trials, key=lambda row: (row.state != "complete", _order(row, result)))
    shown = rows if most_rows is None else rows[:most_rows]
    keys = list(dict.fromkeys(key for row in result.trials for key in row.settings))
    hidden = len(rows) - len(shown)
    notes = [
        f"{counted(hidden, 'further trial')} in trials.csv." if hidden else "",
        _failures(result),
        _chosen(result),
        verdict_sentence(result),
    ]
    return Table(
        name="trials",
        title=f"Sweep {result.name}: {result.metric} on val",
        columns=(
            Column("trial", "trial", "word"),
            Column("figure", result.metric.replace("_", " "), "estimate"),
            *(Column(key, key, "word") for key in keys),
            Column("seconds", "time", "number", unit="s", digits=1),
            Column("state", "state", "word"),
        ),
        rows=(
            ("default", result.default, *(None for _ in keys), None, "complete"),
            *(_cells(row, keys) for row in shown),
        ),
        notes=tuple(filter(None, notes)),
        marks={place: "better" for place, row in enumerate(shown, start=1) if row.number == result.best},
    )


def _cells(row: TrialRow, keys: Sequence[str]) -> tuple[Cell, ...]:
    values = (short(row.settings.get(key, "")) for key in keys)
    return (str(row.number), row.figure, *values, row.seconds, row.state)


def importance_table(result: SweepResult) -> Table:
    """Return how much of the variance of the figure each key explains."""
    return Table(
        name="importance",
        title="Which keys mattered",
        columns=(
            Column("key", "key", "word"),
            Column("share", "share of the variance", "percent"),
            Column("low", "lowest", "percent"),
            Column("high", "highest", "percent"),
        ),
        rows=tuple((one.key, one.share, one.low, one.high) for one in result.importances),
        notes=(
            "fANOVA over the complete trials; lowest and highest of five random forests. It describes these trials and "
            "these ranges, and is no test.",
        ),
    )


def verdict_sentence(result: SweepResult) -> str:
    """Return whether the winner is better than the default recipe on images that did not choose it."""
    if result.winner is None:
        return "No trial is complete, so there is no winner."
    if result.judged is None:
        return (
            "NOT ENOUGH DATA: the recipe has no test images, so nothing judges the winner fairly. "
            "Its figure on val is too good, because it was chosen by it. Set data.test."
        )
    first, second = result.judged.contenders
    change = result.judged.changes[0]
    figures = (
        f"On test ({counted(result.judged.images, 'image')}, which chose nothing), {result.judged.title}: default "
    )
    figures += (
        f"{first.score.format()}, winner {second.score.format()}, difference {change.difference.format(signed=True)}"
    )
    low, high = change.difference.low, change.difference.high
    if low is None or high is None:
        return f"{figures}: NOT ENOUGH DATA."
    if low <= 0 <= high or change.change == "not distinguishable":
        return f"{figures}: {SAME}."
    return f"{figures}: {change.change} than the default."


def short(text: str) -> str:
    """Return the value of a key for readers: a long number with four significant digits.

    Example:
        >>> short("0.004043878009515107"), short("frozen"), short("12345")
        ('0.004044', 'frozen', '12345')
    """
    try:
        number = float(text)
    except ValueError:
        return text
    return text if len(text) <= 6 else f"{number:.4g}"


def _chosen(result: SweepResult) -> str:
    winner = result.winner
    if winner is None or winner.figure is None:
        return ""
    complete = sum(row.state == "complete" for row in result.trials)
    return (
        f"The winner is trial {winner.number}, the best of {counted(complete, 'complete trial')} on "
        f"{counted(winner.figure.n, 'val image')}. The best of many is too good on the images that chose it."
    )


def _failures(result: SweepResult) -> str:
    failed = [row for row in result.trials if row.state == "failed"]
    if not failed:
        return ""
    return f"{counted(len(failed), 'trial')} failed; the first: trial {failed[0].number}, {failed[0].reason}"


def _order(row: TrialRow, result: SweepResult) -> float:
    if row.figure is None or row.figure.value is None:
        return float(row.number)
    return -row.figure.value if result.higher_is_better else row.figure.value
