"""HTML page of the doctor's findings, with thumbnails."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from tlkit.data.checks.diagnosis_tables import diagnosis_sentence
from tlkit.data.checks.finding_kinds import KINDS
from tlkit.render.report.dataset_page import write_page

if TYPE_CHECKING:
    from tlkit.data.checks.diagnosis import Diagnosis

logger = logging.getLogger(__name__)

MOST_ITEMS = 50


def write_diagnosis(path: Path, diagnosis: Diagnosis, *, thumbnails: Mapping[str, str]) -> Path:
    """Write every finding with its files as one HTML file without scripts or network access.

    Args:
        path: the file to write; its folder is created if needed.
        diagnosis: what the doctor found.
        thumbnails: small JPEGs, base64, by path; see `tlkit.data.checks.doctor.thumbnails`.

    Returns:
        The path of the file.
    """
    write_page(
        path,
        command="doctor",
        diagnosis=diagnosis,
        lead=diagnosis_sentence(diagnosis),
        kinds=KINDS,
        thumbnails=thumbnails,
        most=MOST_ITEMS,
    )
    logger.info("Wrote the findings %s (%.0f kB).", path, path.stat().st_size / 1000)
    return path
