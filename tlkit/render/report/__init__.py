"""The static HTML report, the model card and dataset pages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tlkit.lazy_names import lazy_names

if TYPE_CHECKING:
    from tlkit.render.report.model_card import write_card
    from tlkit.render.report.report_page import write_report
    from tlkit.render.report.run_contents import ReportImages, RunContents
    from tlkit.render.report.side_by_side import SideBySide, write_side_by_side

__all__ = ["ReportImages", "RunContents", "SideBySide", "write_card", "write_report", "write_side_by_side"]

__getattr__ = lazy_names(
    "tlkit.render.report",
    {
        "ReportImages": "tlkit.render.report.run_contents",
        "RunContents": "tlkit.render.report.run_contents",
        "SideBySide": "tlkit.render.report.side_by_side",
        "write_card": "tlkit.render.report.model_card",
        "write_report": "tlkit.render.report.report_page",
        "write_side_by_side": "tlkit.render.report.side_by_side",
    },
)


def __dir__() -> list[str]:
    return __all__
