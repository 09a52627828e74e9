"""HTML pages about a dataset: findings, suspect labels, counts; a page replaces only a page of the same command."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tlkit.data.checks.diagnosis_tables import diagnosis_sentence
from tlkit.data.checks.finding_kinds import KINDS
from tlkit.errors import DataError
from tlkit.output_files import require_writable
from tlkit.render.plots import plot_class_counts
from tlkit.render.report.page_section import Figure
from tlkit.render.report.template import render_to

if TYPE_CHECKING:
    from tlkit.analysis.label_audit import LabelAudit
    from tlkit.data.checks.dataset_summary import DataSummary
    from tlkit.data.checks.diagnosis import Diagnosis

logger = logging.getLogger(__name__)

Command = Literal["doctor", "labels", "summary"]
MARK_BYTES = 4096
MOST_ITEMS = 50
MOST_SUSPECTS = 200
"""Most images on the page of labels, most doubtful first, about 4 kB each; the CSV file lists all of them."""


def require_own_page(path: Path | None, *, command: Command, overwrite: bool = False) -> None:
    """Check that a page may be written at a path, before its content is computed.

    Args:
        path: the page to write; None = none.
        command: the command that writes it; its own pages may be replaced.
        overwrite: replace any file.

    Raises:
        DataError: the path is a folder, a file that the command did not write, or cannot be written.
    """
    if path is not None and path.is_dir():
        raise DataError(f"{path} is a folder. Give the name of a file, such as {path / (command + '.html')}.")
    require_writable({"--html": path})
    if path is None or overwrite or not path.is_file():
        return
    mark = f'<meta name="generator" content="tlkit data {command}">'
    with path.open("rb") as file:
        if mark.encode() not in file.read(MARK_BYTES):
            raise DataError(
                f"{path} exists and was not written by tlkit data {command}. Use another name, or --overwrite."
            )


def write_diagnosis(path: Path, diagnosis: Diagnosis, *, thumbnails: Mapping[str, str]) -> Path:
    """Write every finding of the doctor with its files as one HTML file without scripts or network access.

    Args:
        path: the file to write; its folder is created if needed.
        diagnosis: what the doctor found.
        thumbnails: small JPEGs, base64, by path; see `tlkit.data.checks.doctor.thumbnails`.

    Returns:
        The path of the file.
    """
    lead = diagnosis_sentence(diagnosis)
    return _write(path, "doctor", diagnosis=diagnosis, lead=lead, kinds=KINDS, thumbnails=thumbnails, most=MOST_ITEMS)


def write_label_sheet(path: Path, audit: LabelAudit, *, name: str, thumbnails: Mapping[str, str]) -> Path:
    """Write the most suspicious labels with their images, for review, as one HTML file like that of the doctor.

    Args:
        path: the file to write.
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
    return _write(path, "labels", audit=audit, name=name, lead=lead, shown=shown, thumbnails=thumbnails)


def write_summary(path: Path, summary: DataSummary, *, sheets: Mapping[str, str]) -> Path:
    """Write counts, their plot and the contact sheets as one HTML file like that of the doctor.

    Args:
        path: the file to write.
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
    return _write(path, "summary", summary=summary, figure=figure, sheets=sheets)


def _write(path: Path, command: Command, **values: Any) -> Path:
    """Render the template of a command."""
    render_to(path, f"{command}.html.j2", generator=f"tlkit data {command}", **values)
    logger.info("Wrote %s (%.0f kB).", path, path.stat().st_size / 1000)
    return path
