"""Writing the report."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tlkit.evaluation.evaluation_tables import summary_table
from tlkit.render.report.audit_part import audit_section, audit_tile
from tlkit.render.report.evaluation_part import classes, confusions, headline
from tlkit.render.report.examples_part import mistakes_part, shown_section, sliced_section
from tlkit.render.report.explanation_part import explained_section
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
from tlkit.render.report.repair_part import repaired_section
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
    evidence: Sequence[GroupImages] = (),
    slices: SliceReport | None = None,
    mistakes: GroupImages | None = None,
    thumbnails: Mapping[str, str] | None = None,
    without_thumbnails: str = "",
    excluded: Sequence[tuple[str, str]],
    leaks: pd.DataFrame | None = None,
    notes: Sequence[str] = (),
    attribution: str | None = None,
    split: str | None = None,
    chose_epoch: bool = False,
) -> Path:
    """Write one HTML file that says what was trained on what, how good it is and for whom, and how to repeat it.

    The file needs nothing else: no script, no network, figures inside. Equal values give equal bytes. It appears whole
    or not at all.

    Args:
        path: the file to write; its folder is made where it is missing.
        title: heading of the page.
        recipe_text: the resolved recipe, YAML.
        environment: versions, device, dataset fingerprint and such; may be nested.
        counts: images per class (rows) and split (columns), as `Samples.counts()` gives them.
        history: one row per epoch, as in metrics.csv; None where nothing was trained here.
        evaluation: how good the model is.
        audit: how its rates compare across groups; None where there are no groups.
        explanation: what lies behind the gaps; None where there are no groups.
        repair: what a repair of the head tried and changed; None where there was none.
        evidence: the images behind the rows of the audit that fail.
        slices: slices nobody declared; None where nobody has looked.
        mistakes: the images that the model gets wrong, whatever their groups; None where others are shown.
        thumbnails: small JPEGs, base64, by path.
        without_thumbnails: why there are none, in words.
        excluded: path and reason of each file that could not be used.
        leaks: images of the judged split that were in training as well, as `Run.leaks` gives them; None where nobody
            looked.
        notes: further sentences for the reader, such as warnings about licences.
        attribution: whom the images or weights are owed to.
        split: name of the split that was judged.
        chose_epoch: whether that split chose the epoch whose weights are kept.

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
        mistakes=mistakes_part(mistakes, thumbnails or {}, without=without_thumbnails),
        audit=audit_section(audit) if audit else None,
        explained=explained_section(explanation) if explanation else None,
        repaired=repaired_section(repair) if repair else None,
        shown=shown_section(evidence, thumbnails or {}, without=without_thumbnails),
        sliced=sliced_section(slices, thumbnails or {}, without="" if evidence else without_thumbnails),
        reading=reading(evaluation, audit, explanation),
        notes=tuple(notes),
        recipe=recipe_text.strip(),
        environment=environment_table(environment),
        attribution=attribution,
    )
    render_to(path, "report.html.j2", page=page)
    logger.info("Wrote the report %s (%.0f kB).", path, path.stat().st_size / 1000)
    return path
