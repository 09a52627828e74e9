"""`ImageExplanations`: where in images a model looks, and whether random weights would give the same maps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tlkit.analysis.image_explanation_tables import image_explanation_tables
from tlkit.arrays import Floats
from tlkit.choices import ExplainMethod
from tlkit.errors import DataError, refuse_newer
from tlkit.plain_values import from_plain, to_plain
from tlkit.stats.estimate import Estimate
from tlkit.tables import Table, to_html

FORMAT_VERSION = 1


@dataclass(frozen=True, eq=False)
class ImageExplanation:
    """Where in one image a model looks.

    Attributes:
        path: as given.
        predicted: the predicted class.
        confidence: its probability.
        explained: the class that the map is for.
        heat: how much each cell counts, shape (rows, columns), over the picture as the network gets it; larger = more.
        peak: the place of the maximum, across and down, as shares of the width and height of that picture.
        inner: share of the positive heat in the middle quarter of the picture (half the width, half the height); a map
            without structure has 0.25. None where no heat is positive.
    """

    path: str
    predicted: str
    confidence: float
    explained: str
    heat: Floats
    peak: tuple[float, float]
    inner: float | None


@dataclass(frozen=True, eq=False, repr=False)
class ImageExplanations:
    """Where in images a model looks.

    Attributes:
        run: name of the run.
        method: grad_cam, attention, rollout or occlusion.
        images: one for each readable image.
        random_similarity: mean rank correlation of the maps with those of the same network with random weights, with
            its interval; None where it was not computed.
        confidence: level of the interval.
    """

    run: str
    method: ExplainMethod
    images: tuple[ImageExplanation, ...]
    random_similarity: Estimate | None
    confidence: float

    def tables(self) -> tuple[Table, ...]:
        """Return the table for readers: one row per image."""
        return image_explanation_tables(self)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values; `from_dict` reads them back."""
        return {"format_version": FORMAT_VERSION, **to_plain(self)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ImageExplanations:
        """Read what `to_dict` wrote.

        Raises:
            DataError: a newer tlkit wrote it.
        """
        refuse_newer("These explanations were", values["format_version"], known=FORMAT_VERSION, error=DataError)
        return from_plain(cls, values)

    def __repr__(self) -> str:
        return f"ImageExplanations({self.run}, {self.method}: {len(self.images)} images)"

    def _repr_html_(self) -> str:
        """Return what a notebook shows."""
        return to_html(self.tables())
