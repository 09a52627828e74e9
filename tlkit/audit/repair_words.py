"""A repair in words: plain sentences, tables of text, and HTML for a notebook."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tlkit.audit.model_comparison import ALL
from tlkit.audit.words import NONE, signed
from tlkit.errors import first_few
from tlkit.notebook import html_lines, html_table

if TYPE_CHECKING:
    from tlkit.audit.repair_result import Repair

AT_PREDICTION = "needs the attribute to predict"


def trial_rows(repair: Repair) -> list[tuple[str, ...]]:
    """Return the candidates on val as text, one tuple a row, the header first."""
    if repair.before is None:
        return []
    level = f"[{repair.settings.confidence:.0%}]"
    rows: list[tuple[str, ...]] = [
        ("candidate", f"worst group on val {level}", "which", f"change {level}", f"overall change {level}", "s", "")
    ]
    group, accuracy = repair.before
    rows.append(("as it was", accuracy.format(), group, NONE, NONE, NONE, ""))
    for trial in repair.trials:
        words = ["chosen"] * (trial.method == repair.chosen) or ["helps"] * trial.helps
        words += [AT_PREDICTION] * trial.at_prediction
        rows.append(
            (
                trial.method,
                trial.worst.format(),
                trial.worst_group,
                signed(trial.change),
                signed(trial.overall_change),
                f"{trial.seconds:.2f}",
                ", ".join(words),
            )
        )
    return rows


def summary_rows(repair: Repair) -> list[tuple[str, ...]]:
    """Return before and after on test as text: the worst group, all images, classes that differ, groups."""
    comparison, test = repair.comparison, repair.test
    if comparison is None:
        return []
    head, *rows = comparison.summary_rows()
    if test is None:
        return [head, *rows]
    worst = (
        "(worst)",
        f"{test.before_group} → {test.after_group}" if test.before_group != test.after_group else test.before_group,
        NONE,
        f"{test.before.value:.3f}",
        f"{test.after.value:.3f}",
        signed(test.change),
        NONE,
        NONE,
        NONE,
        "",
    )
    return [head, worst, *rows]


def sentences(repair: Repair) -> list[str]:
    """Return the verdict, what was tried and chosen, what changed, and what it costs."""
    found = [f"{repair.verdict}: {repair.reason}"]
    if repair.before is not None:
        found.append(_tried(repair))
    chosen = next((trial for trial in repair.trials if trial.method == repair.chosen), None)
    if chosen is not None and chosen.at_prediction:
        found.append(
            f"WARNING: {chosen.method} needs the value of {' × '.join(repair.by)} of every image that it predicts. To "
            "treat people by such an attribute may be unlawful, and a value that is wrong or missing makes it wrong."
        )
    if repair.comparison is not None:
        found += _cost(repair)
    if repair.run is not None:
        found.append(f"The repaired head is the run {repair.run}; {repair.parent} is as it was.")
    elif repair.chosen is not None and chosen is not None and chosen.at_prediction:
        found.append("No run is written: a stored model sees the image alone. The offsets are in repair.json.")
    else:
        found.append("No model is written.")
    return found


def brief_rows(repair: Repair) -> list[tuple[str, str]]:
    """Return name and value of what a reader asks first: before, after, change, overall change."""
    if repair.test is None or repair.comparison is None:
        return []
    test, overall = repair.test, repair.comparison.overall
    return [
        (f"worst group before ({test.before_group})", test.before.format()),
        (f"worst group after ({test.after_group})", test.after.format()),
        ("its change", signed(test.change)),
        ("overall", f"{overall.first.format()} → {overall.second.format()}"),
        ("its change", signed(overall.difference)),
    ]


def _tried(repair: Repair) -> str:
    assert repair.before is not None
    group, accuracy = repair.before
    text = (
        f"{len(repair.trials)} candidates were tried on {repair.images['val']:,} validation images, where the worst "
        f"group by {repair.judged_by} was {group} with {accuracy.format()}."
    )
    helpful = [trial.method for trial in repair.trials if trial.helps]
    if repair.chosen is None:
        return text
    trial = next(trial for trial in repair.trials if trial.method == repair.chosen)
    text += f" Chosen: {trial.method} ({trial.words}), {trial.worst.format()} in its worst group {trial.worst_group}"
    others = [name for name in helpful if name != trial.method]
    return text + (f"; these help, too: {first_few(others, most=12)}." if others else ".")


def _cost(repair: Repair) -> list[str]:
    assert repair.comparison is not None
    overall = repair.comparison.overall
    found = [
        f"Its cost: overall accuracy on test {overall.first.value:.3f} → {overall.second.value:.3f}, "
        f"{signed(overall.difference)}; {repair.seconds:.1f} s for all candidates."
    ]
    worse = [row for row in repair.comparison.rows if row.change == "worse" and row.by != ALL]
    return found + [
        f"Worse for {row.by} {row.name}: {row.first.value:.3f} → {row.second.value:.3f}." for row in worse[:5]
    ]


def repair_html(repair: Repair) -> str:
    """Return the repair as an HTML fragment; all text that comes from the data is escaped."""
    tables = html_table(summary_rows(repair)) + html_table(trial_rows(repair))
    return f"<div>{html_lines(sentences(repair))}{tables}</div>"
