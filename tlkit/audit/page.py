"""An audit as HTML, for a notebook."""

from __future__ import annotations

from html import escape

from tlkit.audit.audit_result import Audit
from tlkit.audit.audit_summary import headline, profile_note, profile_rows
from tlkit.audit.group_tables import GroupTable
from tlkit.audit.words import NONE, difference_text, gap_text, image_count, p_text, rate_text
from tlkit.notebook import html_lines, html_table

MOST_OPEN = 6  # tables that are not folded away
_MARK = {"FAIL": "✗ FAIL", "PASS": "✓ PASS", "NOT ENOUGH DATA": "? NOT ENOUGH DATA"}


def audit_html(audit: Audit) -> str:
    """Return the audit as an HTML fragment: a summary line and one table a rate and combination of columns.

    All text that comes from the data is escaped. Verdicts carry a sign and words, not only a colour.
    """
    settings = audit.settings
    summary = (
        f"<b>Audit by {escape(', '.join(settings.by))}: {_MARK[audit.verdict]}</b><br>"
        f"{audit.images:,} images, accuracy {escape(audit.overall.format())}; tolerance {settings.tolerance:g}, "
        f"{audit.tests} tests (Holm)"
        + (f"; {image_count(audit.unlabelled)} without a label left out" if audit.unlabelled else "")
    )
    first = html_lines(headline(audit)[1:], tag="li")
    tables = "".join(_table_html(audit, table) for table in audit.tables[:MOST_OPEN])
    rest = audit.tables[MOST_OPEN:]
    folded = "".join(_table_html(audit, table) for table in rest)
    more = f"<details><summary>{len(rest)} more tables</summary>{folded}</details>" if rest else ""
    return f"<div><p>{summary}</p>{f'<ul>{first}</ul>' if first else ''}{tables}{more}{_profiles_html(audit)}</div>"


def _profiles_html(audit: Audit) -> str:
    rows, note = profile_rows(audit), profile_note(audit)
    if len(rows) < 2:
        return ""
    summary = "<summary>Calibration, ranking and recall by group (no test rests on them)</summary>"
    return f"<details>{summary}{html_table(rows)}{html_lines([note] if note else [])}</details>"


def _table_html(audit: Audit, table: GroupTable) -> str:
    level = f"[{audit.settings.confidence:.0%}]"
    header = ("group", "n", f"{table.rate_name} {level}", f"against the rest {level}", "p (Holm)", "verdict")
    rows = [
        (
            row.name,
            str(row.rate.n),
            rate_text(row),
            difference_text(row, audit.settings.max_half_width),
            p_text(row.p_holm),
            NONE if row.verdict is None else _MARK[row.verdict],
        )
        for row in table.rows
    ]
    notes = [table.note] if table.note else []
    if table.gap is not None:
        notes.insert(0, gap_text(table, table.gap, how=audit.settings.gap_test_name))
    return html_table([header, *rows], title=table.name, notes=notes)
