"""Histograms of a score in several sets of images: how foreign known and new images are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from tlkit.render.plots.canvas import BLUE, GREEN, GREY, ORANGE, VERMILLION, axes_of_size, legend_above

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from tlkit.arrays import Floats
    from tlkit.evaluation.drift_report import DriftReport
    from tlkit.evaluation.unknown_report import UnknownReport

BINS = 30
STYLES = ("-", "--", "-.", ":")


def plot_unknown(report: UnknownReport, ax: Axes | None = None) -> Axes:
    """Plot the stored score of known and foreign images, with the threshold beyond which images are called unknown."""
    sign = {"msp": "− maximum softmax probability", "energy": "energy", "knn": "distance to the k-th nearest image"}
    label = sign.get(report.score, "squared Mahalanobis distance")
    return _plot(report.scores, ax, label=f"{label} (higher = more foreign)", limit=report.threshold.value)


def plot_drift(report: DriftReport, ax: Axes | None = None) -> Axes:
    """Plot the distances of new and reference images to their nearest reference images."""
    label = f"distance to nearest {report.reference} image number {report.k} (higher = more foreign)"
    return _plot(report.distances, ax, label=label, limit=None)


def _plot(sets: Mapping[str, Floats], ax: Axes | None, *, label: str, limit: float | None) -> Axes:
    import numpy as np

    ax = axes_of_size(ax, width=7.0, height=3.6)
    every = np.concatenate([np.asarray(values) for values in sets.values()])
    edges = np.histogram_bin_edges(every, bins=BINS)
    colors = (BLUE, ORANGE, GREEN, VERMILLION, GREY)
    for place, (name, values) in enumerate(sets.items()):
        share = np.histogram(values, bins=edges)[0] / max(1, len(values))
        color, style = colors[place % len(colors)], STYLES[place % len(STYLES)]
        ax.stairs(share, edges, color=color, linestyle=style, linewidth=1.6, label=f"{name} (n = {len(values):,})")
    if limit is not None:
        ax.axvline(limit, color=GREY, linewidth=1.0, linestyle=":", label="threshold")
    ax.set_xlabel(label)
    ax.set_ylabel("share of the images")
    ax.grid(axis="y", linewidth=0.5, alpha=0.5)
    ax.spines[["top", "right"]].set_visible(False)
    legend_above(ax, columns=3)
    return ax
