"""Dot plot of the rates of groups with their intervals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tlkit.render.plots.canvas import GREY, axes_of_size, drawable, is_narrow, legend_above, shortened
from tlkit.render.plots.rates_plot import STYLES, draw_rates

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from tlkit.audit.audit_result import Audit
    from tlkit.audit.group_tables import GroupRow, GroupTable
    from tlkit.audit.rates import AnyMetric
    from tlkit.render.plots.rates_plot import Standing

MOST_GROUPS = 40


def plot_groups(
    audit: Audit,
    ax: Axes | None = None,
    *,
    by: str | Sequence[str] | None = None,
    metric: AnyMetric = "accuracy",
    class_name: str | None = None,
) -> Axes:
    """Plot the rate of each group with its interval, in the order of the audit's table, and the overall accuracy.

    A group with too few images shows its size instead of a point, a group with a wide interval the interval without a
    point. Color and shape say the verdict: a diamond FAIL, a triangle FAIL where the group is better off than the
    others, a filled circle PASS, an empty one NOT ENOUGH DATA. Above 40 groups only the 40 with the lowest
    rates are shown.

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
        notes=["too few images" if is_narrow() else f"n = {row.rate.n}: too few images for a rate" for row in rows],
        standings=[_standing(table, row) for row in rows],
        wide=[row.wide for row in rows],
    )
    if metric == "accuracy" and audit.overall.value is not None:
        label = f"all images {audit.overall.value:.3f} (n = {audit.images})"
        ax.axvline(audit.overall.value, color=GREY, linewidth=1.2, linestyle="--", label=label)
    shown = {_standing(table, row): _legend(row) for row in rows if row.verdict is not None and not row.suppressed}
    for standing in (one for one in STYLES if one in shown):
        color, shape, filled = STYLES[standing]
        face = color if filled else "white"
        ax.plot([], [], shape, color=color, markerfacecolor=face, markersize=6, linestyle="none", label=shown[standing])
    if ax.get_legend_handles_labels()[0]:
        legend_above(ax, columns=2)
    name = shortened(table.rate_name)
    drawable(ax.set_xlabel(f"{name} (share of n images), {audit.settings.confidence:.0%} interval"))
    some = "" if len(rows) == len(table.rows) else f"\n(the {len(rows)} lowest of {len(table.rows)})"
    drawable(ax.set_ylabel(shortened(table.by, 40) + some))
    return ax


def _standing(table: GroupTable, row: GroupRow) -> Standing:
    if row.verdict == "FAIL":
        return "better" if table.is_better(row) else "worse"
    return "plain" if row.verdict is None else "within" if row.verdict == "PASS" else "open"


def _legend(row: GroupRow) -> str:
    return f"FAIL, {row.direction}" if row.direction else (row.verdict or "")


def _rate(row: GroupRow) -> float:
    return 2.0 if row.rate.value is None else row.rate.value
