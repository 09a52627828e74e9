"""Stored results with one field of another kind: read as an error that names the file, or as a result that is shown."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from measurements import made_benchmark, made_drift, made_robustness, made_unknown
from messages import says
from tables_of_predictions import predictions_of

import tlkit
from tlkit.audit.explain import explain_gaps
from tlkit.errors import RunError, TlkitError
from tlkit.evaluation import evaluate
from tlkit.stored_values import build_stored
from tlkit.tables.text import to_lines

JUNK: tuple[Any, ...] = (
    *(None, True, -1, 0, 1.5, 1e300, 10**18, "", "x", "\0"),
    *([], [1], [None], ["x"], [[1]], {}, {"x": 1}, {"x": None}),
)
NAMES = ("evaluation", "audit", "explanation", "slices", "robustness", "drift", "unknown", "benchmark")
TRIED = 20
"""Alterations of each result that `make test` tries, of 600 to 4,000."""


@pytest.fixture(scope="module")
def results() -> dict[str, Any]:
    light = np.where(np.arange(60) % 3 == 0, "night", "day")
    truth = np.arange(60) % 2
    predictions = predictions_of(truth, np.where(np.arange(60) % 7 == 0, 1 - truth, truth), light=light)
    return {
        "evaluation": evaluate(predictions),
        "audit": tlkit.audit_groups(predictions, by="light"),
        "explanation": explain_gaps(predictions, by="light"),
        "slices": tlkit.find_slices(predictions),
        "robustness": made_robustness(),
        "drift": made_drift(),
        "unknown": made_unknown(),
        "benchmark": made_benchmark(),
    }


def paths(value: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the place of every field, of lists the first entry."""
    if above:
        yield above
    inner = value.items() if isinstance(value, dict) else enumerate(value[:1]) if isinstance(value, list) else ()
    for key, one in inner:
        yield from paths(one, (*above, key))


def altered(values: Any, path: tuple[Any, ...], *new: Any) -> Any:
    """Return JSON values with one field replaced; without a new value it is removed."""
    values = copy.deepcopy(values)
    place = values
    for key in path[:-1]:
        place = place[key]
    if new:
        place[path[-1]] = new[0]
    else:
        del place[path[-1]]
    return values


def try_alterations(result: Any, most: int | None) -> None:
    values = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    tried = [(path, new) for path in paths(values) for new in (*((one,) for one in JUNK), ())]
    if most is not None:
        tried = random.Random(0).sample(tried, most)
    for path, new in tried:
        try:
            found = build_stored(
                type(result).from_dict,
                altered(values, path, *new),
                path=Path("runs/a/result.json"),
                error=RunError,
                remedy="Measure it again.",
            )
        except TlkitError as error:
            assert says(error, "result.json")
        else:
            assert list(to_lines(found.tables(), width=100)), (path, new)
            json.dumps(found.to_dict(), allow_nan=False)


@pytest.mark.parametrize("name", NAMES)
def test_an_altered_field_is_an_error_that_names_the_file_or_is_shown(results, name):
    try_alterations(results[name], TRIED)


@pytest.mark.series
@pytest.mark.parametrize("name", NAMES)
def test_every_field_of_every_result_may_be_altered(results, name):
    try_alterations(results[name], None)


@pytest.mark.parametrize(
    ("path", "new"),
    [
        (("columns", 0, "column"), "other"),
        (("group_tables", 0, "gap", "highest", 0), "none"),
        (("group_tables", 0, "rows"), ""),
    ],
)
def test_an_audit_that_contradicts_itself_is_refused(results, path, new):
    values = altered(json.loads(json.dumps(results["audit"].to_dict())), path, new)
    with pytest.raises(RunError) as caught:
        build_stored(type(results["audit"]).from_dict, values, path=Path("audit.json"), error=RunError, remedy="Again.")
    assert says(caught.value, "audit.json", "damaged", "Again")
