"""The figures over all images, with their intervals."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tlkit.evaluation.evaluation_tables import TRAINED_ON, score_table, summary_table
from tlkit.render.report.page_section import Fold, Grid, PageSection

if TYPE_CHECKING:
    from tlkit.render.report.run_contents import RunContents


def figures_section(run: RunContents) -> PageSection:
    """Return the figures of the evaluation."""
    evaluation = run.evaluation
    claim = (
        TRAINED_ON
        if evaluation.trained_on
        else f"All figures are of {evaluation.n:,} images of the {run.split} split; the brackets hold what another"
        " sample of such images could well have given."
    )
    more = (Fold("All other metrics", (score_table(evaluation),)),) if evaluation.scores else ()
    return PageSection("result", "Overall figures", claim, (Grid(summary_table(evaluation)), *more))
