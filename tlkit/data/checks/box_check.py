"""The check of all boxes before training: each shows a part of its image."""

from __future__ import annotations

import pandas as pd

from tlkit.box_labels import boxes_in
from tlkit.errors import DataError, first_few
from tlkit.samples import LABEL, PATH, Samples


def check_boxes(samples: Samples, sizes: pd.DataFrame) -> None:
    """Check that each box lies on its image, at least in part.

    Args:
        samples: readable images with their boxes.
        sizes: `height` and `width` of each upright image by path, in pixels.

    Raises:
        DataError: some boxes do not; the first are named, and their number.
    """
    wrong = []
    for path, text in zip(samples.table[PATH], samples.table[LABEL], strict=True):
        height, width = sizes.loc[path, ["height", "width"]]
        wrong += [
            f"{path} ({one.name} at {one.left:g}, {one.top:g}; the image is {width}x{height})"
            for one in boxes_in(text)
            if not (one.left < width and one.top < height and one.left + one.width > 0 and one.top + one.height > 0)
        ]
    if wrong:
        raise DataError(
            f"{len(wrong)} boxes lie outside of their images: {first_few(wrong)}. A box is left, top, width and height "
            "in pixels of the upright image, not shares of its sides."
        )
