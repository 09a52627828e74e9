"""Temporal splits: points in time from text, and the latest images."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from tlkit.errors import DataError, first_few


def parse_times(values: pd.Series[str], *, name: str) -> npt.NDArray[np.float64]:
    """Return texts as points in time, shape (N,): plain numbers as they are, else dates in seconds since 1970.

    Args:
        values: numbers, or dates in ISO 8601 such as 2024-05-31 or 2024-05-31T12:00:00Z; dates without a zone are UTC.
        name: the column, for messages.

    Raises:
        DataError: a value is missing or neither number nor date; the message shows some.

    Example:
        >>> parse_times(pd.Series(["1970-01-02", "1970-01-01T00:00:01Z"]), name="taken").tolist()
        [86400.0, 1.0]
    """
    numbers = pd.to_numeric(values, errors="coerce")
    if not numbers.notna().all():
        dates = pd.to_datetime(values, errors="coerce", utc=True, format="ISO8601")
        wrong = values[dates.isna()]
        if len(wrong):
            seen = ["(nothing)" if pd.isna(value) or not value else repr(value) for value in wrong]
            raise DataError(
                f"{len(wrong)} of {len(values)} images have no time in the column {name!r} ({first_few(seen)}). Use "
                "numbers, or dates such as 2024-05-31 or 2024-05-31T12:00:00Z, for every image."
            )
        numbers = (dates - pd.Timestamp(0, tz="UTC")) / pd.Timedelta(seconds=1)
    return numbers.to_numpy(dtype=np.float64)


def hold_out_latest(times: npt.NDArray[np.float64], *, count: float) -> npt.NDArray[np.bool_]:
    """Return which images are the latest, shape (N,): about `count` of them; equal times stay together.

    At least the images of the last point in time are chosen, and never those of the first.

    Args:
        times: shape (N,); NaN where an image cannot be chosen.
        count: number of images, above 0.

    Example:
        >>> hold_out_latest(np.array([3.0, 1.0, 2.0, 3.0, np.nan]), count=1).tolist()
        [True, False, False, True, False]
    """
    points, counts = np.unique(times[~np.isnan(times)], return_counts=True)
    if len(points) < 2:
        return np.zeros(len(times), dtype=bool)
    later = counts[::-1].cumsum()[::-1]  # images at this point or after it
    first = 1 + int(np.argmin(np.abs(later[1:] - count)))
    return np.asarray(times >= points[first], dtype=bool)
