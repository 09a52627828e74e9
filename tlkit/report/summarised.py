"""What a dataset consists of, as one HTML file with a contact sheet per class."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from tlkit.plots import plot_class_counts
from tlkit.report.page import Column, Figure, Row, Table
from tlkit.runs.directory import RunDirectory

if TYPE_CHECKING:
    from tlkit.data.summary import DataSummary

logger = logging.getLogger(__name__)

TEMPLATES = Path(__file__).parent / "templates"


def write_summary(path: Path, summary: DataSummary, *, sheets: Mapping[str, str]) -> Path:
    """Write one HTML file with the counts, their plot, and the contact sheets; no script, no network.

    Args:
        path: the file to write; its folder is made where it is missing.
        summary: what the dataset consists of.
        sheets: one JPEG, base64, per class; see `tlkit.data.summary.contact_sheets`.

    Returns:
        The path of the file.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    figure = Figure.draw(
        lambda: plot_class_counts(summary.counts),
        alt="Images per class and split. The numbers are in the table below.",
        caption="A bar is a class, its colours are the splits.",
    )
    template = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    ).get_template("summary.html.j2")
    path.parent.mkdir(parents=True, exist_ok=True)
    tables = [_table(title, rows) for title, rows in summary.tables()]
    text = template.render(summary=summary, figure=figure, tables=tables, sheets=sheets)
    RunDirectory(path.parent).write_text(path, text)
    logger.info("Wrote the summary %s (%.0f kB).", path, path.stat().st_size / 1000)
    return path


def _table(title: str, rows: list[tuple[str, ...]]) -> Table:
    head, *body = rows
    columns = (Column(head[0], "text"), *(Column(name) for name in head[1:]))
    return Table(title, columns, tuple(Row(cells, "total" if cells[0] == "all" else "") for cells in body))
