"""The true boxes of an image as text, which is its label in a table of samples."""

from __future__ import annotations

import json
import math
from collections.abc import Container, Hashable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple


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


def why_no_box(
    one: Any, images: Container[Any], categories: Container[Any], *, numbers: Sequence[str] = ()
) -> str | None:
    """Return what is wrong with an annotation or a result in COCO's format; None where it is a box.

    Args:
        one: the entry.
        images: known values of `image_id`.
        categories: known values of `category_id`.
        numbers: more keys that must hold numbers.

    Example:
        >>> why_no_box({"image_id": 1, "category_id": 7, "bbox": [0, 0, 9]}, {1}, {7})
        'bbox [0, 0, 9] is not four numbers'
        >>> why_no_box({"image_id": 4, "category_id": 7, "bbox": [0, 0, 9, 9]}, {1}, {7})
        'image_id 4 is not known'
        >>> why_no_box({"image_id": 1, "bbox": [0, 0, 9, 9]}, {1}, {7})
        'no category_id'
    """
    if not isinstance(one, Mapping):
        return f"{str(one)[:80]} is no mapping"
    if missing := [key for key in ("image_id", "category_id", "bbox", *numbers) if key not in one]:
        return f"no {missing[0]}"
    for key, known in (("image_id", images), ("category_id", categories)):
        if not isinstance(one[key], Hashable) or one[key] not in known:
            return f"{key} {str(one[key])[:80]} is not known"
    if (why := _why_no_rectangle(one["bbox"])) is not None:
        return why
    wrong = [key for key in numbers if _finite([one[key]]) is None]
    return f"{wrong[0]} {str(one[wrong[0]])[:80]} is no number" if wrong else None


def _why_no_rectangle(value: Any) -> str | None:
    box = _finite(value) if isinstance(value, list | tuple) else None
    if box is None or len(box) != 4:
        return f"bbox {str(value)[:80]} is not four numbers"
    return f"bbox {value} has a width or height below 0" if min(box[2:]) < 0 else None


def _finite(values: Sequence[Any]) -> list[float] | None:
    try:
        found = [float(value) for value in values]
    except (TypeError, ValueError, OverflowError):
        return None
    return found if all(map(math.isfinite, found)) else None


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
