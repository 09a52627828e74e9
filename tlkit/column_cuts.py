"""Ways to cut a column into groups, and their text form, such as "age:quantiles=4"."""

from __future__ import annotations

import re
from typing import Any, Literal, get_args

Cut = Literal["bins", "quantiles", "order", "separator"]
CUTS: tuple[Cut, ...] = get_args(Cut)
EXAMPLES = {"bins": "18,65", "quantiles": "4", "order": "small,medium,large", "separator": ";"}


def parse_cut(text: str) -> dict[str, Any] | None:
    """Return a column and its cut as a mapping, or None where a text names a column alone.

    A name may hold colons: only "bins=", "quantiles=", "order=" or "separator=" after the last one is a cut.

    Raises:
        ValueError: the cut cannot be read; the message says how to write it, and begins with the text.

    Example:
        >>> parse_cut("age:bins=18,65")
        {'column': 'age', 'bins': (18.0, 65.0)}
        >>> parse_cut("camera: left")
    """
    match = re.fullmatch(rf"(.+):({'|'.join(CUTS)})=(.*)", text, flags=re.DOTALL)
    if match is None:
        return None
    column, cut, given = match.groups()
    parts = tuple(part.strip() for part in given.split(","))
    try:
        match cut:
            case "separator" if given:
                return {"column": column, cut: given}
            case "order" if all(parts):
                return {"column": column, cut: parts}
            case "quantiles":
                return {"column": column, cut: int(given)}
            case "bins":
                return {"column": column, cut: tuple(float(part) for part in parts)}
    except ValueError:
        pass
    raise ValueError(f"{text!r}, which is no cut of {column}. Write it like {column}:{cut}={EXAMPLES[cut]}.")
