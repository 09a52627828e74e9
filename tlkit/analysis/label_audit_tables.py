"""The table of a `LabelAudit`: the suspects, and sentences on the number of wrong labels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tlkit.errors import first_few
from tlkit.features.folds import optimism_note
from tlkit.tables import Column, Table, counted

if TYPE_CHECKING:
    from tlkit.analysis.label_audit import LabelAudit


def label_audit_tables(audit: LabelAudit) -> tuple[Table, ...]:
    """Return the suspects, most doubtful first; the notes give the number of wrong labels and its uncertainty."""
    place = {name: column for column, name in enumerate(audit.classes)}
    return (
        Table(
            name="labels",
            title="Labels that look wrong",
            columns=(
                Column("path", "path"),
                Column("split", "split", "word"),
                Column("label", "label"),
                Column("suggested", "suggested"),
                Column("score", "score", "number", digits=4),
                Column("p_label", "P(label)", "number"),
                Column("p_suggested", "P(suggested)", "number"),
                Column("neighbors_label", "neighbors: label", "percent"),
                Column("neighbors_suggested", "neighbors: suggested", "percent"),
                Column("issue", "issue", "flag"),
            ),
            rows=tuple(
                (
                    one.path,
                    one.split,
                    one.label,
                    one.suggested,
                    one.score,
                    one.proba[place[one.label]],
                    one.proba[place[one.suggested]],
                    one.neighbors[place[one.label]],
                    one.neighbors[place[one.suggested]],
                    one.issue,
                )
                for one in audit.suspects
            ),
            notes=(
                _suspects_sentence(audit),
                _guess_sentence(audit),
                *filter(None, [optimism_note(audit.accuracy, audit.measured)]),
                *([_left_out_sentence(audit)] if audit.left_out else []),
                *([] if audit.strategy == "frozen" else [fine_tuned_sentence(audit.run, audit.strategy)]),
            ),
        ),
    )


def fine_tuned_sentence(run: str, strategy: str) -> str:
    """Return that fewer wrong labels are found with a backbone that was fine-tuned."""
    return (
        f"The backbone of {run} was fine-tuned (strategy: {strategy}) and has learned the labels of its training "
        "images, wrong ones included, so fewer are found. Audit a run with strategy: frozen instead."
    )


def _suspects_sentence(audit: LabelAudit) -> str:
    if not audit.suspects:
        return f"None of {audit.total:,} images looks like another class than its label says."
    look = "looks" if len(audit.suspects) == 1 else "look"
    found = (
        f"{len(audit.suspects):,} of {audit.total:,} images {look} like another class than the label says: wrongly "
        "labelled, or only hard to classify."
    )
    if audit.issues:
        found += f" {audit.issues:,} marked as an issue: confident learning calls the label wrong, too."
    return found


def _guess_sentence(audit: LabelAudit) -> str:
    wrong = audit.wrong
    if wrong.value is None or wrong.low is None or wrong.high is None:
        return f"The number of wrong labels cannot be guessed: {wrong.note}."
    interval = f"{audit.confidence:.0%} interval {wrong.low:,.0f} to {wrong.high:,.0f}"
    if wrong.value == 0:
        return (
            f"Upper guess of the number of wrong labels: 0 ({interval}), since none of the {wrong.n:,} images that are "
            "clearest contradicts its label. Labels of unclear images may be wrong more often."
        )
    return (
        f"Upper guess of the number of wrong labels: {wrong.value:,.0f} of {audit.total:,} ({interval}), from the "
        f"{wrong.n:,} images that are clearest. Some of these are errors of the head, which is why the interval begins "
        "at 0; it holds if labels of clear images are wrong as often as those of others."
    )


def _left_out_sentence(audit: LabelAudit) -> str:
    images, classes = sum(audit.left_out.values()), list(audit.left_out)
    return (
        f"Not judged: {counted(images, 'image')} of {len(classes):,} "
        f"{'class' if len(classes) == 1 else 'classes'} with fewer images (duplicates and groups count once) than the "
        f"{audit.folds} folds: {first_few(classes)}. Out of fold, the head hardly knows such a class."
    )
