"""Tables of `Evidence`: clauses, published figures, files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tlkit.render.published_tables import figure_table
from tlkit.tables import Column, Table, counted

if TYPE_CHECKING:
    from tlkit.evidence.evidence import Evidence


def evidence_tables(evidence: Evidence) -> tuple[Table, ...]:
    """Return the table of clauses, that of the published figures and that of the files."""
    return clause_table(evidence), figure_table(evidence.figures, confidence=evidence.confidence), file_table(evidence)


def evidence_sentence(evidence: Evidence) -> str:
    """Return a sentence with the numbers of clauses and published figures, and what was hidden."""
    shown = sum(bool(clause.figure) for clause in evidence.clauses)
    figures = evidence.figures
    hidden = sum(one.rows for one in figures.hidden)
    return (
        f"{evidence.run}, {evidence.split} split: {shown} of {len(evidence.clauses)} clauses have a figure; "
        f"{counted(len(figures.shown), 'figure')} published, {hidden} not shown (too few images)."
    )


def clause_table(evidence: Evidence) -> Table:
    """Return the clauses: file, figure, verdict, what was not assessed."""
    return Table(
        name="clauses",
        title=f"Evidence of {evidence.run}, {evidence.split} split",
        columns=(
            Column("clause", "clause"),
            Column("subject", "subject"),
            Column("files", "file"),
            Column("figure", "figure"),
            Column("verdict", "verdict", "verdict"),
            Column("not_assessed", "not assessed"),
        ),
        rows=tuple(
            (
                f"{one.source}, {one.clause}",
                one.subject,
                ", ".join(one.files) or None,
                one.figure or None,
                one.verdict or None,
                one.not_assessed or None,
            )
            for one in evidence.clauses
        ),
        notes=(evidence.statement,),
    )


def file_table(evidence: Evidence) -> Table:
    """Return the files with their digests."""
    return Table(
        name="files",
        title="Files",
        columns=(Column("path", "file"), Column("sha256", "SHA-256"), Column("private", "not for publication", "flag")),
        rows=tuple((one.path, one.sha256, one.private) for one in evidence.files),
    )
