"""The tables of a `ZeroShotReport`, and the sentences about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tlkit.errors import first_few
from tlkit.tables import Column, Table, counted
from tlkit.tables.shares import in_percent

if TYPE_CHECKING:
    from tlkit.evaluation.zero_shot_report import SynonymChange, ZeroShotReport

OR = " | "


def zero_shot_sentences(report: ZeroShotReport) -> tuple[str, ...]:
    """Return how many images are right by the names alone, and what the probabilities are."""
    level = f"{report.confidence:.0%} interval"
    images, classes = counted(report.n, "image"), f"{len(report.words):,} class names"
    if report.accuracy is None:
        told = f"{images} told apart by {classes}. None has a label, so it is not known how many are right."
    else:
        what = f" of {counted(report.labelled, 'labelled image')}" if report.labelled < report.n else f" of {images}"
        told = f"By {classes}, {in_percent(report.accuracy)}{what} are right ({level})."
    return told, _calibration(report), *_changes(report)


def _calibration(report: ZeroShotReport) -> str:
    scale = f"the model's own logit scale of {report.logit_scale:.4g}"
    if report.temperature is None:
        return f"Probabilities: {scale}; not calibrated (--val FOLDER fits a temperature on labelled images)."
    effect = ""
    if report.log_loss_before is not None and report.log_loss is not None:
        effect = f" Log loss here: {report.log_loss_before.format()} before, {report.log_loss.format()} after."
    return (
        f"Probabilities: {scale}, divided by a temperature of {report.temperature:.4g}, fitted on "
        f"{counted(report.calibrated_on, 'labelled image')} that are not judged here; no class changes.{effect}"
    )


def _changes(report: ZeroShotReport) -> tuple[str, ...]:
    if not report.synonyms:
        return ()
    most = max(report.synonyms, key=lambda one: one.changed.value or 0.0)
    name = f"other words for {most.label}" if most.label else "other words for all of them"
    return (f"At most, {name} change the class of {in_percent(most.changed)} of the images.",)


def zero_shot_tables(report: ZeroShotReport) -> tuple[Table, ...]:
    """Return the classes with their words, and what synonyms change where there are any."""
    return (_words(report), *((_synonyms(report),) if report.synonyms else ()))


def _words(report: ZeroShotReport) -> Table:
    prompts = first_few([repr(template) for template in report.templates], most=3)
    return Table(
        name="zero_shot",
        title=f"Zero-shot by {report.model}: {counted(report.n, 'image')}",
        columns=(Column("class", "class"), Column("words", "words in the prompts")),
        rows=tuple((name, OR.join(words)) for name, words in report.words.items()),
        notes=(
            f"Prompts ({len(report.templates)}): {prompts}. An embedding of a class is the mean over its prompts.",
            f"Model: sha256 {report.digest[:16]}…, open_clip {report.open_clip}.",
        ),
    )


def _synonyms(report: ZeroShotReport) -> Table:
    labelled = report.accuracy is not None
    columns = (
        Column("class", "class"),
        Column("words", "words instead"),
        Column("changed", "images that change class", "estimate"),
        Column("gained", "into it", "count"),
        Column("lost", "out of it", "count"),
        *(
            (Column("accuracy", "change of accuracy", "estimate", signed=True), Column("p_holm", "p (Holm)", "p_value"))
            if labelled
            else ()
        ),
        Column("images", "such as"),
    )

    def row(one: SynonymChange) -> tuple[object, ...]:
        judged = (one.accuracy, one.p_holm) if labelled else ()
        words = OR.join(one.after) if one.label else "all of these at once"
        return (one.label or "all", words, one.changed, one.gained, one.lost, *judged, first_few(one.images, most=2))

    notes = [
        "Each row replaces the words of its class and leaves those of all others. "
        f"{report.confidence:.0%} intervals, each for its own figure."
    ]
    if labelled:
        notes.append("Change of accuracy: on the same images (Newcombe's paired interval); p by McNemar's exact test.")
    return Table(
        name="synonyms",
        title="What other words for a class change",
        columns=columns,
        rows=tuple(row(one) for one in report.synonyms),  # type: ignore[misc]
        notes=tuple(notes),
    )
