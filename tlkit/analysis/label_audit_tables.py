"""The table of a `LabelAudit`: the labels that look wrong, and how sure that is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tlkit.tables import Column, Table

if TYPE_CHECKING:
    from tlkit.analysis.label_audit import LabelAudit


def label_audit_tables(audit: LabelAudit) -> tuple[Table, ...]:
    """Return the doubtful labels, most doubtful first; the notes say how many there are and how sure that is."""
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
                Column("neighbours_label", "neighbors: label", "percent"),
                Column("neighbours_suggested", "neighbors: suggested", "percent"),
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
            notes=(*label_audit_sentences(audit), *audit.notes),
        ),
    )


def label_audit_sentences(audit: LabelAudit) -> tuple[str, str]:
    """Return how many labels look wrong, and how many are wrong in truth, which may be fewer."""
    return _found(audit), _how_sure(audit)


def _found(audit: LabelAudit) -> str:
    if not audit.suspects:
        return f"None of {audit.total:,} images looks like another class than its label says."
    look = "looks" if len(audit.suspects) == 1 else "look"
    found = (
        f"{len(audit.suspects):,} of {audit.total:,} images {look} like another class than the label says: wrongly "
        "labelled, or only hard to tell."
    )
    if audit.issues:
        stand, it = ("stands", "it") if audit.issues == 1 else ("stand", "them")
        found += f" {audit.issues:,} {stand} out, marked as an issue: confident learning doubts {it}, too."
    return found


def _how_sure(audit: LabelAudit) -> str:
    wrong = audit.wrong
    if wrong.value is None or wrong.low is None or wrong.high is None:
        return f"How many labels are wrong in truth cannot be told: {wrong.note}."
    ends = f"{audit.confidence:.0%} interval {wrong.low:,.0f} to {wrong.high:,.0f}"
    if wrong.value == 0:
        return (
            f"How many labels are wrong in truth: perhaps none ({ends}), since none of the {wrong.n:,} images "
            "that are clearest contradicts its label."
        )
    return (
        f"How many labels are wrong in truth: about {wrong.value:,.0f} of {audit.total:,} ({ends}), estimated "
        f"from the {wrong.n:,} images that are clearest; the method's own errors among them count, too."
    )
