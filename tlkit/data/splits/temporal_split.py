"""When images were taken, and which are the latest."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from tlkit.errors import DataError, first_few


def times_of(values: pd.Series[str], *, name: str) -> npt.NDArray[np.float64]:
    """Return texts as points in time, shape (N,): plain numbers as they are, else dates in seconds since 1970.

    Args:
        values: numbers, or dates in ISO 8601 such as 2024-05-31 or 2024-05-31T12:00:00Z; dates without a zone are UTC.
        name: the column, for messages.

    Raises:
        DataError: a value is missing or is neither; the message shows some.

    Example:
        >>> times_of(pd.Series(["1970-01-02", "1970-01-01T00:00:01Z"]), name="taken").tolist()
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


def hold_out_latest(times: npt.NDArray[np.float64], *, wanted: float) -> npt.NDArray[np.bool_]:
    """Choose the latest images, shape (N,): the number nearest to `wanted` that keeps equal times together.

    At least the images of one point in time are chosen, and those of the earliest never are.

    Args:
        times: shape (N,); NaN where an image cannot be chosen.
        wanted: number of images, above 0.

    Example:
        >>> hold_out_latest(np.array([3.0, 1.0, 2.0, 3.0, np.nan]), wanted=1).tolist()
        [True, False, False, True, False]
    """
    points, counts = np.unique(times[~np.isnan(times)], return_counts=True)
    if len(points) < 2:
        return np.zeros(len(times), dtype=bool)
    later = counts[::-1].cumsum()[::-1]  # images at this point or after it
    first = 1 + int(np.argmin(np.abs(later[1:] - wanted)))
    return np.asarray(times >= points[first], dtype=bool)
