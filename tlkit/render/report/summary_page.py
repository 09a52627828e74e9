"""HTML page of dataset counts with a contact sheet per class."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from tlkit.render.plots import plot_class_counts
from tlkit.render.report.dataset_page import write_page
from tlkit.render.report.report_page import Figure

if TYPE_CHECKING:
    from tlkit.data.checks.dataset_summary import DataSummary

logger = logging.getLogger(__name__)


def write_summary(path: Path, summary: DataSummary, *, sheets: Mapping[str, str]) -> Path:
    """Write counts, their plot and the contact sheets as one HTML file without scripts or network access.

    Args:
        path: the file to write; its folder is created if needed.
        summary: counts of the dataset.
        sheets: one JPEG, base64, per class; see `tlkit.data.checks.dataset_summary.contact_sheets`.

    Returns:
        The path of the file.
    """
    figure = Figure.draw(
        lambda: plot_class_counts(summary.counts),
        alt="Images per class and split. The numbers are in the table below.",
        caption="One bar per class, colored by split.",
    )
    write_page(path, command="summary", summary=summary, figure=figure, sheets=sheets)
    logger.info("Wrote the summary %s (%.0f kB).", path, path.stat().st_size / 1000)
    return path
