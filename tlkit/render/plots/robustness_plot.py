"""Robustness: change of accuracy with the severity of each corruption."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tlkit.render.plots.canvas import BLUE, GREY, VERMILLION, axes_of_size, horizontal_rows, label_axis, legend_above

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from tlkit.evaluation.robustness_report import RobustnessReport

STEP = 0.15
"""Distance of the severities within a row."""


def plot_robustness(report: RobustnessReport, ax: Axes | None = None) -> Axes:
    """Plot the change of accuracy under each corruption, one row each, severities 1 to 5 from top to bottom.

    Bars are the intervals of the paired change; filled points are certain losses after Holm's correction, hollow ones
    are not.

    Args:
        report: the results.
        ax: where to draw; default: a new figure.
    """
    rows = len(report.corruptions)
    ax = axes_of_size(ax, width=7.5, height=1.4 + 0.75 * rows)
    horizontal_rows(ax, rows)
    for certain, color, label in ((True, VERMILLION, "certain loss"), (False, BLUE, "not certain")):
        points = [
            (at.change, row + (at.severity - 3) * STEP)
            for row, one in enumerate(report.corruptions)
            for at in one.severities
            if at.certain_loss is certain and at.change.value is not None
        ]
        if not points:
            continue
        value = np.array([change.value for change, _ in points], dtype=np.float64)
        low = np.array([change.low if change.low is not None else change.value for change, _ in points], dtype=float)
        high = np.array([change.high if change.high is not None else change.value for change, _ in points], dtype=float)
        ax.errorbar(
            value,
            [height for _, height in points],
            xerr=np.maximum(np.stack([value - low, high - value]), 0.0),
            fmt="o",
            markersize=4,
            color=color,
            markerfacecolor=color if certain else "none",
            elinewidth=1,
            label=label,
        )
    ax.axvline(0, color=GREY, linewidth=1)
    names = [
        one.name.replace("_", " ") + ("" if one.first_loss is None else f"\nloss from {one.first_loss}")
        for one in report.corruptions
    ]
    label_axis(ax, names, axis="y", size=9)
    ax.set_xlabel(
        f"change of accuracy against {report.clean.format()} (n = {report.n} {report.split} images, "
        f"{report.confidence:.0%} intervals)"
    )
    ax.set_ylabel("corruption, severities 1 to 5 downwards")
    legend_above(ax, columns=2)
    return ax
