"""Writes the HTML report of a run."""

from __future__ import annotations

import logging
from pathlib import Path

from tlkit.render.report.glossary import GLOSSARY
from tlkit.render.report.page_section import Page
from tlkit.render.report.run_contents import RunContents
from tlkit.render.report.sections import further_commands, sections_of
from tlkit.render.report.summary import summary_of
from tlkit.render.report.template import render_to

logger = logging.getLogger(__name__)


def write_report(path: Path, run: RunContents) -> Path:
    """Write one HTML file with summary, audit, classes, errors, measurements, data and provenance of a run.

    The file is self-contained: no script, no network, embedded figures. Equal values give equal bytes. It is written
    atomically, and its folder is created if needed. Returns its path.
    """
    sections = sections_of(run)
    page = Page(
        title=run.title,
        kicker=f"Model report · {run.split} split · {run.evaluation.n:,} images",
        summary=summary_of(run),
        sections=sections,
        glossary=tuple(GLOSSARY.items()),
        attribution=run.attribution.strip() if run.attribution else None,
        more=further_commands(run, sections),
        notices=tuple(run.unread),
    )
    render_to(path, "report.html.j2", page=page)
    logger.debug("Wrote the report %s (%.0f kB).", path, path.stat().st_size / 1000)
    return path
