"""`ErrorReport`: images with the highest loss, most confused pairs of classes, worst images of each class."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tlkit.analysis.error_tables import error_tables
from tlkit.audit.error_examples import ErrorExample
from tlkit.errors import DataError, refuse_newer
from tlkit.plain_values import from_plain, to_plain
from tlkit.stats.estimate import Estimate
from tlkit.tables import Table, to_html

FORMAT_VERSION = 1


@dataclass(frozen=True)
class ConfusedPair:
    """Two classes of which one is taken for the other.

    Attributes:
        y_true: the true class.
        y_pred: the predicted class.
        k: images of the true class that are predicted as the other.
        n: images of the true class.
        rate: k / n, with an interval that holds for all pairs at once.
    """

    y_true: str
    y_pred: str
    k: int
    n: int
    rate: Estimate


@dataclass(frozen=True)
class ClassErrors:
    """The errors of one class.

    Attributes:
        name: the true class.
        n: its images.
        errors: how many are wrong.
        rate: errors / n.
        images: the wrong ones with the highest loss first.
    """

    name: str
    n: int
    errors: int
    rate: Estimate
    images: tuple[ErrorExample, ...]


@dataclass(frozen=True, repr=False)
class ErrorReport:
    """Errors of a model that one can act on.

    Attributes:
        name: name of the run and split, or of the table.
        n: labelled images.
        errors: how many are wrong.
        rate: errors / n.
        images: wrong images with the highest loss first; in the order of their paths without probabilities.
        close: right images with the smallest margin first; empty without probabilities.
        pairs: confused pairs, the highest lower end of the interval (of independent images) first.
        pairs_tried: ordered pairs of classes that the intervals of `pairs` hold for at once.
        classes: errors by true class, the highest rate first.
        clusters: column of the clusters that the intervals allow for; "" = none.
        confidence: level of the intervals.
    """

    name: str
    n: int
    errors: int
    rate: Estimate
    images: tuple[ErrorExample, ...]
    close: tuple[ErrorExample, ...]
    pairs: tuple[ConfusedPair, ...]
    pairs_tried: int
    classes: tuple[ClassErrors, ...]
    clusters: str
    confidence: float

    @property
    def sheets(self) -> dict[str, tuple[ErrorExample, ...]]:
        """The wrong images of each class that has some, for `plot_contact_sheet`, the highest rate first."""
        return {f"{one.name}: {one.errors} of {one.n}": one.images for one in self.classes if one.images}

    def tables(self) -> tuple[Table, ...]:
        """Return the tables for readers: images, confused pairs, classes."""
        return error_tables(self)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values; `from_dict` reads them back."""
        return {"format_version": FORMAT_VERSION, **to_plain(self)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ErrorReport:
        """Read what `to_dict` wrote.

        Raises:
            DataError: a newer tlkit wrote it.
        """
        refuse_newer("This error report was", values["format_version"], known=FORMAT_VERSION, error=DataError)
        return from_plain(cls, values)

    def __repr__(self) -> str:
        return f"ErrorReport({self.name}: {self.errors} of {self.n} wrong)"

    def _repr_html_(self) -> str:
        """Return what a notebook shows."""
        return to_html(self.tables())
