"""The tables of a `Calibration`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tlkit.tables import Cell, Column, Table, counted
from tlkit.uncertainty.sampling import sampling_note

if TYPE_CHECKING:
    from tlkit.stats.logit_scaling import LogitScaling
    from tlkit.uncertainty.calibration_result import Calibration, CalibrationRow

MOST_CLASSES = 20
EVERYTHING = "all images"


def calibration_tables(calibration: Calibration) -> tuple[Table, ...]:
    """Return calibration overall and by group, before and after a scaling, the bins, and the classes."""
    parts = (scaling_table(calibration),) if calibration.scaling is not None else ()
    return (errors_table(calibration), *parts, bins_table(calibration), classwise_table(calibration))


def label_of(column: str, group: str) -> str:
    """Return how a row of a group is called."""
    return f"{column}: {group}" if column else EVERYTHING


def errors_table(calibration: Calibration) -> Table:
    """Return the calibration errors of all images and of the groups."""
    level = f"{calibration.confidence:.0%}"
    rows = tuple(_error_cells(row) for row in calibration.rows)
    notes = [
        "chance: the mean ECE of a calibrated model with these confidences on as many images; p: how often such a "
        "model shows an ECE at least as large. Confidence − accuracy above 0: over-confident.",
        f"Bins hold about equal numbers of images, {calibration.overall.error.bins} of all images.",
    ]
    notes += sampling_note(calibration.cluster_by, calibration.clusters, calibration.weights)
    if calibration.n_unlabelled:
        notes.append(f"Left out: {counted(calibration.n_unlabelled, 'image')} without a label.")
    return Table(
        name="calibration",
        title=f"Calibration of {counted(calibration.n, 'image')}; intervals at {level}",
        columns=(
            Column("part", "images of"),
            Column("n", "n", "count"),
            Column("ece", "ECE", "number"),
            Column("chance", "chance", "number"),
            Column("p", "p", "p_value"),
            Column("debiased", f"ECE debiased [{level}]", "estimate"),
            Column("excess", f"confidence − accuracy [{level}]", "estimate", signed=True),
            Column("log_loss", f"log loss [{level}]", "estimate"),
            Column("brier", f"Brier [{level}]", "estimate"),
        ),
        rows=rows,
        notes=tuple(notes),
    )


def _error_cells(row: CalibrationRow) -> tuple[Cell, ...]:
    error = row.error
    return (
        label_of(row.column, row.group),
        row.n,
        error.plain,
        error.chance,
        error.p,
        error.debiased,
        row.excess,
        row.log_loss,
        row.brier,
    )


def scaling_table(calibration: Calibration) -> Table:
    """Return the figures before and after the scaling, and whose predicted class it changes."""
    scaling = calibration.scaling
    assert scaling is not None, "asked for with a scaling only"
    rows = tuple(
        (
            label_of(part.before.column, part.before.group),
            part.before.n,
            part.before.error.debiased,
            part.after.error.debiased,
            part.before.log_loss,
            part.after.log_loss,
            part.changed,
            part.repaired,
            part.broken,
        )
        for part in calibration.parts
    )
    everyone = calibration.parts[0]
    change = "It changes no predicted class: a temperature keeps the order of the classes."
    if scaling.method == "vector":
        change = f"It changes the predicted class of {counted(everyone.changed, 'image')}; the last columns say whose."
    state = (
        "The model holds it: the figures above are those after it."
        if calibration.scaled
        else "The figures above are those before it."
    )
    return Table(
        name="scaling",
        title=f"Before and after {scaling_words(scaling)}",
        columns=(
            Column("part", "images of"),
            Column("n", "n", "count"),
            Column("ece_before", "ECE debiased before", "estimate"),
            Column("ece_after", "after", "estimate"),
            Column("loss_before", "log loss before", "estimate"),
            Column("loss_after", "after it", "estimate"),
            Column("changed", "class changed", "count"),
            Column("repaired", "now right", "count"),
            Column("broken", "now wrong", "count"),
        ),
        rows=rows,
        notes=(change, state),
    )


def scaling_words(scaling: LogitScaling) -> str:
    """Return what a scaling is, as text."""
    basis = f", fitted on {counted(scaling.n, 'validation image')}"
    if scaling.temperature is not None:
        return f"temperature scaling (T = {scaling.temperature:.3f}{basis})"
    return f"vector scaling ({len(scaling.scale)} scales and offsets{basis})"


def bins_table(calibration: Calibration) -> Table:
    """Return the bins of the reliability diagram."""
    level = f"{calibration.confidence:.0%}"
    return Table(
        name="reliability",
        title="Reliability: accuracy by confidence",
        columns=(
            Column("lowest", "confidence from", "number"),
            Column("highest", "to", "number"),
            Column("n", "n", "count"),
            Column("confidence", "mean confidence", "number"),
            Column("accuracy", f"accuracy [{level}]", "estimate"),
        ),
        rows=tuple((one.lowest, one.highest, one.n, one.confidence, one.accuracy) for one in calibration.bins),
    )


def classwise_table(calibration: Calibration) -> Table:
    """Return the calibration of each class's probability; of more than 20 classes those with the largest error."""
    level = f"{calibration.confidence:.0%}"
    shown, notes = list(calibration.per_class), tuple[str, ...]()
    if len(shown) > MOST_CLASSES:
        shown = sorted(shown, key=lambda one: -(one.error.debiased.value or 0.0))[:MOST_CLASSES]
        notes = (f"The {MOST_CLASSES} classes with the largest debiased error, of {len(calibration.per_class)}.",)
    known = [one.error.debiased.value for one in calibration.per_class if one.error.debiased.value is not None]
    if known:
        notes = (f"Mean over classes of the debiased error: {sum(known) / len(known):.3f}.", *notes)
    return Table(
        name="classwise",
        title="Calibration of each class's probability",
        columns=(
            Column("class", "class"),
            Column("support", "images", "count"),
            Column("ece", "ECE", "number"),
            Column("chance", "chance", "number"),
            Column("p", "p", "p_value"),
            Column("debiased", f"ECE debiased [{level}]", "estimate"),
            Column("excess", f"probability − share [{level}]", "estimate", signed=True),
        ),
        rows=tuple(
            (one.name, one.support, one.error.plain, one.error.chance, one.error.p, one.error.debiased, one.excess)
            for one in shown
        ),
        notes=notes,
    )
