"""The doctor's findings as one HTML file with thumbnails."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from tlkit.runs.directory import RunDirectory

if TYPE_CHECKING:
    from tlkit.data.diagnosis import Diagnosis

logger = logging.getLogger(__name__)

TEMPLATES = Path(__file__).parent / "templates"
MOST_ITEMS = 50


def write_diagnosis(path: Path, diagnosis: Diagnosis, *, thumbnails: Mapping[str, str]) -> Path:
    """Write one HTML file that shows every finding with its files; no script, no network.

    Args:
        path: the file to write; its folder is made where it is missing.
        diagnosis: what the doctor found.
        thumbnails: small JPEGs, base64, by path; see `tlkit.data.doctor.thumbnails`.

    Returns:
        The path of the file.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    template = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    ).get_template("doctor.html.j2")
    path.parent.mkdir(parents=True, exist_ok=True)
    text = template.render(diagnosis=diagnosis, thumbnails=thumbnails, most=MOST_ITEMS)
    RunDirectory(path.parent).write_text(path, text)
    logger.info("Wrote the findings %s (%.0f kB).", path, path.stat().st_size / 1000)
    return path
