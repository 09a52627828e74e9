"""Tables of a `Repair`: accuracy before and after, changes on test, candidates on val."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tlkit.audit.comparison_tables import changes_table
from tlkit.errors import first_few
from tlkit.tables import Cell, Column, Mark, Table, counted

if TYPE_CHECKING:
    from tlkit.audit.repair_result import Repair, RepairTrial
    from tlkit.stats.estimate import Estimate

AT_PREDICTION = "needs the attribute to predict"
METHODS = {
    "class_offsets": "the original head, with one threshold for each class",
    "class_balanced": "refitted, classes balanced by weights",
    "group_balanced": "refitted, class and attribute made independent by weights",
    "group_reweighted": "refitted, groups balanced by weights",
    "group_subsampled": "mean of heads on balanced subsamples of the groups",
    "jtt_5": "just train twice: refitted, errors of a first head weighted 5 times",
    "jtt_20": "just train twice: the same, weighted 20 times",
    "group_dro": "group DRO: refitted for the smallest loss of the worst group",
    "dfr_train": "deep feature reweighting: sparse heads on balanced subsamples of train",
    "dfr_val": "deep feature reweighting on val",
    "group_offsets": "the original head, with thresholds by class and group",
    "group_temperature": "the original head, with a temperature for each group",
}
"""What each method of `tlkit.features.repair` does."""


def repair_tables(repair: Repair) -> tuple[Table, ...]:
    """Return the outcome, then the changes on test and the candidates on val, if there are any."""
    return (outcome_table(repair), *changes_tables(repair), *candidate_tables(repair))


def outcome_table(repair: Repair) -> Table:
    """Return the accuracy on test of the worst group and of all images, before and after; no rows without a choice.

    The notes hold why the verdict is so, the candidates, the chosen one, its costs, and the run of the repaired head.
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


def origin_sentence(origin: Mapping[str, Any]) -> str:
    """Return where a repaired head comes from: the facts that its run holds in `environment.json`."""
    return (
        f"The head was repaired from that of {origin['parent']} (sha256 {origin['parent_digest'][:12]}) by "
        f"{origin['method']}, chosen on val for the worst group by {origin['judged_by']}; its figures for val are "
        "optimistic."
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
    found = [_reason(repair)]
    if repair.before is not None:
        found.append(_tried(repair))
    if left_out := _left_out(repair):
        found.append(left_out)
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


def _reason(repair: Repair) -> str:
    """Return why the verdict is what it is."""
    if repair.before is None:
        return _why_untried(repair)
    if repair.chosen is None:
        return _why_unchosen(repair, *repair.before)
    test, margin = repair.test, repair.margin
    if test is None:
        return f"No test image is in {', '.join(name for name in repair.too_few if name in repair.groups)}."
    changes = [one.format(signed=True) for one in (test.change, test.overall_change)]
    text = "On test the worst group changes by {}, overall accuracy by {}".format(*changes) + f" (margin {margin:g})"
    if repair.verdict == "FAIL":
        return f"{text}: {'the worst group loses' if test.change.is_below(0) else 'overall it is inferior'}."
    unknown = [] if test.change.is_above(0) else ["whether the worst group gains"]
    if not test.overall_change.is_above(-margin):
        unknown.append(f"whether overall accuracy loses no more than {margin:g}")
    return f"{text}; these images do not show {' and '.join(unknown)}." if unknown else f"{text}."


def _why_untried(repair: Repair) -> str:
    if lacking := [split for split, count in repair.images.items() if not count]:
        return (
            f"There are no {' and no '.join(lacking)} images. A repair learns from train, is chosen on val and judged "
            "on test: hold out images for both (data.val, data.test), and fit again."
        )
    smallest = repair.settings.min_group_size
    counts = first_few([f"{name} {count}" for name, count in repair.too_few.items()], most=10)
    return (
        f"Some groups by {repair.judged_by} have fewer than {smallest} validation images: {counts}. It takes "
        f"{smallest - min(repair.too_few.values())} more of the smallest to choose a head for the worst of them, or a "
        "smaller --min-group-size, with wider intervals."
    )


def _left_out(repair: Repair) -> str:
    """Return which groups took no part in the choice of the worst one; "" where none."""
    small = {name: count for name, count in repair.too_few.items() if name not in repair.groups}
    if repair.before is None or not small:
        return ""
    counts = first_few([f"{name} {count}" for name, count in small.items()], most=10)
    return (
        f"Never the worst group, with fewer than {repair.settings.min_group_size} validation images: {counts}. They "
        "count in the overall accuracy."
    )


def _why_unchosen(repair: Repair, group: str, accuracy: Estimate) -> str:
    best = max((one for one in repair.trials if not one.at_prediction), key=lambda one: one.worst.value or 0.0)
    others = [one.method for one in repair.trials if one.at_prediction and one.helps]
    also = f" {first_few(others)} would help, and needs the attribute to predict." if others else ""
    return (
        f"No candidate is better for the worst group ({group}, {accuracy.format()}) by more than the uncertainty of "
        f"the validation images; nearest was {best.method} with {best.worst.format()}.{also}"
    )


def _tried(repair: Repair) -> str:
    assert repair.before is not None
    group, accuracy = repair.before
    tried = f"{counted(len(repair.trials), 'candidate')} tried on {counted(repair.images['val'], 'validation image')}"
    text = f"{tried}, where the worst group by {repair.judged_by} was {group} with {accuracy.format()}."
    if repair.chosen is None:
        return text
    trial = next(trial for trial in repair.trials if trial.method == repair.chosen)
    others = [one.method for one in repair.trials if one.helps and one is not trial]
    also = f"; these help as well: {first_few(others, most=12)}." if others else "."
    return f"{text} Chosen: {trial.method} ({METHODS[trial.method]}){also}"
