"""Tables of a `Repair`: accuracy before and after, changes on test, candidates on val."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tlkit.audit.comparison_tables import changes_table
from tlkit.errors import first_few
from tlkit.tables import Cell, Column, Mark, Table, counted, format_estimate

if TYPE_CHECKING:
    from tlkit.audit.repair_result import Repair, RepairTrial

AT_PREDICTION = "needs the attribute to predict"


def repair_tables(repair: Repair) -> tuple[Table, ...]:
    """Return the outcome, then the changes on test and the candidates on val, if there are any."""
    return (outcome_table(repair), *changes_tables(repair), *candidate_tables(repair))


def outcome_table(repair: Repair) -> Table:
    """Return the accuracy on test of the worst group and of all images, before and after; no rows without a choice.

    The notes hold the reason, the candidates, the chosen one, its costs, and the run of the repaired head.
    """
    level = f"{repair.settings.confidence:.0%}"
    return Table(
        name="outcome",
        title=f"Repair of {repair.parent}: {repair.verdict}",
        columns=(
            Column("images", "images of test"),
            Column("before", f"accuracy before [{level}]", "estimate"),
            Column("after", f"accuracy after [{level}]", "estimate"),
            Column("change", f"change [{level}]", "estimate", signed=True),
        ),
        rows=_outcome_rows(repair),
        notes=tuple(_notes(repair)),
    )


def changes_tables(repair: Repair) -> tuple[Table, ...]:
    """Return the changes on test for all images, classes and groups; nothing where no candidate was chosen."""
    if repair.comparison is None:
        return ()
    return (replace(changes_table(repair.comparison), title="Changes on test, image by image", notes=()),)


def candidate_tables(repair: Repair) -> tuple[Table, ...]:
    """Return the original head and the candidates on val; empty where none was tried."""
    if repair.before is None:
        return ()
    level = f"{repair.settings.confidence:.0%}"
    group, accuracy = repair.before
    marks: dict[int, Mark] = {0: "quiet"}
    return (
        Table(
            name="candidates",
            title="Candidates on val",
            columns=(
                Column("candidate", "candidate"),
                Column("worst", f"worst group [{level}]", "estimate"),
                Column("worst_group", "which"),
                Column("change", f"change [{level}]", "estimate", signed=True),
                Column("overall", f"overall [{level}]", "estimate"),
                Column("overall_change", f"overall change [{level}]", "estimate", signed=True),
                Column("seconds", "time", "number", unit="s", digits=2),
                Column("standing", "standing"),
            ),
            rows=(
                ("original head", accuracy, group, None, None, None, None, ""),
                *(_candidate(trial, chosen=trial.method == repair.chosen) for trial in repair.trials),
            ),
            marks=marks,
        ),
    )


def _outcome_rows(repair: Repair) -> tuple[tuple[Cell, ...], ...]:
    test, comparison = repair.test, repair.comparison
    if test is None or comparison is None:
        return ()
    same = test.before_group == test.after_group
    names = test.before_group if same else f"{test.before_group} → {test.after_group}"
    overall = comparison.overall
    return (
        (f"worst group ({names})", test.before, test.after, test.change),
        ("all", overall.first, overall.second, overall.difference),
    )


def _candidate(trial: RepairTrial, *, chosen: bool) -> tuple[Cell, ...]:
    standing = ["chosen"] if chosen else ["helps"] * trial.helps
    standing += [AT_PREDICTION] * trial.at_prediction
    return (
        trial.method,
        trial.worst,
        trial.worst_group,
        trial.change,
        trial.overall,
        trial.overall_change,
        trial.seconds,
        ", ".join(standing),
    )


def _notes(repair: Repair) -> list[str]:
    found = [repair.reason[:1].upper() + repair.reason[1:]]
    if repair.before is not None:
        found.append(_tried(repair))
    chosen = next((trial for trial in repair.trials if trial.method == repair.chosen), None)
    if chosen is not None and chosen.at_prediction:
        found.append(
            f"WARNING: {chosen.method} needs the value of {' × '.join(repair.by)} of every image that it predicts. "
            "Treating people by such an attribute may be unlawful, and wrong or missing values make predictions wrong."
        )
    if repair.comparison is not None:
        found.append(f"All candidates took {repair.seconds:.1f} s.")
    if repair.run is not None:
        found.append(f"The repaired head is the run {repair.run}; {repair.parent} is unchanged.")
    elif chosen is not None and chosen.at_prediction:
        found.append("No run is written, because a stored model takes only the image. The offsets are in repair.json.")
    else:
        found.append("No model is written.")
    return found


def _tried(repair: Repair) -> str:
    assert repair.before is not None
    group, accuracy = repair.before
    tried = f"{counted(len(repair.trials), 'candidate')} tried on {counted(repair.images['val'], 'validation image')}"
    text = f"{tried}, where the worst group by {repair.judged_by} was {group} with {format_estimate(accuracy)}."
    if repair.chosen is None:
        return text
    trial = next(trial for trial in repair.trials if trial.method == repair.chosen)
    others = [one.method for one in repair.trials if one.helps and one is not trial]
    also = f"; these help as well: {first_few(others, most=12)}." if others else "."
    return f"{text} Chosen: {trial.method} ({trial.words}){also}"
