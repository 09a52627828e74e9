"""Plots of results for notebooks and the report. Only this package imports matplotlib, when the first plot is drawn."""

from __future__ import annotations

from tlkit.render.plots.advice_plot import plot_advice
from tlkit.render.plots.bench_plot import plot_bench
from tlkit.render.plots.canvas import to_svg
from tlkit.render.plots.class_counts_plot import plot_class_counts
from tlkit.render.plots.confusion_plot import plot_confusion
from tlkit.render.plots.contact_sheet_plot import plot_contact_sheet
from tlkit.render.plots.explanation_plot import plot_channels, plot_explanations, plot_filters
from tlkit.render.plots.groups_plot import plot_groups
from tlkit.render.plots.heat_map_plot import plot_heat
from tlkit.render.plots.history_plot import plot_history
from tlkit.render.plots.image_map_plot import plot_image_map
from tlkit.render.plots.labels_called_plot import plot_labels_called
from tlkit.render.plots.learning_curve_plot import plot_curve
from tlkit.render.plots.per_class_plot import plot_per_class
from tlkit.render.plots.robustness_plot import plot_robustness
from tlkit.render.plots.runs_plot import plot_runs
from tlkit.render.plots.score_histogram_plot import plot_drift, plot_unknown
from tlkit.render.plots.sweep_plots import plot_importance, plot_trials
from tlkit.render.plots.tuning_plot import plot_batch_sizes, plot_rates
from tlkit.render.plots.uncertainty_plots import plot_reliability, plot_risk_coverage, plot_sets

__all__ = [
    "plot_advice",
    "plot_batch_sizes",
    "plot_bench",
    "plot_channels",
    "plot_class_counts",
    "plot_confusion",
    "plot_contact_sheet",
    "plot_curve",
    "plot_drift",
    "plot_explanations",
    "plot_filters",
    "plot_groups",
    "plot_heat",
    "plot_history",
    "plot_image_map",
    "plot_importance",
    "plot_labels_called",
    "plot_per_class",
    "plot_rates",
    "plot_reliability",
    "plot_risk_coverage",
    "plot_robustness",
    "plot_runs",
    "plot_sets",
    "plot_trials",
    "plot_unknown",
    "to_svg",
]
