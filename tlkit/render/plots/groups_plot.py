"""Dot plot of the rates of groups with their intervals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tlkit.audit.group_tables import DIRECTIONS
from tlkit.render.plots.canvas import GREEN, GREY, VERMILLION, axes_of_size, legend_above, plain, shortened
from tlkit.render.plots.rates_plot import draw_rates

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from tlkit.audit.audit_result import Audit
    from tlkit.audit.group_tables import GroupRow
    from tlkit.audit.rates import Metric

MOST_GROUPS = 40


def plot_groups(
    audit: Audit,
    ax: Axes | None = None,
    *,
    by: str | Sequence[str] | None = None,
    metric: Metric = "accuracy",
    class_name: str | None = None,
) -> Axes:
    """Plot the rate of each group with its interval, in the order of the audit's table, and the overall accuracy.

    A group with too few images shows its size instead of a point, a group with a wide interval the interval without a
    point, and a group with the verdict FAIL a diamond, or a triangle where it is better off than
    the others. Above 40 groups only the 40 with the lowest rates are shown.

    Args:
        audit: the audit.
        ax: where to draw; default: a new figure.
        by: a column, or the columns of an intersection; default: the first table of the audit.
        metric: the rate.
        class_name: class of the rate; None for the accuracy.

    Raises:
        TlkitError: the audit has no such table.
    """
    by = audit.group_tables[0].columns if by is None else by
    table = audit.group_table(by, metric=metric, class_name=class_name)
    rows = list(table.rows)
    if len(rows) > MOST_GROUPS:
        rows = sorted((row for row in rows if not row.suppressed), key=_rate)[:MOST_GROUPS]
    ax = axes_of_size(ax, width=7.5, height=1.5 + 0.3 * max(len(rows), 3))
    draw_rates(
        ax,
        [row.rate for row in rows],
        [f"{shortened(row.name, 36)} (n = {row.rate.n})" for row in rows],
        notes=[f"n = {row.rate.n}: too few images for a rate" for row in rows],
        marked=[row.verdict == "FAIL" for row in rows],
        wide=[row.wide for row in rows],
        better=[table.is_better(row) for row in rows],
    )
    if metric == "accuracy" and audit.overall.value is not None:
        label = f"all images {audit.overall.value:.3f} (n = {audit.images})"
        ax.axvline(audit.overall.value, color=GREY, linewidth=1.2, linestyle="--", label=label)
    failed = {row.direction: table.is_better(row) for row in rows if row.direction is not None}
    for direction in DIRECTIONS:
        if direction in failed:
            shape, color = ("^", GREEN) if failed[direction] else ("D", VERMILLION)
            ax.plot([], [], shape, color=color, markersize=6, linestyle="none", label=f"FAIL, {direction}")
    if ax.get_legend_handles_labels()[0]:
        legend_above(ax, columns=2)
    name = shortened(table.rate_name)
    plain(ax.set_xlabel(f"{name} (share of n images), {audit.settings.confidence:.0%} interval"))
    some = "" if len(rows) == len(table.rows) else f"\n(the {len(rows)} lowest of {len(table.rows)})"
    plain(ax.set_ylabel(shortened(table.by, 40) + some))
    return ax


def _rate(row: GroupRow) -> float:
    return 2.0 if row.rate.value is None else row.rate.value
