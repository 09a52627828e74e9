"""How the rates of groups compare."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tlkit.render.plots.canvas import GREY, VERMILLION, axes_of_size, plain, shortened
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
    """Plot the rate of each group with its interval, in the order of the audit's table, beside the overall accuracy.

    A group with too few images shows "n = 7" in place of a point, one with a wide interval shows that alone, and one
    with the verdict FAIL has a diamond. Above 40 groups, the 40 with the lowest rates are shown.

    Args:
        audit: with the table.
        ax: where to draw; default: a new figure.
        by: a column, or the columns of an intersection; default: the first table of the audit.
        metric: the rate.
        class_name: the class it is about; None for the accuracy.

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
    )
    if metric == "accuracy" and audit.overall.value is not None:
        label = f"all images {audit.overall.value:.3f} (n = {audit.images})"
        ax.axvline(audit.overall.value, color=GREY, linewidth=1.2, linestyle="--", label=label)
    if any(row.verdict == "FAIL" for row in rows):
        ax.plot([], [], "D", color=VERMILLION, markersize=6, label="FAIL")
    if ax.get_legend_handles_labels()[0]:
        ax.legend(loc="lower left", bbox_to_anchor=(0, 1.0), frameon=False, borderaxespad=0.2, ncols=2)
    name = shortened(table.rate_name)
    plain(ax.set_xlabel(f"{name} (share of n images), {audit.settings.confidence:.0%} interval"))
    some = "" if len(rows) == len(table.rows) else f"\n(the {len(rows)} lowest of {len(table.rows)})"
    plain(ax.set_ylabel(shortened(table.by, 40) + some))
    return ax


def _rate(row: GroupRow) -> float:
    return 2.0 if row.rate.value is None else row.rate.value
