"""Reliability diagram, risk–coverage curve, and coverage of prediction sets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tlkit.render.plots.canvas import (
    BLUE,
    GREY,
    ORANGE,
    VERMILLION,
    axes_of_size,
    horizontal_rows,
    label_axis,
    legend_above,
    shortened,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from tlkit.uncertainty.abstention_result import Abstention
    from tlkit.uncertainty.calibration_result import Calibration
    from tlkit.uncertainty.conformal_result import ConformalSets


def plot_reliability(calibration: Calibration, ax: Axes | None = None) -> Axes:
    """Plot accuracy with its interval against mean confidence, for bins of equal mass; the diagonal is perfect.

    Args:
        calibration: the result.
        ax: where to draw; default: a new figure.
    """
    ax = axes_of_size(ax, width=5.5, height=5.0)
    bins = calibration.bins
    x = np.array([one.confidence for one in bins])
    values, low, high = (
        np.array([getattr(one.accuracy, name) for one in bins], dtype=np.float64) for name in ("value", "low", "high")
    )
    ends = np.array([[one.lowest, one.highest] for one in bins]).reshape(-1, 2)
    least = max(0.0, min([*ends[:, 0], *low, 0.95]) - 0.03)
    ax.plot([least, 1], [least, 1], color=GREY, linewidth=1.0, linestyle="--", label="perfectly calibrated")
    across = np.stack([x - ends[:, 0], ends[:, 1] - x]).clip(0)
    ax.errorbar(
        x,
        values,
        yerr=np.stack([values - low, high - values]).clip(0),
        xerr=across,
        fmt="o",
        color=BLUE,
        capsize=3,
        elinewidth=1.2,
        label=f"bins of about {calibration.n // max(1, len(bins))} images",
    )
    ax.set_xlim(least, 1.01)
    ax.set_ylim(least, 1.01)
    ax.set_xlabel("mean confidence (bar: range of the bin)")
    ax.set_ylabel(f"accuracy, {calibration.confidence:.0%} interval, n = {calibration.n:,}")
    ax.grid(linewidth=0.5, alpha=0.5)
    ax.legend(loc="upper left", frameon=False)
    return ax


def plot_risk_coverage(abstention: Abstention, ax: Axes | None = None) -> Axes:
    """Plot the risk among answered images against their share, with intervals at some points, and the thresholds.

    Args:
        abstention: the result.
        ax: where to draw; default: a new figure.
    """
    ax = axes_of_size(ax, width=6.5, height=4.5)
    coverage, risk = abstention.ranked
    ax.plot(coverage, risk, color=BLUE, linewidth=1.6, label="by confidence")
    points = [one for one in abstention.curve if one.risk.low is not None]
    values, low, high = (
        np.array([getattr(one.risk, name) for one in points], dtype=np.float64) for name in ("value", "low", "high")
    )
    bars = np.stack([values - low, high - values]).clip(0)
    ax.errorbar([one.coverage for one in points], values, yerr=bars, fmt="o", color=BLUE, capsize=3, markersize=4)
    error = abstention.error.value or 0.0
    ax.axhline(error, color=GREY, linewidth=1.0, linestyle="--", label=f"everything answered: {error:.3f}")
    for place, one in enumerate(abstention.thresholds):
        if one.coverage.value is not None and one.risk.value is not None:
            label = "thresholds chosen on val" if place == 0 else None
            ax.plot(one.coverage.value, one.risk.value, "D", color=VERMILLION, zorder=4, label=label)
            ax.axhline(one.chosen.risk, color=ORANGE, linewidth=0.8, linestyle=":")
    ax.set_xlim(0, 1.02)
    ax.set_ylim(bottom=0)
    ax.set_xlabel(f"share of the n = {abstention.n:,} images that is answered")
    ax.set_ylabel(f"risk: share of wrong answers, {abstention.confidence:.0%} interval")
    ax.grid(linewidth=0.5, alpha=0.5)
    ax.legend(loc="upper left", frameon=False)
    return ax


def plot_sets(sets: ConformalSets, ax: Axes | None = None) -> Axes:
    """Plot how often prediction sets hold the true class, with intervals, for all images and for each group.

    Args:
        sets: the result; rows without a coverage are left out.
        ax: where to draw; default: a new figure.
    """
    rows = [one for one in sets.rows if one.coverage.low is not None]
    ax = axes_of_size(ax, width=6.5, height=1.4 + 0.35 * len(rows))
    values, low, high = (
        np.array([getattr(one.coverage, name) for one in rows], dtype=np.float64) for name in ("value", "low", "high")
    )
    places = np.arange(len(rows))
    bars = np.stack([values - low, high - values]).clip(0)
    ax.errorbar(values, places, xerr=bars, fmt="o", color=BLUE, capsize=3, elinewidth=1.2)
    ax.axvline(sets.wanted, color=GREY, linewidth=1.0, linestyle="--", label=f"wanted: {sets.wanted:g}")
    names = [shortened(f"{one.column}: {one.group}" if one.column else "all images") for one in rows]
    label_axis(ax, [f"{name} (n = {one.n:,})" for name, one in zip(names, rows, strict=True)], axis="y")
    horizontal_rows(ax, len(rows))
    ax.set_xlim(max(0.0, min([*low, sets.wanted]) - 0.05), 1.01)
    ax.set_xlabel(f"share of sets with the true class, {sets.confidence:.0%} interval")
    legend_above(ax)
    return ax
