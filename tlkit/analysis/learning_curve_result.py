"""`LearningCurve`: accuracy against the number of images, as a value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tlkit.analysis.learning_curve_tables import curve_tables
from tlkit.analysis.power_law import power_law
from tlkit.errors import DataError, refuse_newer
from tlkit.features.heads.head_kinds import HeadKind, Settings
from tlkit.stats.estimate import Estimate, signed_number
from tlkit.tables import Table, to_html

Floats = npt.NDArray[np.float64]

FORMAT_VERSION = 1
FEWEST_POINTS = 5
FARTHEST = 3.0  # times as many images more as there are
WIDEST = 0.10  # an interval of more than 10 points says nothing


@dataclass(frozen=True)
class CurvePoint:
    """Accuracy at one number of images.

    Attributes:
        per_class: images of each class, at most.
        images: images in all, mean over folds and repeats.
        accuracy: on images that were not learnt from, with Wilson's interval over all images.
        settings: of the head at this size.
    """

    per_class: int
    images: float
    accuracy: Estimate
    settings: Settings


@dataclass(frozen=True, eq=False, repr=False)
class LearningCurve:
    """Accuracy against the number of images, and the law it seems to follow.

    Attributes:
        kind: of the head.
        n: images there are now.
        classes: how many classes.
        points: by growing size.
        law: a, b and c of accuracy(n) = a − b·n^(−c), shape (3,).
        resampled: the same of what the curve might as well have been (`fit_curve`), shape (B, 3).
        folds: the images were learnt from in so many folds,
        repeats: so many times over.
        confidence: level of the intervals.
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

    def gain(self, more: int) -> Estimate:
        """Return how much accuracy so many more images may add, in [0, 1], if they are like those at hand.

        The interval holds what the law leads to where it is fitted to resampled images, scattered points and several
        stretches of the curve (`fit_curve`); it is right if accuracy goes on by such a law, which nobody can promise.
        No value where the curve has fewer than five points, where the question reaches
        beyond four times the images there are, or where the interval is wider than 10 points; the note says which.

        Args:
            more: images beyond those there are, at least 1, spread over the classes as now.

        Raises:
            DataError: `more` is below 1.
        """
        if more < 1:
            raise DataError(f"A gain needs 1 more image or more. Got {more} instead.")
        if len(self.points) < FEWEST_POINTS:
            return self._cannot_say(f"{len(self.points)} points on the curve, and a fit takes {FEWEST_POINTS}")
        if more > FARTHEST * self.n:
            return self._cannot_say(f"{more} more is beyond {FARTHEST:g} times the {self.n} images there are")
        at = [self.n, self.n + more]
        value = float(np.diff(power_law(self.law, at))[0])
        tail = (1.0 - self.confidence) / 2.0
        low, high = np.quantile(np.diff(power_law(self.resampled, at))[:, 0], [tail, 1.0 - tail])
        if high - low > WIDEST:
            ends = " to ".join(signed_number(100 * end, digits=1) for end in (low, high))
            return self._cannot_say(f"the interval would be {ends} points")
        return Estimate(value, min(float(low), value), max(float(high), value), n=self.n)

    @property
    def as_many_again(self) -> int:
        """As many images more as there are, rounded down to one digit, and 10 at least: 245 become 200."""
        power = 10 ** max(1, len(str(self.n)) - 1)
        return int(max(10, self.n // power * power))

    def _cannot_say(self, why: str) -> Estimate:
        return Estimate(None, None, None, n=self.n, note=f"not enough data: {why}")

    def fitted(self, images: npt.ArrayLike) -> tuple[Floats, Floats, Floats]:
        """Return the law's accuracy at numbers of images (M,), and the lower and upper ends of its band."""
        tail = (1.0 - self.confidence) / 2.0
        low, high = np.quantile(power_law(self.resampled, images), [tail, 1.0 - tail], axis=0)
        return power_law(self.law, images), low, high

    def tables(self, *, more: int | None = None) -> tuple[Table, ...]:
        """Return the table that shows this curve; its last note says what more images may bring.

        Args:
            more: images beyond those there are; default: as many again, rounded.

        Raises:
            DataError: `more` is below 1.
        """
        return curve_tables(self, more=more)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values; `from_dict` reads them back."""
        return {
            "format_version": FORMAT_VERSION,
            "kind": self.kind,
            "n": self.n,
            "classes": self.classes,
            "points": [
                {
                    "per_class": point.per_class,
                    "images": point.images,
                    "accuracy": point.accuracy.to_dict(),
                    "settings": dict(point.settings),
                }
                for point in self.points
            ],
            "law": self.law.tolist(),
            "resampled": self.resampled.tolist(),
            "folds": self.folds,
            "repeats": self.repeats,
            "confidence": self.confidence,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> LearningCurve:
        """Read what `to_dict` wrote.

        Raises:
            DataError: a newer tlkit wrote it.
        """
        refuse_newer("This learning curve was", values["format_version"], known=FORMAT_VERSION, error=DataError)
        points = tuple(
            CurvePoint(one["per_class"], one["images"], Estimate.from_dict(one["accuracy"]), one["settings"])
            for one in values["points"]
        )
        plain = {name: values[name] for name in ("kind", "n", "classes", "folds", "repeats", "confidence")}
        return cls(points=points, law=np.array(values["law"]), resampled=np.array(values["resampled"]), **plain)

    def __repr__(self) -> str:
        return f"LearningCurve({self.kind}, {len(self.points)} sizes of up to {self.n} images)"

    def _repr_html_(self) -> str:
        """Return what a notebook shows."""
        return to_html(self.tables())
