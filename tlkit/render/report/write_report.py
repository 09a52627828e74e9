"""Writes the HTML report of a run."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tlkit.evaluation.evaluation_tables import summary_table
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
from tlkit.render.report.template import render_to

if TYPE_CHECKING:
    import pandas as pd

    from tlkit.audit.audit_result import Audit
    from tlkit.audit.error_examples import GroupImages
    from tlkit.audit.explanation import Explanation
    from tlkit.audit.repair_result import Repair
    from tlkit.audit.slices.slice_report import SliceReport
    from tlkit.evaluation import Evaluation

logger = logging.getLogger(__name__)


def write_report(
    path: Path,
    *,
    title: str,
    recipe_text: str,
    environment: Mapping[str, Any],
    counts: pd.DataFrame,
    history: pd.DataFrame | None,
    evaluation: Evaluation,
    audit: Audit | None,
    explanation: Explanation | None = None,
    repair: Repair | None = None,
    examples: Sequence[GroupImages] = (),
    slices: SliceReport | None = None,
    worst: GroupImages | None = None,
    thumbnails: Mapping[str, str] | None = None,
    without_thumbnails: str = "",
    excluded: Sequence[tuple[str, str]],
    leaks: pd.DataFrame | None = None,
    notes: Sequence[str] = (),
    attribution: str | None = None,
    split: str | None = None,
    chose_epoch: bool = False,
) -> Path:
    """Write one HTML file with results, audit, explanation, slices, data, training and provenance of a run.

    The file is self-contained: no script, no network, embedded figures. Equal values give equal bytes. It is written
    atomically.

    Args:
        path: the file to write; its folder is created if needed.
        title: heading of the page.
        recipe_text: the resolved recipe, YAML.
        environment: versions, device, dataset fingerprint and such; may be nested.
        counts: images per class (rows) and split (columns), as `Samples.counts()` gives them.
        history: one row per epoch, as in metrics.csv; None where nothing was trained here.
        evaluation: the evaluation of the model.
        audit: its audit; None without groups.
        explanation: the explanation of the gaps; None without groups.
        repair: the repair of the head; None if there is none.
        examples: images of the groups that fail in the audit.
        slices: its slices; None if they were not searched for.
        worst: the wrong images of all groups; None if other examples are shown.
        thumbnails: small JPEGs, base64, by path.
        without_thumbnails: why there are none.
        excluded: path and reason of each excluded file.
        leaks: assessed images with duplicates in an earlier split, as `Run.leaks` gives them; None if not checked.
        notes: further sentences for the reader, such as warnings about licences.
        attribution: attribution of the images or weights.
        split: name of the assessed split.
        chose_epoch: whether that split was used for model selection.

    Returns:
        The path of the file.
    """
    page = Page(
        title=title,
        lead=lead(recipe_text, evaluation=evaluation, split=split, chose_epoch=chose_epoch),
        tiles=(*headline(evaluation), audit_tile(audit)) if audit else headline(evaluation),
        results=summary_table(evaluation),
        data_sentence=data_sentence(counts),
        counts=counts_table(counts),
        excluded=excluded_table(excluded),
        leaks=leaks_table(leaks),
        history=training(history),
        classes=classes(evaluation),
        confusions=confusions(evaluation),
        worst=worst_images_part(worst, thumbnails or {}, without=without_thumbnails),
        audit=audit_section(audit) if audit else None,
        explanation=explanation_section(explanation) if explanation else None,
        repair=repair_section(repair) if repair else None,
        examples=examples_section(examples, thumbnails or {}, without=without_thumbnails),
        slices=slices_section(slices, thumbnails or {}, without="" if examples else without_thumbnails),
        reading=reading(evaluation, audit, explanation),
        notes=tuple(notes),
        recipe=recipe_text.strip(),
        environment=environment_table(environment),
        attribution=attribution,
    )
    render_to(path, "report.html.j2", page=page)
    logger.info("Wrote the report %s (%.0f kB).", path, path.stat().st_size / 1000)
    return path
