"""`LearningCurve`: accuracy against the number of training images, with a power law that extrapolates it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tlkit.analysis.learning_curve_tables import curve_tables
from tlkit.analysis.power_law import power_law
from tlkit.arrays import Floats
from tlkit.errors import DataError, refuse_newer
from tlkit.features.heads.head_kinds import HeadKind, Settings
from tlkit.plain_values import from_plain, to_plain
from tlkit.stats.estimate import Estimate, signed_number
from tlkit.tables import Table, to_html

FORMAT_VERSION = 1
MIN_POINTS = 5
MAX_EXTRAPOLATION = 3.0  # more images, as a multiple of the present number
MAX_INTERVAL_WIDTH = 0.10  # a wider interval is not reported


@dataclass(frozen=True)
class CurvePoint:
    """Accuracy at one number of training images.

    Attributes:
        per_class: images of each class, at most.
        images: images of all classes, mean over folds and repeats.
        accuracy: out of fold, with Wilson's interval over all images.
        settings: of the head at this size.
    """

    per_class: int
    images: float
    accuracy: Estimate
    settings: Settings


@dataclass(frozen=True, eq=False, repr=False)
class LearningCurve:
    """Accuracy against the number of training images, and the fitted power law.

    Attributes:
        kind: of the head.
        n: present number of images.
        classes: number of classes.
        points: by increasing size.
        law: a, b and c of accuracy(n) = a − b·n^(−c), shape (3,).
        resampled: the same, fitted to resampled curves (`fit_curve`), shape (B, 3).
        folds: of the cross-validation.
        repeats: of the cross-validation.
        confidence: level of the intervals.
        measured: accuracy on held-out images, such as test; None = not measured.
    """

    kind: HeadKind
    n: int
    classes: int
    points: tuple[CurvePoint, ...]
    law: Floats
    resampled: Floats
    folds: int
    repeats: int
    confidence: float
    measured: Estimate | None = None

    def gain(self, more: int) -> Estimate:
        """Return the predicted gain of accuracy from more images, in [-1, 1], if they are like the present ones.

        The interval is that of the laws fitted to resampled curves (`fit_curve`); it assumes that accuracy goes on by a
        power law. No value where the curve has fewer than five points, where the extrapolation goes beyond four times
        the present images, or where the interval is wider than 10 points; the note says which.

        Args:
            more: number of additional images, at least 1, in the same shares of classes.

        Raises:
            DataError: `more` is below 1.
        """
        if more < 1:
            raise DataError(f"A gain needs 1 more image or more. Got {more} instead.")
        if len(self.points) < MIN_POINTS:
            return self._undefined(f"{len(self.points)} points on the curve, and a fit takes {MIN_POINTS}")
        if more > MAX_EXTRAPOLATION * self.n:
            return self._undefined(f"{more} more is beyond {MAX_EXTRAPOLATION:g} times the {self.n} images there are")
        at = [self.n, self.n + more]
        value = float(np.diff(power_law(self.law, at))[0])
        tail = (1.0 - self.confidence) / 2.0
        low, high = np.quantile(np.diff(power_law(self.resampled, at))[:, 0], [tail, 1.0 - tail])
        if high - low > MAX_INTERVAL_WIDTH:
            ends = " to ".join(signed_number(100 * end, digits=1) for end in (low, high))
            return self._undefined(f"the interval would be {ends} points")
        return Estimate(value, min(float(low), value), max(float(high), value), n=self.n)

    @property
    def default_more(self) -> int:
        """The default of `more`: the present number of images, rounded down to one digit, at least 10 (245: 200)."""
        power = 10 ** max(1, len(str(self.n)) - 1)
        return int(max(10, self.n // power * power))

    def _undefined(self, reason: str) -> Estimate:
        return Estimate(None, None, None, n=self.n, note=f"not enough data: {reason}")

    def fitted(self, images: npt.ArrayLike) -> tuple[Floats, Floats, Floats]:
        """Return the law's accuracy at numbers of images (M,), and the lower and upper bounds of its interval."""
        tail = (1.0 - self.confidence) / 2.0
        low, high = np.quantile(power_law(self.resampled, images), [tail, 1.0 - tail], axis=0)
        return power_law(self.law, images), low, high

    def tables(self, *, more: int | None = None) -> tuple[Table, ...]:
        """Return the table of the points; its last note gives the predicted gain from more images.

        Args:
            more: number of additional images; default: `default_more`.

        Raises:
            DataError: `more` is below 1.
        """
        return curve_tables(self, more=more)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values; `from_dict` reads them back."""
        return {"format_version": FORMAT_VERSION, **to_plain(self)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> LearningCurve:
        """Read what `to_dict` wrote.

        Raises:
            DataError: a newer tlkit wrote it.
        """
        refuse_newer("This learning curve was", values["format_version"], known=FORMAT_VERSION, error=DataError)
        return from_plain(cls, values)

    def __repr__(self) -> str:
        return f"LearningCurve({self.kind}, {len(self.points)} sizes of up to {self.n} images)"

    def _repr_html_(self) -> str:
        """Return what a notebook shows."""
        return to_html(self.tables())
