"""A run as one static page that a reviewer can read anywhere. Jinja2's only door; it is loaded by the first report."""

from __future__ import annotations

from tlkit.render.report.model_card import write_card
from tlkit.render.report.write_report import write_report

__all__ = ["write_card", "write_report"]
