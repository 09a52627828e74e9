"""The tables of an `UnknownReport`, and the sentences about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tlkit.tables import Column, Table, counted
from tlkit.tables.shares import in_percent

if TYPE_CHECKING:
    from tlkit.evaluation.unknown_report import UnknownReport

SCORE_NAMES = {
    "msp": "msp (maximum softmax probability)",
    "energy": "energy",
    "knn": "knn (distance to the k-th nearest training image)",
    "mahalanobis": "mahalanobis (distance to the nearest class mean)",
}


def unknown_tables(report: UnknownReport) -> tuple[Table, ...]:
    """Return thresholds, false alarms by group, and detection of the foreign sets."""
    return (_thresholds(report), *_groups(report), *_foreign(report))


def unknown_sentence(report: UnknownReport) -> str:
    """Return how many known and foreign images are called unknown."""
    chosen = next(one for one in report.thresholds if one.score == report.score)
    level, found = f"{report.confidence:.0%} intervals", list[str]()
    if chosen.threshold.value is None:
        why = chosen.threshold.false_alarms.note
        return f"NOT ENOUGH DATA for a threshold of {report.score}: {why}. Add validation images."
    if chosen.held_out.value is None:
        found.append(f"The threshold is set for {report.wanted:.0%} false alarms, which no held-out images check.")
    else:
        found.append(
            f"Of known images ({report.known}) {in_percent(chosen.held_out)} are called unknown, where "
            f"{report.wanted:.0%} is wanted ({level})."
        )
    own = [one for one in report.foreign if one.score == report.score]
    if own:
        found.append(f"Of foreign ones: {', '.join(f'{one.name} {in_percent(one.unknown)}' for one in own)}.")
    else:
        found.append("How many foreign ones it finds is not known: --against FOLDER measures it.")
    found.append("tlkit predict --unknown applies it." if report.stored else "It is not stored.")
    return " ".join(found)


def _thresholds(report: UnknownReport) -> Table:
    notes = [_state(report), _meaning(report)]
    if report.clusters:
        notes.append("Of images that belong together (data.group_by, copies, near duplicates) one counts.")
    notes += [f"{name} is not available: {why}." for name, why in report.left_out.items()]
    return Table(
        name="unknown_thresholds",
        title=f"Thresholds for unknown images, for {report.wanted:.3g} of the known ones",
        columns=(
            Column("score", "score"),
            Column("threshold", "threshold", "significant", digits=4),
            Column("n", "val images", "count"),
            Column("false_alarms", "expected false alarms", "estimate"),
            Column("held_out", "measured on held-out images", "estimate"),
        ),
        rows=tuple(
            (SCORE_NAMES[one.score], one.threshold.value, one.threshold.n, one.threshold.false_alarms, one.held_out)
            for one in report.thresholds
        ),
        notes=tuple(notes),
    )


def _state(report: UnknownReport) -> str:
    threshold = report.threshold
    if threshold.value is None:
        return f"NOT ENOUGH DATA for a threshold of {report.score}: {threshold.false_alarms.note}. Nothing was stored."
    if not report.stored:
        return f"Nothing was stored. The threshold of {report.score} would be {threshold.value:.4g}."
    return (
        f"The threshold of {report.score} is stored with the model. `tlkit predict --unknown` applies it; without that "
        "option predictions are as before."
    )


def _meaning(report: UnknownReport) -> str:
    return (
        "Thresholds come from validation images alone. They bound false alarms among images like these, and promise "
        f"nothing about how many foreign images are found. {report.confidence:.0%} intervals; that of the expected "
        "rate is the range of rates of a threshold from so many images."
    )


def _groups(report: UnknownReport) -> tuple[Table, ...]:
    if not report.groups:
        return ()
    where = f"{report.known} images"
    note = (
        "The thresholds come from these images, so the rates are no independent measurement; a test split would give "
        "one."
        if report.known == "val"
        else f"Rates on the {where}, which the thresholds do not come from."
    )
    return (
        Table(
            name="unknown_groups",
            title=f"Who is called unknown by mistake ({report.score}, {where})",
            columns=(
                Column("by", "by", "word"),
                Column("group", "group"),
                Column("n", "images", "count"),
                Column("unknown", "called unknown", "count"),
                Column("rate", "rate", "estimate"),
            ),
            rows=tuple((one.by, one.group, one.n, one.unknown, one.rate) for one in report.groups),
            notes=(note,),
        ),
    )


def _foreign(report: UnknownReport) -> tuple[Table, ...]:
    if not report.foreign:
        return ()
    known = len(report.scores[report.known])
    return (
        Table(
            name="unknown_detection",
            title=f"Detection of foreign images, against {counted(known, f'{report.known} image')}",
            columns=(
                Column("name", "images"),
                Column("score", "score", "word"),
                Column("n", "n", "count"),
                Column("auroc", "AUROC", "estimate"),
                Column("fpr95_unknown_positive", "FPR95, unknown = positive", "estimate"),
                Column("fpr95_known_positive", "FPR95, known = positive", "estimate"),
                Column("unknown", "called unknown", "estimate"),
            ),
            rows=tuple(
                (
                    one.name,
                    one.score,
                    one.n,
                    one.detection.auroc,
                    one.detection.fpr95_unknown_positive,
                    one.detection.fpr95_known_positive,
                    one.unknown,
                )
                for one in report.foreign
            ),
            notes=(
                "AUROC is the same in both conventions. FPR95, unknown = positive: known images called unknown where "
                "95 % of the foreign ones are found (OpenOOD). FPR95, known = positive: foreign images accepted where "
                "95 % of the known ones are (Hendrycks & Gimpel 2017; Liang et al. 2018).",
            ),
        ),
    )
