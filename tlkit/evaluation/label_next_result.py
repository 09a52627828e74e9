"""`LabelNext`: unlabelled images to label next, and the accuracy that their labels would add by the learning curve."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from tlkit.choices import SelectionMethod
from tlkit.errors import DataError, refuse_newer
from tlkit.evaluation.label_next_tables import label_next_tables
from tlkit.plain_values import from_plain, to_plain
from tlkit.stats.estimate import Estimate
from tlkit.tables import Table, to_html

FORMAT_VERSION = 1


@dataclass(frozen=True)
class Candidate:
    """An image to label.

    Attributes:
        path: as given.
        predicted: class that the model predicts.
        second: the second most probable class.
        probability: of the predicted class, in [0, 1].
        margin: difference of the two largest probabilities, in [0, 1]; small = unsure.
        distance: to the nearest training image, between features of length 1, in [0, 2].
        value: by which it was chosen: the margin; the distance to the nearest labelled or chosen image; typicality.
    """

    path: str
    predicted: str
    second: str
    probability: float
    margin: float
    distance: float
    value: float


@dataclass(frozen=True, repr=False)
class LabelNext:
    """Images to label next.

    Attributes:
        run: name of the run.
        method: how they were chosen.
        pool: different unlabelled images to choose from.
        copies: files that are copies of the run's images or of each other, and left out.
        images: the chosen ones, in the order of the choice.
        labelled: training images of the run.
        gain: what as many random images of the same kind would add to accuracy, by the learning curve.
        confidence: level of its interval.
        fine_tuned: whether the backbone was fine-tuned, so that no learning curve can be drawn from its features.
    """

    run: str
    method: SelectionMethod
    pool: int
    copies: int
    images: tuple[Candidate, ...]
    labelled: int
    gain: Estimate
    confidence: float
    fine_tuned: bool = False

    def table(self) -> pd.DataFrame:
        """Return the images as a data frame, as `tlkit label-next RUN FOLDER --out` writes it, with an empty label."""
        frame = pd.DataFrame([to_plain(one) for one in self.images])
        frame.insert(1, "label", "")
        return frame

    def tables(self) -> tuple[Table, ...]:
        """Return the table for readers; its notes say what the labels would bring."""
        return label_next_tables(self)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values; `from_dict` reads them back."""
        return {"format_version": FORMAT_VERSION, **to_plain(self)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> LabelNext:
        """Read what `to_dict` wrote.

        Raises:
            DataError: a newer tlkit wrote it.
        """
        refuse_newer("This list of images was", values["format_version"], known=FORMAT_VERSION, error=DataError)
        return from_plain(cls, values)

    def __repr__(self) -> str:
        return f"LabelNext({len(self.images)} of {self.pool} images by {self.method})"

    def _repr_html_(self) -> str:
        """Return what a notebook shows."""
        return to_html(self.tables())
