"""Dot plot of rates with intervals, one per row: shared by the plots of classes and of groups."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tlkit.render.plots.canvas import BLUE, GREEN, VERMILLION, horizontal_rows, label_axis, plain

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
    better: Sequence[bool] = (),
) -> None:
    """Draw one rate per row, the first on top: a point and a line for its interval.

    Args:
        ax: where to draw.
        rates: R rates in [0, 1].
        labels: R tick labels.
        notes: R texts; one is shown where its rate is undefined.
        marked: R flags; a marked rate has a diamond in another color.
        better: R flags; a marked rate that is better off has an upright triangle in a third color. Default: none is.
        wide: R flags; a wide rate has an interval without a point. Default: no rate is wide.
    """
    none = [False] * len(rates)
    flags = zip(marked, better or none, wide or none, strict=True)
    for position, (rate, note, (mark, gain, bare)) in enumerate(zip(rates, notes, flags, strict=True)):
        if rate.value is None:
            text = ax.text(0.01, position, note, transform=ax.get_yaxis_transform(), va="center", size=8.5)
            plain(text).set_fontstyle("italic")
            continue
        color = (GREEN if gain else VERMILLION) if mark else BLUE
        if rate.low is not None and rate.high is not None:
            ax.plot([rate.low, rate.high], [position, position], color=color, linewidth=1.8, solid_capstyle="butt")
        if not bare:
            shape = ("^" if gain else "D") if mark else "o"
            ax.plot(rate.value, position, shape, color=color, markersize=6 if mark else 5.5)
    label_axis(ax, labels, axis="y", size=9)
    horizontal_rows(ax, len(rates))
    least = min((rate.value if rate.low is None else rate.low for rate in rates if rate.value is not None), default=0.0)
    left = math.floor(least * 10) / 10
    room = (1 - left) * 0.02
    ax.set_xlim(left - room, 1 + room)
