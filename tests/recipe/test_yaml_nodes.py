"""Reading YAML: ambiguous values, duplicate keys and syntax errors, with line and remedy."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from messages import saying

from tlkit.errors import RecipeError
from tlkit.recipe.yaml_nodes import read_yaml


def said(text: str) -> list[str]:
    try:
        return [str(problem) for problem in read_yaml(text, source="r.yaml").problems]
    except RecipeError as error:
        return list(error.problems)


def test_values_come_with_the_lines_of_their_keys() -> None:
    document = read_yaml("a: 1\nb:\n  c: [x,\n    y]\n  d:\n    text\n", source="r.yaml")
    assert document.value == {"a": 1, "b": {"c": ["x", "y"], "d": "text"}}
    where = {path: spot.where for path, spot in document.spots.items()}
    assert where["a",] == "r.yaml:1"
    assert where["b", "c"] == where["b", "c", 0] == "r.yaml:3"
    assert where["b", "c", 1] == "r.yaml:4"
    assert where["b", "d"] == "r.yaml:5"


def test_values_are_those_of_the_safe_loader() -> None:
    text = "a: [1, 2.5, true, null, text, '1e-3', \"x\\ty\", 0x1F, 1_000, -0.5, 1.0e-3]\nb: {c: ~}\nd: |\n  e\n"
    assert read_yaml(text, source="r.yaml").value == yaml.safe_load(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: 1e-3", saying("1e-3", "YAML", "1.1", "1.0e-3", "'1e-3'")),
        ("a: 5E3", saying("5E3", "YAML", "1.1", "5.0e+3", "'5E3'")),
        ("a: -2.5e3", saying("-2.5e3", "YAML", "1.1", "-2.5e+3", "'-2.5e3'")),
        ("a: 010", saying("010", "YAML", "1.1", "10", "'010'")),
        ("a: -0_17", saying("-0_17", "YAML", "1.1", "-17", "'-0_17'")),
        ("a: 1:30", saying("1:30", "YAML", "1.1", "60", "'1:30'")),
        ("a: 2024-01-31", saying("2024-01-31", "YAML", "'2024-01-31'")),
        ("a: .nan", saying(".nan", "finite")),
        ("a: [1, -.inf]", saying("a[1]", "-.inf")),
        ("a: 1e999", saying("1e999", "finite")),
        ("a: {no: 1}", saying("no", "YAML", "'no'")),
        ("on: 1", saying("on", "YAML", "'on'")),
        ("a: {0: 1}", saying("0", "YAML", "'0'")),
        ("a: {null: 1}", saying("null", "YAML", "'null'")),
        ("a: {1e3: 1}", saying("1e3", "YAML", "'1e3'")),
        ("? [a, b]\n: 1", saying("mapping", "belongs")),
        ("a: !!python/object:os.system x", saying("YAML", "!!python/object:os.system")),
        ("a: !mine {b: 1}", saying("YAML", "!mine")),
        ("a: !!int five", saying("five", "Remove")),
        ("a: &x {b: 1}", None),
        ("a: {<<: {b: 1}}", saying("<<", "elsewhere")),
        ("a: {b: 1, b: 2}", saying("a.b", "1")),
    ],
)
def test_an_ambiguous_value_of_yaml_is_reported_with_its_remedy(text: str, expected: object) -> None:
    assert said(text) == ([saying("r.yaml:1", expected)] if expected else [])


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(mantissa=st.from_regex(r"[0-9]{1,3}(\.[0-9]{0,3})?", fullmatch=True), exponent=st.integers(-30, 30))
def test_the_number_suggested_for_an_exponent_has_the_same_value(mantissa: str, exponent: int) -> None:
    written = f"{mantissa}e{exponent}"
    messages = said(f"a: {written}")
    if isinstance(yaml.safe_load(written), str):
        suggestion = messages[0].split("Write ")[1].split(" for ")[0]
        assert yaml.safe_load(suggestion) == float(written)
    else:
        assert messages == []


def test_duplicate_keys_name_both_lines() -> None:
    assert said("a: 1\nb:\n  c: 1\n  d: 2\n  c: 3\na: 2\n") == [
        saying("r.yaml:5", "b.c", "3", "5"),
        saying("r.yaml:6", "1", "6"),
    ]


@pytest.mark.parametrize(
    ("text", "line", "expected"),
    [
        ("a:\n\tb: 1", 2, saying("YAML", "spaces")),
        ("a:\n  b:1\n  c: 2", 2, saying("b: 1", "missing")),
        ("a: b: c", 1, saying("second", "stands")),
        ("a: 1\n  b: 2", 2, saying("1", "indented")),
        ("a:\n  b: 1\n c: 2", 3, saying("indented", "differently")),
        ("a:\n  b\n  c: 2", 2, saying("b", "b:")),
        ("a\nb: 1", 1, saying("a", "a:")),
        ("a b\nc: 1", 2, saying("1", "stands")),
        ("a: 0\nb\n  c: 1", 2, saying("key: value", "colon")),
        ("a: {b: 1\nc: 2", 2, saying("1", "bracket")),
        ("a: [1, 2\nc: 2", 2, saying("1", "bracket")),
        ("a: [", 1, saying("1", "bracket")),
        ("a: 'b\nc: 1\nd: 2", 1, saying("1", "closed")),
        ("a: 'it's'", 1, saying("text", "complete")),
        ('a: "C:\\data"', 1, saying("\\d", "single")),
        ("a: @b", 1, saying("'@'", "begins")),
        ("a: *b", 1, saying("alias", "anchor")),
        ("a: &b 1\nc: &b 2", 2, saying("anchor", "defined")),
        ("a: 1\n---\nb: 2", 2, saying("second", "document")),
        ("a: - 1", 1, saying("- ", "begins")),
        ("a: ]", 1, saying("missing", "bracket")),
        ("a: 1\nb: \x01", 2, saying("U+0001", "character")),
        ("a: 1\n%b: 2", 2, saying("YAML", "':'")),
    ],
)
def test_a_syntax_error_is_reported_with_line_and_remedy(text: str, line: int, expected: object) -> None:
    assert said(text) == [saying(f"r.yaml:{line}", expected)]


def test_aliases_that_multiply_or_recur_are_refused() -> None:
    bomb = "a: &a [1,1,1,1,1,1,1,1,1,1]\n"
    for before, name in zip("abcdefgh", "bcdefghi", strict=True):
        bomb += f"{name}: &{name} [{','.join([f'*{before}'] * 10)}]\n"
    assert said(bomb) == [saying("r.yaml", "100,000")]
    too_deep = [saying("r.yaml", "32", "levels")]
    assert said("a: &a [*a]") == too_deep
    assert said("a: " + "[" * 40 + "]" * 40) == too_deep
    assert said("a: " + "[" * 1000) == too_deep
