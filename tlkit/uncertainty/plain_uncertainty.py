"""What calibration, abstention and prediction sets found, in plain sentences: what, how sure, what next."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tlkit.errors import first_few
from tlkit.tables import counted
from tlkit.tables.shares import in_percent

if TYPE_CHECKING:
    from tlkit.uncertainty.abstention_result import Abstention
    from tlkit.uncertainty.calibration_result import Calibration
    from tlkit.uncertainty.conformal_result import ConformalSets

MOST_NAMED = 3
SIGNIFICANT = 0.05


def calibration_sentence(calibration: Calibration) -> str:
    """Return whether the model's confidence can be read as a chance."""
    row, level = calibration.overall, f"{calibration.confidence:.0%} interval"
    images, error, excess = counted(row.n, "image"), row.error, row.excess
    if error.p is None or excess.value is None or excess.low is None or excess.high is None:
        return f"NOT ENOUGH DATA to judge the model's confidence: {error.debiased.note or excess.note}. Add images."
    ends = f"[{100 * excess.low:+.1f}, {100 * excess.high:+.1f}]"
    gap = f"confidence minus accuracy is {100 * excess.value:+.1f} points {ends} on average ({level})"
    if excess.low > 0 or excess.high < 0:
        word = "too sure" if excess.low > 0 else "not sure enough"
        held = "a scaling fitted on val can correct that" if not calibration.scaled else "in spite of its scaling"
        return f"The model is {word}: on {images} {gap}; {held}."
    if error.p < SIGNIFICANT:
        return (
            f"Confidence and accuracy disagree more than chance explains (p = {error.p:.3f}) on {images}, though "
            f"not in one direction: {gap}. Do not read the probabilities as chances."
        )
    return f"No disagreement of confidence and accuracy is found on {images}: {gap}."


def abstention_sentence(abstention: Abstention) -> str:
    """Return how abstention changes the error rate, and for which groups it does not help."""
    level = f"{abstention.confidence:.0%} intervals"
    found = [f"With everything answered the model errs in {in_percent(abstention.error)} of images ({level})."]
    if (chosen := next((one for one in abstention.thresholds if one.chosen.threshold is not None), None)) is not None:
        found.append(
            f"To err in at most {chosen.chosen.risk:.0%} of its answers, it answers {in_percent(chosen.coverage)} of "
            f"them and errs in {in_percent(chosen.risk)} of those."
        )
    elif abstention.thresholds:
        one = abstention.thresholds[0].chosen
        found.append(
            f"NOT ENOUGH DATA to promise an error of at most {one.risk:.0%}: that takes {one.needed:,} answered "
            f"validation images without an error, or more; there are {one.n:,} in all. Add some, or allow more errors."
        )
    else:
        half = min(abstention.curve, key=lambda point: abs(point.coverage - 0.5))
        found.append(f"Of the surest {half.coverage:.0%} it errs in {in_percent(half.risk)}.")
    silent = [f"{one.column}: {one.group}" for one in abstention.groups if one.coverage_verdict == "FAIL"]
    wider = [f"{one.column}: {one.group}" for one in abstention.groups if one.change_verdict == "FAIL"]
    if silent:
        found.append(f"It answers some groups more or less often than the rest: {first_few(silent, most=MOST_NAMED)}.")
    if wider:
        found.append(f"Silence widens the gap for {first_few(wider, most=MOST_NAMED)}.")
    return " ".join(found)


def sets_sentence(sets: ConformalSets) -> str:
    """Return whether prediction sets hold the true class as often as wanted, how large they are, and for whom not."""
    row = sets.overall
    size = "" if row.size.value is None else f", with {row.size.value:.2f} of {len(sets.classes):,} classes on average"
    end = {
        "FAIL": f"That is less than the {sets.wanted:.0%} wanted.",
        "PASS": f"That meets the {sets.wanted:.0%} wanted.",
    }.get(row.verdict or "", f"NOT ENOUGH DATA to tell whether that is the {sets.wanted:.0%} wanted.")
    found = [
        f"The sets hold the true class of {in_percent(row.coverage)} of {counted(row.n, 'image')} "
        f"({sets.confidence:.0%} interval){size}.",
        end,
    ]
    failing = [f"{one.column}: {one.group}" for one in sets.rows[1:] if one.verdict == "FAIL"]
    if failing:
        within = "" if sets.condition == "group" else "; --condition group calibrates within each"
        found.append(f"Too rarely for {first_few(failing, most=MOST_NAMED)}{within}.")
    return " ".join(found)
