"""Questions that need images or features again: advise, label audit, learning curve, slices, repair."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tlkit.lazy_names import lazy_names

if TYPE_CHECKING:
    from tlkit.analysis.label_audit import LabelAudit
    from tlkit.analysis.run_plots import plot_feature_maps, plot_filters, plot_map, plot_suspects
    from tlkit.analysis.slices_of_tasks import find_task_slices
    from tlkit.analysis.task_label_audit import audit_label_sets

__all__ = [
    "LabelAudit",
    "audit_label_sets",
    "find_task_slices",
    "plot_feature_maps",
    "plot_filters",
    "plot_map",
    "plot_suspects",
]

__getattr__ = lazy_names(
    "tlkit.analysis",
    {
        "audit_label_sets": "tlkit.analysis.task_label_audit",
        "find_task_slices": "tlkit.analysis.slices_of_tasks",
        "LabelAudit": "tlkit.analysis.label_audit",
        "plot_feature_maps": "tlkit.analysis.run_plots",
        "plot_filters": "tlkit.analysis.run_plots",
        "plot_map": "tlkit.analysis.run_plots",
        "plot_suspects": "tlkit.analysis.run_plots",
    },
)


def __dir__() -> list[str]:
    return __all__
