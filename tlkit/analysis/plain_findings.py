"""What errors, drift and robustness found, in plain sentences."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tlkit.errors import first_few
from tlkit.tables import counted
from tlkit.tables.shares import LARGE, in_percent, percent, points

if TYPE_CHECKING:
    from tlkit.analysis.error_report import ErrorReport
    from tlkit.evaluation.drift_report import DriftReport
    from tlkit.evaluation.robustness_report import RobustnessReport

MOST_NAMED = 4


def errors_sentence(report: ErrorReport) -> str:
    """Return how often the model is wrong, and what it takes for what."""
    level = f"{report.confidence:.0%} interval"
    if not report.errors:
        most = _end(report.rate.high)
        return f"None of {counted(report.n, 'image')} is wrong; up to {most} of new ones may be ({level})."
    found = [f"{report.errors:,} of {counted(report.n, 'image')} are wrong: {in_percent(report.rate)} ({level})."]
    if report.pairs:
        pair = report.pairs[0]
        found.append(f"{pair.y_true} is taken for {pair.y_pred} most clearly ({pair.k:,} of {pair.n:,}).")
    found.append("Look at the first images below: a wrong label or a missing kind of image shows there.")
    return " ".join(found)


def drift_sentence(report: DriftReport) -> str:
    """Return whether new images differ from the run's own, and what to do."""
    images, level = counted(report.images, "new image"), f"{report.confidence:.0%} interval"
    if report.verdict == "DRIFT":
        told = next((one for one in report.tests if one.name == "classifier"), None)
        how = (
            ""
            if told is None
            else f": a classifier tells them apart in {in_percent(told.statistic)} ({level}) of cases"
        )
        return (
            f"The {images} differ from the {report.reference} images{how}. The accuracy there is unknown: label some, "
            "and look at the most foreign ones below."
        )
    far = f"{in_percent(report.beyond)} of them are farther out than 95% of the {report.reference} images ({level})"
    if report.verdict == "NO DRIFT FOUND":
        return f"No drift is found in {images}; {far}. A small drift, or a few foreign images, can go unseen."
    return f"NOT ENOUGH DATA: {images} are too few to tell drift from chance; {far}. Collect more."


def robustness_sentence(report: RobustnessReport) -> str:
    """Return which corruptions certainly cost accuracy and from which severity, and which do not."""
    by = {
        verdict: [one for one in report.corruptions if one.verdict == verdict]
        for verdict in ("LOSS", "NO LOSS BEYOND TOLERANCE", "NOT ENOUGH DATA")
    }
    found = [f"Clean accuracy is {in_percent(report.clean)} ({report.confidence:.0%} interval)."]
    lost = sorted(by["LOSS"], key=lambda one: one.first_loss or 0)
    if lost:
        named = [f"{one.name} from severity {one.first_loss}" for one in lost]
        found.append(
            f"It certainly falls with {first_few(named, most=MOST_NAMED)}: train on such images, or avoid them."
        )
    if by["NO LOSS BEYOND TOLERANCE"]:
        names = [one.name for one in by["NO LOSS BEYOND TOLERANCE"]]
        allowed = points(report.tolerance, decimals=2)
        found.append(f"It holds within {allowed} with {first_few(names, most=MOST_NAMED)}.")
    if by["NOT ENOUGH DATA"]:
        names = [one.name for one in by["NOT ENOUGH DATA"]]
        found.append(f"Too few images to tell for {first_few(names, most=MOST_NAMED)}.")
    return " ".join(found)


def _end(value: float | None) -> str:
    return "an unknown share" if value is None else percent(value, n=LARGE)
