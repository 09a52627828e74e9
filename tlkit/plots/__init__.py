"""Figures of values, for notebooks and the report. matplotlib's only door; it is loaded by the first plot."""

from __future__ import annotations

from tlkit.plots.advice import plot_advice
from tlkit.plots.canvas import to_svg
from tlkit.plots.class_counts import plot_class_counts
from tlkit.plots.confusion import plot_confusion
from tlkit.plots.curve import plot_curve
from tlkit.plots.groups import plot_groups
from tlkit.plots.heat import plot_heat
from tlkit.plots.history import plot_history
from tlkit.plots.per_class import plot_per_class
from tlkit.plots.tuning import plot_batch_sizes, plot_rates

__all__ = [
    "plot_advice",
    "plot_batch_sizes",
    "plot_class_counts",
    "plot_confusion",
    "plot_curve",
    "plot_groups",
    "plot_heat",
    "plot_history",
    "plot_per_class",
    "plot_rates",
    "to_svg",
]
