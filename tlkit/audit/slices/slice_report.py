"""`SliceReport`: discovered slices with higher error rates, their tests, and the shortcut test."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from tlkit.audit.error_examples import GroupImages
from tlkit.audit.options import AuditOptions
from tlkit.audit.slices.slice_conditions import Condition
from tlkit.audit.slices.slice_tables import slice_report_tables
from tlkit.errors import refuse_newer
from tlkit.plain_values import from_plain, to_plain
from tlkit.stats.estimate import Estimate
from tlkit.tables import Table, to_html

FORMAT_VERSION = 1
Standing = Literal["confirmed", "not confirmed", "candidate"]


@dataclass(frozen=True)
class FoundSlice:
    """A slice with a high error rate on the searched half, and its test on the other half.

    Slice and complement exclude the images of all slices found before it.

    Attributes:
        conditions: all of them hold for its images.
        searched: its accuracy on the searched half: biased low, because slices are selected by it.
        tested: its accuracy on the other half, with a Wilson interval.
        difference: that accuracy minus the complement's; None with too few images.
        mix: the part of the difference that is due to class mix (Kitagawa); None with too few
            images.
        p: p-value of the difference on the other half; None = no test.
        p_holm: the same after Holm's correction over what was tested.
        standing: "confirmed" = the difference lies below 0 and p_holm below alpha; "candidate" = too few images in the
            other half to test; else "not confirmed".
        detectable_gap: the smallest gap that the other half could have shown (80 % power); None = none, or no test.
        images: examples of its errors; None where it has no wrong images.
    """

    conditions: tuple[Condition, ...]
    searched: Estimate
    tested: Estimate
    difference: Estimate | None
    mix: Estimate | None
    p: float | None
    p_holm: float | None
    standing: Standing
    detectable_gap: float | None
    images: GroupImages | None = None

    @property
    def name(self) -> str:
        """The slice as text: "brightness below 41 of 255 and file type is JPEG"."""
        return " and ".join(condition.text for condition in self.conditions)


@dataclass(frozen=True)
class Shortcut:
    """The accuracy of predicting the true classes from columns alone, without the images.

    Attributes:
        column: the column; "" = all columns together.
        accuracy: of a linear classifier, cross-validated, with a Wilson interval.
        base_rate: share of the most frequent class: accuracy of always predicting that class, in [0, 1].
        p: permutation p-value of the independence of classes and columns.
        p_holm: the same after Holm's correction over the columns; equal to p for all together.
    """

    column: str
    accuracy: Estimate
    base_rate: float
    p: float
    p_holm: float

    @property
    def text(self) -> str:
        """The column as text."""
        return self.column.replace("_", " ") if self.column else "all columns together"

    def is_significant(self, alpha: float) -> bool:
        """Return whether the accuracy is significantly above that of always predicting the most frequent class."""
        return self.p_holm < alpha and self.accuracy.is_above(self.base_rate)


@dataclass(frozen=True)
class SliceReport:
    """Slices found on one half of the images and tested on the other, and the test for shortcuts.

    Attributes:
        images: labelled images.
        searched: images of the half that was searched.
        tested: images of the half that was tested on.
        units: number of units: duplicates and images of one cluster are one unit.
        columns: columns that were searched.
        searched_conditions: number of conditions and pairs of conditions that were tried.
        overall: accuracy over all labelled images.
        settings: the options that it was made with. A slice has at least `min_group_size` images in the half that was
            searched; with fewer in the other one it is a candidate only.
        clusters: number of clusters of features that were searched; 0 = none.
        slices: the slices in the order in which they were found.
        shortcuts: all columns together first, then each alone; empty where it could not be tested.
    """

    images: int
    searched: int
    tested: int
    units: int
    columns: tuple[str, ...]
    searched_conditions: int
    overall: Estimate
    settings: AuditOptions
    clusters: int
    slices: tuple[FoundSlice, ...]
    shortcuts: tuple[Shortcut, ...] = ()

    @property
    def confirmed(self) -> tuple[FoundSlice, ...]:
        """The slices that are significantly worse on the half that was not searched."""
        return tuple(one for one in self.slices if one.standing == "confirmed")

    def tables(self) -> tuple[Table, ...]:
        """Return the tables for readers: the slices, the test for shortcuts, images of the confirmed slices."""
        return slice_report_tables(self)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values; `from_dict` reads them back."""
        return {"version": FORMAT_VERSION, **to_plain(self)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> SliceReport:
        """Read what `to_dict` wrote.

        Raises:
            TlkitError: it was written by a newer tlkit.
        """
        refuse_newer("These slices were", values["version"], known=FORMAT_VERSION)
        return from_plain(cls, values)

    def __repr__(self) -> str:
        return f"SliceReport({self.images} images, slices confirmed: {len(self.confirmed)} of {len(self.slices)})"

    def _repr_html_(self) -> str:
        return to_html(self.tables())
