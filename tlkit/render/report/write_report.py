"""Writes the HTML report of a run."""

from __future__ import annotations

import logging
from pathlib import Path

from tlkit.evaluation.evaluation_tables import score_table, summary_table
from tlkit.render.report.audit_part import audit_section, audit_tile, repair_section
from tlkit.render.report.evaluation_part import classes, confusions, headline
from tlkit.render.report.examples_part import examples_section, slices_section, worst_images_part
from tlkit.render.report.explanation_part import explanation_section
from tlkit.render.report.provenance_part import (
    counts_table,
    data_sentence,
    environment_table,
    excluded_table,
    lead,
    leaks_table,
    training,
)
from tlkit.render.report.reading_guide import reading
from tlkit.render.report.report_page import Page
from tlkit.render.report.run_contents import RunContents
from tlkit.render.report.template import render_to

logger = logging.getLogger(__name__)


def write_report(path: Path, run: RunContents) -> Path:
    """Write one HTML file with results, audit, explanation, slices, data, training and provenance of a run.

    The file is self-contained: no script, no network, embedded figures. Equal values give equal bytes. It is written
    atomically, and its folder is created if needed. Returns its path.
    """
    evaluation, audit, explanation, images = run.evaluation, run.audit, run.explanation, run.images
    without = images.without_thumbnails
    page = Page(
        title=run.title,
        lead=lead(run),
        tiles=(*headline(evaluation), audit_tile(audit)) if audit else headline(evaluation),
        results=summary_table(evaluation),
        scores=score_table(evaluation) if evaluation.scores else None,
        data_sentence=data_sentence(run.counts),
        counts=counts_table(run.counts),
        excluded=excluded_table(run.excluded),
        leaks=leaks_table(run.leaks),
        history=training(run.history),
        classes=classes(evaluation),
        confusions=confusions(evaluation),
        worst=worst_images_part(images.worst, images.thumbnails, without=without),
        audit=audit_section(audit) if audit else None,
        explanation=explanation_section(explanation) if explanation else None,
        repair=repair_section(run.repair) if run.repair else None,
        examples=examples_section(images.groups, images.thumbnails, without=without),
        slices=slices_section(run.slices, images.thumbnails, without="" if images.groups else without),
        reading=reading(evaluation, audit, explanation),
        notes=tuple(run.notes),
        recipe=run.recipe_text.strip(),
        environment=environment_table(run.environment),
        attribution=run.attribution.strip() if run.attribution else None,
    )
    render_to(path, "report.html.j2", page=page)
    logger.debug("Wrote the report %s (%.0f kB).", path, path.stat().st_size / 1000)
    return path
