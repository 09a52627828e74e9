"""HTML page of suspect labels with thumbnails, for review."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from tlkit.render.report.dataset_page import write_page

if TYPE_CHECKING:
    from tlkit.analysis.label_audit import LabelAudit

logger = logging.getLogger(__name__)

MOST_SUSPECTS = 200
"""Most images on the page, most doubtful first, about 4 kB each; the CSV file lists all of them."""


def write_label_sheet(path: Path, audit: LabelAudit, *, name: str, thumbnails: Mapping[str, str]) -> Path:
    """Write the most suspicious labels with their images as one HTML file without scripts or network access.

    Args:
        path: the file to write; its folder is created if needed.
        audit: the suspect labels.
        name: name of the dataset or run, for the title.
        thumbnails: small JPEGs, base64, by path, of the first `MOST_SUSPECTS`; see `tlkit.data.checks.thumbnails`.

    Returns:
        The path of the file.
    """
    place = {label: column for column, label in enumerate(audit.classes)}
    shown = [
        {"suspect": one, "given": place[one.label], "better": place[one.suggested]}
        for one in audit.suspects[:MOST_SUSPECTS]
    ]
    lead = " ".join(audit.tables()[0].notes)
    write_page(path, command="labels", audit=audit, name=name, lead=lead, shown=shown, thumbnails=thumbnails)
    logger.info("Wrote the review sheet %s (%.0f kB).", path, path.stat().st_size / 1000)
    return path
