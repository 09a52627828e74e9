"""The table of a `Diagnosis`: one row per finding, with severity, first items and advice."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tlkit.data.checks.finding_kinds import KINDS, SEVERITIES
from tlkit.errors import first_few
from tlkit.tables import Column, Paragraph, Table, counted

if TYPE_CHECKING:
    from tlkit.data.checks.diagnosis import Diagnosis


LEFT_OUT = (("excluded", "set aside"), ("skipped", "skipped"))


def diagnosis_tables(diagnosis: Diagnosis) -> tuple[Table, ...]:
    """Return the table of findings, most severe first; its title states the result."""
    return (
        Table(
            name="findings",
            title=f"{diagnosis.source}: {diagnosis_sentence(diagnosis)}",
            columns=(
                Column("severity", "severity", "word"),
                Column("kind", "kind", "word"),
                Column("count", "count", "count"),
                Column("what", "what"),
                Column("first", "first"),
                Column("advice", "what to do"),
            ),
            rows=tuple(
                (
                    finding.severity,
                    finding.kind,
                    finding.count,
                    KINDS[finding.kind].what,
                    first_few(finding.items, most=3),
                    KINDS[finding.kind].advice,
                )
                for finding in diagnosis.findings
            ),
        ),
    )


def finding_paragraphs(diagnosis: Diagnosis) -> tuple[Paragraph, ...]:
    """Return one paragraph for each finding: how many, of what, the first of them, what to do."""
    colors = {"error": "31", "warning": "33", "info": ""}
    return tuple(
        Paragraph(
            finding.severity,
            f"{finding.count:,} {KINDS[finding.kind].what} ({finding.kind}): "
            f"{first_few(finding.items, most=1).removesuffix('.')}. {KINDS[finding.kind].advice}",
            color=colors[finding.severity],
        )
        for finding in diagnosis.findings
    )


def diagnosis_sentence(diagnosis: Diagnosis) -> str:
    """Return a sentence with the numbers of images, classes and kinds of finding, and what was not examined."""
    splits = ", ".join(f"{name} {count:,}" for name, count in diagnosis.splits.items() if count)
    images = f"{counted(diagnosis.images, 'image')} of {len(diagnosis.classes)} classes ({splits or 'none'})"
    only = f" Only the images in the {diagnosis.listed_in} were examined, not other files and folders."
    left_out = [f"{diagnosis.entries.get(what, 0):,} {word}" for what, word in LEFT_OUT if diagnosis.entries.get(what)]
    found = f" Of {diagnosis.entries.get('found', 0):,} entries: {' and '.join(left_out)}." if left_out else ""
    unchecked = found + (only if diagnosis.listed_in else "")
    if not diagnosis.findings:
        return f"{images}. Nothing found.{unchecked}"
    counts = [sum(finding.severity == severity for finding in diagnosis.findings) for severity in SEVERITIES]
    kinds = ", ".join(counted(count, noun) for count, noun in zip(counts, ("error", "warning", "note"), strict=True))
    return f"{images}. Kinds of finding: {kinds}.{unchecked}"
