"""The static HTML report, the model card and dataset pages."""

from __future__ import annotations

from tlkit.render.report.model_card import write_card
from tlkit.render.report.run_contents import ReportImages, RunContents
from tlkit.render.report.side_by_side import SideBySide, write_side_by_side
from tlkit.render.report.write_report import write_report

__all__ = ["ReportImages", "RunContents", "SideBySide", "write_card", "write_report", "write_side_by_side"]
