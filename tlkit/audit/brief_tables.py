"""An audit in brief: one sentence, and the accuracy by group without tests."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from tlkit.audit.audit_notes import assessed_sentence
from tlkit.audit.audit_tables import rate_table
from tlkit.audit.redaction import redaction_notes
from tlkit.tables import Table
from tlkit.tables.formatting import SIGNS

if TYPE_CHECKING:
    from tlkit.audit.audit_result import Audit


def audit_sentence(audit: Audit) -> str:
    """Return the accuracy over all images, and how many rows have each verdict."""
    rows = Counter[str | None](row.verdict for table in audit.group_tables for row in table.rows)
    counts = ", ".join(f"{rows[word]:,} {word}" for word in SIGNS if rows[word])
    return f"{assessed_sentence(audit)} Groups by {', '.join(audit.settings.by)}: {counts or 'nothing to compare'}."


def brief_tables(audit: Audit) -> tuple[Table, ...]:
    """Return the accuracy by group of each column alone: images, rate, difference from the complement, verdict."""
    shown = ("group", "n", "rate", "difference", "verdict")
    found = []
    for table in audit.group_tables:
        if table.metric == "accuracy" and len(table.columns) == 1:
            whole = rate_table(audit, table)
            places = [place for place, column in enumerate(whole.columns) if column.name in shown]
            columns = tuple(whole.columns[place] for place in places)
            rows = tuple(tuple(row[place] for place in places) for row in whole.rows)
            found.append(replace(whole, columns=columns, rows=rows, notes=()))
    if found:
        notes = redaction_notes(found, audit.settings.max_half_width)
        found[-1] = replace(found[-1], notes=notes)
    return tuple(found)
