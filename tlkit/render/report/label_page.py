"""Review sheet of suspected label errors as one HTML file with thumbnails."""

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
"""Maximum number of images on the sheet, at about 4 kB each; the CSV file has all suspects."""


def write_label_sheet(path: Path, audit: LabelAudit, *, name: str, thumbnails: Mapping[str, str]) -> Path:
    """Write the most suspicious labels with their images as one HTML file without scripts or network access.

    Args:
        path: the file to write; missing folders are created.
        audit: the suspected label errors.
        name: name of the audited run or data set, for the title.
        thumbnails: small JPEGs in base64 by path, of the first `MOST_SUSPECTS`; see `tlkit.data.checks.thumbnails`.

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
