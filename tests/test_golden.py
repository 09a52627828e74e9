"""Frozen figures: what the library computes from fixed inputs agrees with `tests/golden/*.json`.

`tests/golden/make_golden.py` makes the inputs and wrote the files; a figure that changes on purpose is recorded by
running it again. That a run that was stopped and resumed ends with the bits of one that never stopped is tested in
`tests/training/test_kills.py` and `test_resume.py`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any

import pytest
from golden.make_golden import CASES, HERE
from threadpoolctl import threadpool_limits

RELATIVE = {"features": 1e-6, "training": 0.0}
"""Relative tolerance by case, 1e-9 for the others: the solvers behind the features iterate."""
ABSOLUTE = {"features": 2e-4, "training": 2e-3, "images": 3.0}
"""Absolute tolerance by case, 1e-12 for the others: processors differ in the last digits, and epochs add them up; a
solver that iterates stops one step sooner or later; means of blocks of warped pixels, of 255, differ by up to one
level."""


def leaves(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    """Yield (path, value) of everything that is no container; a list also yields its length."""
    if isinstance(value, dict):
        for key, one in value.items():
            yield from leaves(one, (*path, key))
    elif isinstance(value, list):
        yield (*path, "length"), len(value)
        for place, one in enumerate(value):
            yield from leaves(one, (*path, place))
    else:
        yield path, value


def agrees(frozen: Any, found: Any, *, relative: float, absolute: float) -> bool:
    """Whether a figure is as frozen: numbers with a fraction within the tolerance, everything else exactly."""
    if isinstance(frozen, float) and isinstance(found, (int, float)) and not isinstance(found, bool):
        return math.isclose(frozen, found, rel_tol=relative, abs_tol=absolute)
    return type(frozen) is type(found) and frozen == found


@pytest.mark.parametrize("case", CASES)
def test_figures_are_as_frozen(case):
    frozen = dict(leaves(json.loads((HERE / f"{case}.json").read_text(encoding="utf-8"))))
    with threadpool_limits(1):  # sums of several threads differ in the last digit, which decides ties
        found = dict(leaves(json.loads(json.dumps(CASES[case]()))))
    relative, absolute = RELATIVE.get(case, 1e-9), ABSOLUTE.get(case, 1e-12)
    different = {
        ".".join(map(str, path)): (value, found.get(path))
        for path, value in frozen.items()
        if not agrees(value, found.get(path), relative=relative, absolute=absolute)
    }
    assert len(frozen) > 10
    assert different == {}


def test_a_changed_figure_is_told():
    frozen = dict(leaves({"rows": [{"value": 0.5, "n": 3, "verdict": "PASS"}]}))
    for change in ({"value": 0.5 + 1e-6}, {"n": 4}, {"verdict": "FAIL"}):
        found = dict(leaves({"rows": [{"value": 0.5, "n": 3, "verdict": "PASS"} | change]}))
        assert [path for path in frozen if not agrees(frozen[path], found[path], relative=1e-9, absolute=1e-12)]
