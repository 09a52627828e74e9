"""Clauses on what lies beyond the test images: corrupted images, images of another source, and unsure answers.

They rest on what `tlkit robustness` and `tlkit drift` stored with the run, and on the predictions of val and test.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tlkit.evidence.clause import ACT, RMF, Clause
from tlkit.render.report.sections.confidence_section import abstention_claim
from tlkit.render.report.sections.measurements_section import robustness_claim
from tlkit.tables import counted
from tlkit.tables.shares import in_percent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tlkit.evidence.run_facts import RunFacts

ROBUSTNESS, DRIFT, DETECTOR = "robustness.json", "drift.json", "model/unknown.json"
DETECTION = "unknown.json"
CORRUPTED = "Images that are corrupted, such as dark, blurred or noisy ones."
ELSEWHERE = "Images of another source, camera or time."
_WORST_FIRST = ("LOSS", "DRIFT", "NOT ENOUGH DATA", "NO LOSS BEYOND TOLERANCE", "NO DRIFT FOUND")


def resilience_clauses(facts: RunFacts) -> tuple[Clause, ...]:
    """Return the clauses of Art. 15(4): errors and inconsistencies of the images, and what happens when unsure."""
    slices = facts.contents.slices
    robustness, drift = _robustness(facts), _drift(facts)
    searched = "" if slices is None else f"{counted(len(slices.slices), 'slice')} of unusual images examined."
    files = [name for name, there in ((ROBUSTNESS, robustness), (DRIFT, drift), ("slices.json", searched)) if there]
    missing = [text for text, there in ((CORRUPTED, robustness), (ELSEWHERE, drift)) if not there]
    return (
        Clause(
            ACT,
            "Art. 15(4)",
            "resilience to errors, faults, inconsistencies; feedback loops",
            tuple(files),
            " ".join(filter(None, (robustness, drift, searched))),
            _worst((*_robustness_verdicts(facts), *_drift_verdicts(facts))),
            " ".join([*missing, "Failures of the system around the model; feedback loops."]),
        ),
        Clause(
            ACT,
            "Art. 15(4), backup and fail-safe plans",
            "what the model does when it is unsure",
            _answer_files(facts),
            " ".join(filter(None, (_abstention(facts), _sets(facts), _detector(facts)))),
            _sets_verdict(facts),
            " ".join(
                [*_unsure_missing(facts), "Whether an answer is withheld in use, and who then decides; backup systems."]
            ),
        ),
    )


def monitoring_clauses(facts: RunFacts) -> tuple[Clause, ...]:
    """Return MEASURE 2.4 to 2.6: behavior in production, validity and its limits, failing safely."""
    drift, robustness = _drift(facts), _robustness(facts)
    return (
        Clause(
            RMF,
            "MEASURE 2.4",
            "behavior monitored when in production",
            (DRIFT,) if drift else (),
            drift,
            _worst(_drift_verdicts(facts)),
            "Accuracy in production: that takes labels from there."
            if drift
            else f"{ELSEWHERE} Accuracy in production: that takes labels from there.",
        ),
        Clause(
            RMF,
            "MEASURE 2.5",
            "valid and reliable; limits of generalization documented",
            ("evaluation.json", *((ROBUSTNESS,) if robustness else ()), "MODEL_CARD.md"),
            robustness or "The card states the limits of the figures.",
            _worst(_robustness_verdicts(facts)),
            " ".join([*([] if robustness else [CORRUPTED]), "Whether the labels measure what they stand for."]),
        ),
        Clause(
            RMF,
            "MEASURE 2.6",
            "safety risks; failing safely beyond what the model knows",
            _answer_files(facts),
            " ".join(filter(None, (_abstention(facts), _sets(facts), _detector(facts)))),
            _sets_verdict(facts),
            " ".join([*_unsure_missing(facts), "Harm by a wrong answer in use."]),
        ),
    )


def _robustness(facts: RunFacts) -> str:
    report = facts.contents.robustness
    if report is None:
        return ""
    return (
        f"{counted(len(report.corruptions), 'corruption')} of five severities on {report.n:,} images of the "
        f"{report.split} split. {robustness_claim(report)}"
    )


def _robustness_verdicts(facts: RunFacts) -> list[str]:
    report = facts.contents.robustness
    return [] if report is None else [one.verdict for one in report.corruptions]


def _drift_verdicts(facts: RunFacts) -> list[str]:
    return [report.verdict for report in facts.contents.drift.values()]


def _worst(verdicts: Sequence[str]) -> str:
    """Return the worst of some verdicts; "" where there are none."""
    return next((word for word in _WORST_FIRST if word in verdicts), "")


def _drift(facts: RunFacts) -> str:
    """Return how many sets of new images were compared, and in how many drift was found; no name of a set."""
    reports = facts.contents.drift.values()
    if not reports:
        return ""
    found = [report.verdict for report in reports]
    images = sum(report.images for report in reports)
    undecided = found.count("NOT ENOUGH DATA")
    more = f"; {undecided} too small to tell" if undecided else ""
    return (
        f"{counted(len(found), 'set')} of new images ({images:,} images) compared with the run's own by features: "
        f"drift in {found.count('DRIFT')}{more}."
    )


def _answer_files(facts: RunFacts) -> tuple[str, ...]:
    judged = () if facts.contents.confidence is None else ("predictions/val.parquet", facts.predictions)
    measured = () if facts.contents.unknown is None else (DETECTION,)
    return tuple(name for name in (*judged, DETECTOR, *measured) if facts.sha256(name))


def _abstention(facts: RunFacts) -> str:
    report = facts.contents.confidence
    return "" if report is None else abstention_claim(report.abstention)


def _sets(facts: RunFacts) -> str:
    """Return the coverage and the size of conformal sets over all images."""
    sets = facts.sets
    if sets is None:
        return ""
    row, level = sets.overall, f"{sets.confidence:.0%} interval"
    chose = " that also chose the epoch" if sets.val_chose_epoch else ""
    return (
        f"Conformal sets ({sets.method.upper()}) for a coverage of {sets.wanted:.0%}, calibrated on {sets.n_val:,} "
        f"images of val{chose}, hold the true class for {row.coverage.format()} of {row.n:,} images ({level}), with "
        f"{row.size.format(digits=2)} classes on average."
    )


def _sets_verdict(facts: RunFacts) -> str:
    return "" if facts.sets is None else facts.sets.overall.verdict or ""


def _detector(facts: RunFacts) -> str:
    """Return whether the model detects unknown images, and how often it is wrong; no name of a set or group."""
    stored = "A detector of unknown images is stored with the model." if facts.sha256(DETECTOR) else ""
    report = facts.contents.unknown
    if report is None:
        return stored
    false_alarms = next(one.held_out for one in report.thresholds if one.score == report.score)
    alarms = f"It takes {in_percent(false_alarms)} of the {report.known} images for unknown."
    shares = [in_percent(one.unknown) for one in report.foreign if one.score == report.score]
    found = f"Of {counted(len(shares), 'set')} of foreign images it finds {' and '.join(shares)}." if shares else ""
    return " ".join(filter(None, (stored, alarms, found)))


def _unsure_missing(facts: RunFacts) -> list[str]:
    missing = []
    if facts.contents.confidence is None:
        missing.append("Abstention: the predictions have no probabilities or no labels.")
    if facts.sets is None:
        missing.append("Conformal sets: they take validation images that are not those judged.")
    if facts.contents.unknown is None or not facts.contents.unknown.foreign:
        missing.append("Whether the model notices images of no class.")
    return missing
