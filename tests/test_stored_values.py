"""Values stored as JSON: bounded in size, depth and range, and of the types that a result declares."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from messages import says

from tlkit.errors import PredictionsError, RunError
from tlkit.stored_values import build_stored, damaged, parse_json, read_json

PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63) + 1, 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(PLAIN)
def test_what_json_writes_is_read_back(value):
    assert parse_json(json.dumps(value)) == value


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        '{"a":' * 100 + "1" + "}" * 100,
        "NaN",
        '{"a": -Infinity}',
        "1e400",
        str(10**21),
        "-1" + 5000 * "0",
        '"\\ud800',
        "",
        "{} x",
        b"\xff",
    ],
)
def test_what_is_no_json_or_out_of_range_is_a_value_error(text):
    with pytest.raises(ValueError, match=r"\S"):
        parse_json(text)


@dataclass(frozen=True)
class Part:
    rate: float | None
    kind: Literal["a", "b"]


@dataclass(frozen=True)
class Whole:
    name: str
    n: int
    pair: tuple[int, str]
    parts: tuple[Part, ...]
    by: Mapping[str, float]

    @classmethod
    def read(cls, values: Mapping[str, Any]) -> Whole:
        parts = tuple(Part(**one) for one in values["parts"])
        return cls(**{**values, "pair": tuple(values["pair"]), "parts": parts})


SOUND = Whole("x", 3, (1, "y"), (Part(0.5, "a"), Part(None, "b")), {"z": 1.0})


def built(values):
    return build_stored(Whole.read, values, path="runs/a/audit.json", error=RunError, remedy="Fit again.")


def test_a_result_of_the_declared_types_is_returned():
    assert built(json.loads(json.dumps(asdict(SOUND)))) == SOUND


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("name", 3),
        ("name", None),
        ("n", "3"),
        ("n", True),
        ("n", 0.5),
        ("pair", [1]),
        ("pair", ["y", 1]),
        ("parts", 3),
        ("parts", [{"rate": "x", "kind": "a"}]),
        ("parts", [{"rate": 0.5, "kind": "c"}]),
        ("parts", [{"rate": 0.5}]),
        ("by", {"z": []}),
        ("by", []),
        ("more", 1),
    ],
)
def test_a_field_of_another_type_names_the_file_and_the_remedy(key, value):
    with pytest.raises(RunError) as caught:
        built({**asdict(SOUND), key: value})
    assert says(caught.value, "runs/a/audit.json", "damaged", "Fit again")


def test_an_error_about_the_user_s_input_gets_the_name_of_the_file_where_it_lacks_it():
    for said in ("It was written by a newer tlkit.", "runs/a/audit.json was written by a newer tlkit."):
        with pytest.raises(PredictionsError) as caught, damaged("runs/a/audit.json", error=RunError, remedy=""):
            raise PredictionsError(said)
        assert str(caught.value).count("runs/a/audit.json") == 1


def test_a_file_that_is_too_large_is_not_read(tmp_path, monkeypatch):
    file = tmp_path / "a.json"
    file.write_text(json.dumps({"a": math.pi}))
    assert read_json(file, error=RunError, remedy="") == {"a": math.pi}
    monkeypatch.setattr("tlkit.stored_values.MOST_BYTES", 4)
    with pytest.raises(RunError, match="larger"):
        read_json(file, error=RunError, remedy="")
