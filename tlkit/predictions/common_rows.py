"""The images that several models predicted, by path."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tlkit.arrays import Ints
from tlkit.errors import PredictionsError, first_few
from tlkit.spelling import match_paths


@dataclass(frozen=True)
class CommonRows:
    """Where the images that all models predicted stand in their tables.

    Attributes:
        paths: of these images, in the order and spelling of the first model.
        rows: of each model, by its name, the rows of these images, shape (M,).
        left_out: images that not every model predicted.
    """

    paths: list[str]
    rows: dict[str, Ints]
    left_out: int


def common_rows(paths: Mapping[str, npt.NDArray[np.str_]]) -> CommonRows:
    """Return the images that all models predicted; other spellings of a path match (`match_paths`).

    Args:
        paths: of the images of each model, by its name, two models or more.

    Raises:
        PredictionsError: no image is common to all.

    Example:
        >>> found = common_rows({"a": np.array(["x.jpg", "y.jpg"]), "b": np.array(["z.jpg", "y.jpg"])})
        >>> found.paths, found.rows["b"].tolist(), found.left_out
        (['y.jpg'], [1], 2)
    """
    (first_name, first), *others = ((name, one.tolist()) for name, one in paths.items())
    rows = {first_name: {path: row for row, path in enumerate(first)}}
    for name, own in others:
        named = match_paths(own, first)
        rows[name] = {named.get(path, path): row for row, path in enumerate(own)}
    common = [path for path in first if all(path in known for known in rows.values())]
    if not common:
        seen = "; ".join(f"{name} has {first_few(one.tolist(), most=2)}" for name, one in paths.items())
        raise PredictionsError(
            f"{first_few(list(paths))} have no image in common: {seen}. Predict the same images with every model, "
            "under the same paths."
        )
    left_out = len(set().union(*rows.values())) - len(common)
    return CommonRows(
        common, {name: np.array([known[path] for path in common]) for name, known in rows.items()}, left_out
    )
