"""The true boxes of an image as text, which is its label in a table of samples."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from typing import NamedTuple


class BoxLabel(NamedTuple):
    """A true box.

    Attributes:
        name: category.
        left: in pixels of the upright image, as top, width and height.
        top: from the upper edge.
        width: 0 or more.
        height: 0 or more.
        crowd: whether it stands for many objects, which are neither trained nor missed.
    """

    name: str
    left: float
    top: float
    width: float
    height: float
    crowd: bool = False


def boxes_text(boxes: Iterable[BoxLabel]) -> str:
    """Return boxes as the text of a label; `boxes_in` reads it back.

    Example:
        >>> boxes_text([BoxLabel("cat", 1, 2, 30, 40)])
        '[["cat", 1, 2, 30, 40, 0]]'
        >>> boxes_in(boxes_text([])), boxes_in('[["cat", 1, 2, 30, 40, 0]]')[0].width
        ((), 30.0)
    """
    return json.dumps([[*one[:5], int(one.crowd)] for one in boxes], ensure_ascii=False)


def boxes_in(text: str) -> tuple[BoxLabel, ...]:
    """Return the boxes in the text of a label.

    Raises:
        ValueError: the text holds no boxes.
    """
    found = []
    values = json.loads(text)
    if not isinstance(values, list):
        raise ValueError("it is no list of boxes")
    for one in values:
        if not isinstance(one, list) or len(one) != 6 or not isinstance(one[0], str):
            raise ValueError(f"{str(one)[:80]} is no box")
        left, top, width, height = map(float, one[1:5])
        if not all(map(math.isfinite, (left, top, width, height))) or width < 0 or height < 0:
            raise ValueError(f"{str(one)[:80]} is no box")
        found.append(BoxLabel(one[0], left, top, width, height, bool(one[5])))
    return tuple(found)
