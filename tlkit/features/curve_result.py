"""`LearningCurve`: accuracy against the number of images, as a value that shows and stores itself."""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tlkit.errors import DataError, refuse_newer
from tlkit.features.heads.kinds import HeadKind, Settings, setting_words
from tlkit.features.power_law import power_law
from tlkit.notebook import html_table
from tlkit.stats.estimate import Estimate, signed_number

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

    def sentence(self, more: int | None = None) -> str:
        """Say in words what more images may bring: "+500 images ≈ +1.2 points of accuracy [+0.6, +1.8], if …".

        Args:
            more: how many; default: as many again as there are, rounded.

        Raises:
            DataError: `more` is below 1.
        """
        wanted = self.as_many_again if more is None else more
        gain = self.gain(wanted)
        if gain.value is None or gain.low is None or gain.high is None:
            return f"+{wanted} images: {gain.note}."
        value, low, high = (_points(share, gain) for share in (gain.value, gain.low, gain.high))
        return (
            f"+{wanted} images ≈ {value} points of accuracy [{low}, {high}], if they are like the {self.n} at hand and "
            "the curve goes on as it does."
        )

    def basis(self) -> str:
        """Say in one sentence what the accuracies are of."""
        times = "" if self.repeats == 1 else f", {self.repeats} times over"
        return (
            f"Accuracy of a {self.kind} head on all {self.n} images, each predicted by heads that had not learnt from "
            f"it ({self.folds} folds{times}); {100 * self.confidence:g} % intervals."
        )

    def rows(self) -> list[tuple[str, ...]]:
        """Return the points as text, with their header."""
        rows: list[tuple[str, ...]] = [("images per class", "images", "accuracy", "setting")]
        for point in self.points:
            row = (f"{point.per_class}", f"{point.images:.0f}", point.accuracy.format(), setting_words(point.settings))
            rows.append(row)
        return rows

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
        words = html.escape(f"{self.basis()} {self.sentence()}")
        return f"<p><b>Learning curve</b>. {words}</p>{html_table(self.rows())}"


def _points(share: float, gain: Estimate) -> str:
    """Return a share as points with as many digits, one to four, as it takes to tell a gain's ends apart."""
    assert gain.low is not None and gain.high is not None, "asked of a gain that has a value"
    low, high = 100 * gain.low, 100 * gain.high
    apart = (n for n in range(1, 4) if signed_number(low, digits=n) != signed_number(high, digits=n))
    digits = next(apart, 4)
    return signed_number(100 * share, digits=digits)
