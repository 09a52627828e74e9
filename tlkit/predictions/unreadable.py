"""`Unreadable`: an image without a prediction. A module of its own, since naming one needs no pandas."""

from __future__ import annotations

from typing import NamedTuple

ERROR = "error"
"""The column with the reason, in tables of predictions."""


class Unreadable(NamedTuple):
    """An image without a prediction.

    Attributes:
        row: its place among the images that were to be predicted, from 0.
        path: its path.
        reason: why it could not be read.
    """

    row: int
    path: str
    reason: str
