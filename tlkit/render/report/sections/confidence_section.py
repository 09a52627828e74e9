"""Confidence: whether it agrees with accuracy, and the effect of abstention and of prediction sets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tlkit.render.plots import plot_reliability, plot_risk_coverage, plot_sets
from tlkit.render.report.page_section import Figure, Fold, PageSection, Part
from tlkit.tables.shares import percent, points
from tlkit.uncertainty.abstention_tables import abstention_tables
from tlkit.uncertainty.calibration_tables import calibration_tables
from tlkit.uncertainty.conformal_tables import conformal_tables
from tlkit.uncertainty.plain_uncertainty import sets_sentence

if TYPE_CHECKING:
    from tlkit.render.report.run_contents import RunContents
    from tlkit.uncertainty.abstention_result import Abstention
    from tlkit.uncertainty.calibration_result import Calibration
    from tlkit.uncertainty.conformal_result import ConformalSets

COMMANDS = (
    "By group: `tlkit calibration RUN --by COLUMN`, `tlkit abstain RUN --by COLUMN`, `tlkit conformal RUN --by COLUMN`."
)


def confidence_section(run: RunContents) -> PageSection | None:
    """Return calibration, abstention and prediction sets; None where there are no probabilities or no labels."""
    if run.confidence is None:
        return None
    calibration, abstention, sets = run.confidence.calibration, run.confidence.abstention, run.confidence.sets
    return PageSection(
        "confidence",
        "Confidence",
        calibration_claim(calibration),
        (
            Figure.draw(
                lambda: plot_reliability(calibration),
                alt=f"Reliability diagram of {calibration.n:,} images. {calibration_claim(calibration)}",
                caption="Each point holds images of about equal confidence. On the dashed line the share of right"
                " answers equals the confidence; below it the model is over-confident.",
            ),
            Part(
                "When the model stays silent",
                (
                    Figure.draw(
                        lambda: plot_risk_coverage(abstention),
                        alt=f"Risk by coverage of {abstention.n:,} images. {abstention_claim(abstention)}",
                        caption="To the left the model answers only where it is most sure. The curve is the share of"
                        " wrong answers among those it gives.",
                    ),
                    Fold("Abstention in numbers", abstention_tables(abstention)),
                ),
                claims=(abstention_claim(abstention),),
            ),
            *(() if sets is None else (_sets_part(sets),)),
            Fold("Calibration in numbers", calibration_tables(calibration), (COMMANDS,)),
        ),
    )


def _sets_part(sets: ConformalSets) -> Part:
    return Part(
        "When the model names several classes",
        (
            Figure.draw(
                lambda: plot_sets(sets),
                alt=f"Coverage of prediction sets of {sets.n:,} images. {sets_sentence(sets)}",
                caption="A set holds the classes that are probable enough, by a limit from validation images. The point"
                " is the share of sets with the true class; the dashed line is the share that is wanted.",
            ),
            Fold("Prediction sets in numbers", conformal_tables(sets)),
        ),
        claims=(sets_sentence(sets),),
    )


def calibration_claim(calibration: Calibration) -> str:
    """Return in one sentence whether the model is over- or under-confident, or that the images cannot say."""
    error, excess = calibration.overall.error, calibration.overall.excess
    if error.p is None or excess.value is None or excess.low is None or excess.high is None:
        return f"{calibration.n:,} images are too few to compare confidence with accuracy."
    if excess.low > 0 or excess.high < 0:
        word = "more" if excess.value > 0 else "less"
        return f"On average the model is {points(excess.value)} {word} confident than it is right."
    if error.p <= 0.05:
        return "On average confidence agrees with accuracy, but not at each level of confidence."
    return f"Confidence agrees with accuracy, as far as {calibration.n:,} images can say."


def abstention_claim(abstention: Abstention) -> str:
    """Return in one sentence what the first threshold, chosen on validation images, does here."""
    for one in abstention.thresholds:
        chosen, answered, risk = one.chosen, one.coverage.value, one.risk.value
        if chosen.threshold is not None and answered is not None and risk is not None:
            return (
                f"With at most {percent(chosen.risk, n=abstention.n)} wrong answers wanted, the model answers"
                f" {percent(answered, n=abstention.n)} of these images; {percent(risk, n=one.risk.n)} of its answers"
                " are wrong."
            )
    if abstention.thresholds:
        risk_wanted = percent(abstention.thresholds[0].chosen.risk, n=abstention.n)
        return f"The validation images are too few to guarantee at most {risk_wanted} wrong answers."
    return "Without separate validation images no threshold can be chosen."
