"""Dot plot of rates with intervals, one per row: shared by the plots of classes and of groups."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal

from tlkit.render.plots.canvas import BLUE, GREEN, GREY, PURPLE, VERMILLION, drawable, horizontal_rows, label_axis

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from tlkit.stats.estimate import Estimate


Standing = Literal["plain", "worse", "better", "within", "open"]
STYLES: Mapping[Standing, tuple[str, str, bool]] = {
    "plain": (BLUE, "o", True),
    "worse": (VERMILLION, "D", True),
    "better": (PURPLE, "^", True),
    "within": (GREEN, "o", True),
    "open": (GREY, "o", False),
}
"""Color, shape and whether the shape is filled, of a rate by its verdict; "plain" = there is none."""


def draw_rates(
    ax: Axes,
    rates: Sequence[Estimate],
    labels: Sequence[str],
    *,
    notes: Sequence[str],
    standings: Sequence[Standing] = (),
    wide: Sequence[bool] = (),
) -> None:
    """Draw one rate per row, the first on top: a point and a line for its interval.

    Args:
        ax: where to draw.
        rates: R rates in [0, 1].
        labels: R tick labels.
        notes: R texts; one is shown where its rate is undefined.
        standings: R verdicts, which choose color and shape (`STYLES`). Default: plain.
        wide: R flags; a wide rate has an interval without a point. Default: no rate is wide.
    """
    plain_ones: list[Standing] = ["plain"] * len(rates)
    flags = zip(standings or plain_ones, wide or [False] * len(rates), strict=True)
    for position, (rate, note, (standing, bare)) in enumerate(zip(rates, notes, flags, strict=True)):
        if rate.value is None:
            text = ax.text(0.01, position, note, transform=ax.get_yaxis_transform(), va="center", size=8.5)
            drawable(text).set_fontstyle("italic")
            text.set_in_layout(False)  # a long note must not make the axes narrower
            continue
        color, shape, filled = STYLES[standing]
        if rate.low is not None and rate.high is not None:
            ax.plot([rate.low, rate.high], [position, position], color=color, linewidth=1.8, solid_capstyle="butt")
        if not bare:
            face = color if filled else "white"
            ax.plot(rate.value, position, shape, color=color, markerfacecolor=face, markersize=6)
    label_axis(ax, labels, axis="y", size=9)
    horizontal_rows(ax, len(rates))
    least = min((rate.value if rate.low is None else rate.low for rate in rates if rate.value is not None), default=0.0)
    left = math.floor(least * 10) / 10
    room = (1 - left) * 0.02
    ax.set_xlim(left - room, 1 + room)
