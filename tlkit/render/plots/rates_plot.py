"""Rates with their intervals below each other: what the plots of classes and of groups share."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tlkit.render.plots.canvas import BLUE, VERMILLION, label_axis, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from tlkit.stats.estimate import Estimate


def draw_rates(
    ax: Axes,
    rates: Sequence[Estimate],
    labels: Sequence[str],
    *,
    notes: Sequence[str],
    marked: Sequence[bool],
    wide: Sequence[bool] = (),
) -> None:
    """Draw one rate a line, the first on top: a point with the line of its interval.

    Args:
        ax: where to draw.
        rates: shares in [0, 1], R of them.
        labels: what stands at the axis for each, R of them.
        notes: what stands in place of a rate that is undefined, R of them.
        marked: which rates get a diamond in another colour, R of them.
        wide: which rates show their interval without a point, R of them; default: none.
    """
    pointless = wide or [False] * len(rates)
    for position, (rate, note, mark, bare) in enumerate(zip(rates, notes, marked, pointless, strict=True)):
        if rate.value is None:
            text = ax.text(0.01, position, note, transform=ax.get_yaxis_transform(), va="center", size=8.5)
            plain(text).set_fontstyle("italic")
            continue
        colour = VERMILLION if mark else BLUE
        if rate.low is not None and rate.high is not None:
            ax.plot([rate.low, rate.high], [position, position], color=colour, linewidth=1.8, solid_capstyle="butt")
        if bare:
            continue
        ax.plot(rate.value, position, "D" if mark else "o", color=colour, markersize=6 if mark else 5.5)
    label_axis(ax, labels, axis="y", size=9)
    ax.set_ylim(len(rates) - 0.4, -0.6)
    least = min((rate.value if rate.low is None else rate.low for rate in rates if rate.value is not None), default=0.0)
    left = math.floor(least * 10) / 10
    room = (1 - left) * 0.02
    ax.set_xlim(left - room, 1 + room)
    ax.grid(axis="x", linewidth=0.6)
    ax.set_axisbelow(True)
    ax.spines[["top", "right"]].set_visible(False)
