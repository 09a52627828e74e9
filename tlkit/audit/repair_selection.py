"""Choice of a repaired head on validation images, and its test on test images, from paired outcomes by group."""

from __future__ import annotations

from collections.abc import Sequence

from tlkit.arrays import Ints, Mask
from tlkit.audit.repair_result import RepairTrial, RepairVerdict, WorstGroupChange
from tlkit.stats.intervals import wilson
from tlkit.stats.paired import Pairs, paired_difference
from tlkit.stats.worst_group import worst_change, worst_rates


def pairs_by_group(first: Mask, second: Mask, group: Ints, groups: int) -> list[Pairs]:
    """Return counts by which head is right, shape (N,) each, for every code of `group`, shape (N,); -1 = in none."""
    return [Pairs.from_correct(first[group == code], second[group == code]) for code in range(groups)]


def try_candidate(
    name: str,
    *,
    learns_from: str,
    at_prediction: bool,
    before: Mask,
    after: Mask,
    group: Ints,
    names: Sequence[str],
    margin: float,
    confidence: float,
    seconds: float,
) -> RepairTrial:
    """Return a candidate's change on the worst group of the validation images, and on all of them.

    It helps where the whole interval of the worst group's change lies above 0, and the interval of the overall change
    does not lie below minus the margin as a whole.

    `name`, `learns_from`, `at_prediction` and `seconds` are those of `RepairTrial`. `before` and `after` are
    whether the original head and the candidate are right on each image, and `group` is the code of its group, in
    `names`, each of shape (N,). `margin` is the largest overall loss that is not inferior.
    """
    pairs = pairs_by_group(before, after, group, len(names))
    change = worst_change(pairs, confidence)
    overall = paired_difference(Pairs.from_correct(before, after), confidence)
    _, (worst, accuracy) = worst_rates(pairs, confidence)
    return RepairTrial(
        method=name,
        learns_from=learns_from,
        at_prediction=at_prediction,
        worst_group=names[worst],
        worst=accuracy,
        change=change,
        overall=wilson(int(after.sum()), len(after), confidence),
        overall_change=overall,
        helps=change.is_above(0) and not overall.is_below(-margin),
        seconds=seconds,
    )


def choose(
    trials: Sequence[RepairTrial],
    right: Sequence[Mask],
    *,
    group: Ints,
    groups: int,
    confidence: float,
    allow_attribute: bool = False,
) -> int | None:
    """Return the position of the simplest candidate that helps and is not distinguishable from the best one.

    The best is the helping candidate with the most accurate worst group. A simpler one is chosen where the interval of
    the change from it to the best does not lie above 0.

    `trials` are the candidates, the simpler first, and `right` is whether each is right on each image, shape (N,);
    `allow_attribute` = one that needs the attribute at prediction time may be chosen. None where no candidate helps.
    """
    able = [i for i, one in enumerate(trials) if one.helps and (allow_attribute or not one.at_prediction)]
    if not able:
        return None
    best = max(able, key=lambda i: (trials[i].worst.value or 0.0, -i))
    for i in able:
        lead = worst_change(pairs_by_group(right[i], right[best], group, groups), confidence)
        if i == best or not lead.is_above(0):
            return i
    raise AssertionError("the best one is among them")


def judge_on_test(
    before: Mask, after: Mask, *, group: Ints, names: Sequence[str], margin: float, confidence: float
) -> tuple[RepairVerdict, WorstGroupChange | None, tuple[str, ...]]:
    """Return the verdict on test images, the change, and the groups without any; PASS = gain, overall not inferior.

    Not inferior: the interval of the overall change lies above minus the margin. Arguments as in `try_candidate`; a
    `group` of -1 = in none.
    """
    pairs = pairs_by_group(before, after, group, len(names))
    empty = tuple(name for name, one in zip(names, pairs, strict=True) if one.n == 0)
    if empty:
        return "NOT ENOUGH DATA", None, empty
    change = worst_change(pairs, confidence)
    (was, first), (now, second) = worst_rates(pairs, confidence)
    overall = paired_difference(Pairs.from_correct(before, after), confidence)
    worst = WorstGroupChange(names[was], first, names[now], second, change, overall)
    if change.is_below(0) or overall.is_below(-margin):
        return "FAIL", worst, ()
    return "PASS" if change.is_above(0) and overall.is_above(-margin) else "NOT ENOUGH DATA", worst, ()
