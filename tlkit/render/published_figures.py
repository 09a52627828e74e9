"""`published_figures`: the figures of an evaluation and an audit that may be published, small cells hidden."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from tlkit.arrays import Mask
from tlkit.audit.cell_suppression import hidden_cells
from tlkit.audit.criteria import worst_verdict
from tlkit.audit.group_tables import Direction, GroupRow, GroupTable
from tlkit.audit.redaction import redact
from tlkit.choices import MIN_CELL_SIZE, Verdict
from tlkit.errors import TlkitError
from tlkit.evaluation.evaluation_result import MAIN_FIGURES
from tlkit.stats.estimate import Estimate

if TYPE_CHECKING:
    from tlkit.audit.audit_result import Audit
    from tlkit.evaluation import Evaluation

ALL_IMAGES = "all images"
DIGITS = 4


@dataclass(frozen=True)
class PublishedFigure:
    """One rate for all images, for those of a class, or for those of a group.

    Attributes:
        metric: the rate, such as "accuracy" or "recall of cat".
        slice: the images: "all images", "class = cat", "sex = woman" or "sex × light = woman × dark".
        low: lower end of the interval; None = none.
        high: upper end of the interval; None = none.
        value: the rate, in [0, 1]; None where it is not published, although its interval may be.
        n: number of images that it is over; None where that is not published.
        difference: the rate minus that of the complement; None = not compared, or not published.
        verdict: of a group, FAIL, PASS or NOT ENOUGH DATA; None = no verdict.
        direction: on which side of the complement a group that fails lies.
        group: whether it is about a group of an audit.
    """

    metric: str
    slice: str
    low: float | None
    high: float | None
    value: float | None
    n: int | None = None
    difference: Estimate | None = None
    verdict: Verdict | None = None
    direction: Direction | None = None
    group: bool = False

    @property
    def text(self) -> str:
        """The value with its interval, or the interval alone."""
        return Estimate(self.value, self.low, self.high, n=self.n or 0).format()


@dataclass(frozen=True)
class HiddenFigures:
    """Figures of one table that are not published: no value, no interval, no count.

    Attributes:
        metric: the rate.
        slice: the columns, such as "sex" or "sex × light"; "class" for the classes.
        rows: how many of them.
        of: of how many.
        verdict: the verdict on the whole table; None = none.
    """

    metric: str
    slice: str
    rows: int
    of: int
    verdict: Verdict | None = None


@dataclass(frozen=True)
class PublishedFigures:
    """What may be published of an evaluation and its audit.

    Attributes:
        min_cell_size: the fewest images of a cell that is shown.
        shown: the figures, those of all images first.
        hidden: how many figures of each table are not shown.
    """

    min_cell_size: int
    shown: tuple[PublishedFigure, ...]
    hidden: tuple[HiddenFigures, ...]


def published_figures(
    evaluation: Evaluation, audit: Audit | None, *, min_cell_size: int = MIN_CELL_SIZE
) -> PublishedFigures:
    """Return the figures for publication.

    A cell of 1 to k − 1 images has no figure, and neither have the next smallest cells of its table from which it would
    follow (complementary suppression, see `hidden_cells`), since a rate with its interval tells how many images it is
    over. An intersection is shown as a whole, or, where one of its cells or of its columns' cells is hidden, not at
    all. Groups below the audit's `min_group_size` have no rate. A rate whose interval is wide (`max_half_width`) is
    published as that interval alone. Differences from a complement below k images are left out.

    Args:
        evaluation: the figures of all images and of the classes.
        audit: the figures of the groups; None = no groups.
        min_cell_size: k, at least 2.

    Raises:
        TlkitError: `min_cell_size` is below 2.
    """
    if min_cell_size < 2:
        raise TlkitError(f"min_cell_size is {min_cell_size}. Use at least 2.")
    shown = [
        figure
        for name in MAIN_FIGURES
        if (figure := _figure(getattr(evaluation, name), name.replace("_", " "), ALL_IMAGES, most=1.0))
    ]
    hidden: list[HiddenFigures] = []
    most = audit.settings.max_half_width if audit else 1.0
    supports = np.array([one.support for one in evaluation.per_class], dtype=np.int64)
    mask = hidden_cells(supports, (supports > 0) & (supports < min_cell_size), k=min_cell_size)
    for one, is_hidden in zip(evaluation.per_class, mask, strict=True):
        figure = None if is_hidden else _figure(one.recall, "recall", f"class = {one.name}", most=most)
        shown += [figure] if figure else []
    if mask.any():
        hidden.append(HiddenFigures("recall", "class", int(mask.sum()), int((supports > 0).sum())))
    masks = small_cells(audit, min_cell_size) if audit else ()
    for table, covered in zip(audit.group_tables if audit else (), masks, strict=True):
        assert audit is not None
        without = 0
        for row, is_covered in zip(table.rows, covered, strict=True):
            figure = None if is_covered else _of_group(audit, table, row, min_cell_size)
            shown += [figure] if figure else []
            without += figure is None
        if without:
            verdict = worst_verdict([table])
            hidden.append(HiddenFigures(table.rate_name, table.by, without, len(table.rows), verdict))
    return PublishedFigures(min_cell_size, tuple(shown), tuple(hidden))


def small_cells(audit: Audit, k: int) -> tuple[Mask, ...]:
    """Return for each table of an audit which rows `published_figures` hides because of small cells, shape (rows,)."""
    masks = [_hidden_rows(table.rows, k) for table in audit.group_tables]
    tables = list(zip(audit.group_tables, masks, strict=True))
    small = {frozenset(table.columns) for table, mask in tables if mask.any()}
    return tuple(
        np.ones_like(mask) if len(table.columns) > 1 and any(one <= set(table.columns) for one in small) else mask
        for table, mask in tables
    )


def without_small_cells(audit: Audit, *, min_cell_size: int = MIN_CELL_SIZE) -> Audit:
    """Return an audit for tables, without the rows that `published_figures` hides because of small cells."""
    tables = tuple(
        replace(table, rows=tuple(row for row, hidden in zip(table.rows, mask, strict=True) if not hidden), gap=None)
        if mask.any()
        else table
        for table, mask in zip(audit.group_tables, small_cells(audit, min_cell_size), strict=True)
    )
    return replace(audit, group_tables=tables)


def _hidden_rows(rows: Sequence[GroupRow], k: int) -> Mask:
    """Return which rows are hidden by their images, or by the denominators of their rates."""
    covered = np.zeros(len(rows), dtype=np.bool_)
    for cells in ([row.images for row in rows], [row.rate.n for row in rows]):
        sizes = np.array(cells, dtype=np.int64)
        covered |= hidden_cells(sizes, (sizes > 0) & (sizes < k), k=k)
    return covered


def _of_group(audit: Audit, table: GroupTable, row: GroupRow, k: int) -> PublishedFigure | None:
    """Return a group's figure; None where it has no rate."""
    most, others = audit.settings.max_half_width, [one for one in table.rows if one.group is not None]
    complement = min(
        audit.images - sum(one.images for one in table.rows if one.group is None) - row.images,
        sum(one.rate.n for one in others) - row.rate.n,
    )
    difference = row.difference if complement >= k and row.group is not None else None
    return _figure(
        row.rate,
        table.rate_name,
        f"{table.by} = {row.name}",
        most=most,
        difference=None if difference is None else _rounded(redact(difference, most)),
        verdict=row.verdict,
        direction=row.direction,
        group=True,
    )


def _figure(
    estimate: Estimate,
    metric: str,
    images: str,
    *,
    most: float,
    difference: Estimate | None = None,
    verdict: Verdict | None = None,
    direction: Direction | None = None,
    group: bool = False,
) -> PublishedFigure | None:
    """Return an estimate as a figure; None where it has neither value nor interval."""
    if estimate.value is None:
        return None
    found = _rounded(redact(estimate, most))
    return PublishedFigure(
        metric, images, found.low, found.high, found.value, found.n, difference, verdict, direction, group
    )


def _rounded(estimate: Estimate) -> Estimate:
    value, low, high = (
        None if number is None else round(float(number), DIGITS)
        for number in (estimate.value, estimate.low, estimate.high)
    )
    return Estimate(value, low, high, n=estimate.n, note=estimate.note)
