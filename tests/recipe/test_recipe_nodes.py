"""YAML's own traps: what it reads otherwise than it looks, what it lets pass in silence, and what it cannot read."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tlkit.errors import RecipeError
from tlkit.recipe.nodes import read_yaml


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
        ("a: 1e-3", "a is `1e-3`, which YAML 1.1 reads as text. Write 1.0e-3 for the number, or '1e-3' for the text."),
        ("a: 5E3", "a is `5E3`, which YAML 1.1 reads as text. Write 5.0e+3 for the number, or '5E3' for the text."),
        ("a: -2.5e3", "a is `-2.5e3`, which YAML 1.1 reads as text. "
         "Write -2.5e+3 for the number, or '-2.5e3' for the text."),
        ("a: 010", "a is `010`, which YAML 1.1 reads as an octal number. "
         "Write 10 for the number, or '010' for the text."),
        ("a: -0_17", "a is `-0_17`, which YAML 1.1 reads as an octal number. "
         "Write -17 for the number, or '-0_17' for the text."),
        ("a: 1:30", "a is `1:30`, which YAML 1.1 reads as a number in base 60. Quote it: '1:30'."),
        ("a: 2024-01-31", "a is `2024-01-31`, which YAML reads as a date. Quote it: '2024-01-31'."),
        ("a: .nan", "a is `.nan`, which is no finite number. Use a finite one."),
        ("a: [1, -.inf]", "a[1] is `-.inf`, which is no finite number. Use a finite one."),
        ("a: 1e999", "a is `1e999`, which is no finite number. Use a finite one."),
        ("a: {no: 1}", "the key `no` in a is read by YAML as true or false. Quote it: 'no'."),
        ("on: 1", "the key `on` is read by YAML as true or false. Quote it: 'on'."),
        ("a: {0: 1}", "the key `0` in a is read by YAML as a number. Quote it: '0'."),
        ("a: {null: 1}", "the key `null` in a is read by YAML as null. Quote it: 'null'."),
        ("a: {1e3: 1}", "the key `1e3` in a is read by YAML as a number in some readers and text in others. "
         "Quote it: '1e3'."),
        ("? [a, b]\n: 1", "a list or mapping stands where a key belongs. Use a single word as the key."),
        ("a: !!python/object:os.system x", "a carries the YAML tag !!python/object:os.system. Remove the tag."),
        ("a: !mine {b: 1}", "a carries the YAML tag !mine. Remove the tag."),
        ("a: !!int five", "a is `five`, which cannot be read as int. Remove the tag."),
        ("a: &x {b: 1}", None),
        ("a: {<<: {b: 1}}", "`<<` merges keys from elsewhere, which recipes do not do. Write the keys out here."),
        ("a: {b: 1, b: 2}", "a.b is set twice, on line 1. Keep one of them."),
    ],
)  # fmt: skip
def test_a_trap_of_yaml_is_named_with_its_remedy(text: str, expected: str | None) -> None:
    assert said(text) == ([f"r.yaml:1  {expected}"] if expected else [])


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(mantissa=st.from_regex(r"[0-9]{1,3}(\.[0-9]{0,3})?", fullmatch=True), exponent=st.integers(-30, 30))
def test_the_number_suggested_for_an_exponent_is_the_number_meant(mantissa: str, exponent: int) -> None:
    written = f"{mantissa}e{exponent}"
    messages = said(f"a: {written}")
    if isinstance(yaml.safe_load(written), str):
        suggestion = messages[0].split("Write ")[1].split(" for ")[0]
        assert yaml.safe_load(suggestion) == float(written)
    else:
        assert messages == []


def test_duplicate_keys_name_both_lines() -> None:
    assert said("a: 1\nb:\n  c: 1\n  d: 2\n  c: 3\na: 2\n") == [
        "r.yaml:5  b.c is set twice, on lines 3 and 5. Keep one of them.",
        "r.yaml:6  a is set twice, on lines 1 and 6. Keep one of them.",
    ]


@pytest.mark.parametrize(
    ("text", "line", "expected"),
    [
        ("a:\n\tb: 1", 2, "a tab stands here, where YAML knows spaces only. Use spaces."),
        ("a:\n  b:1\n  c: 2", 2, "a space is missing after the colon. Write `b: 1`."),
        ("a: b: c", 1, "a second colon stands in this line. "
         "Put the value in quotes, or break the line after the first."),
        ("a: 1\n  b: 2", 2, "this line is indented deeper than line 1, which has a value already. Indent both alike."),
        ("a:\n  b: 1\n c: 2", 3, "this line is indented differently from the lines it belongs to. "
         "Indent the keys of one section alike."),
        ("a:\n  b\n  c: 2", 2, "`b` has no colon after it. Write `b:`, and its value or keys behind it."),
        ("a\nb: 1", 1, "`a` has no colon after it. Write `a:`, and its value or keys behind it."),
        ("a b\nc: 1", 2, "a key stands where the value of line 1 goes on. Give that line a colon, or close it."),
        ("a: 0\nb\n  c: 1", 2, "a key has no colon after it. Write it as `key: value`."),
        ("a: {b: 1\nc: 2", 2, "the bracket that opens on line 1 is not closed with `}`. "
         "Close it, or put commas between its parts."),
        ("a: [1, 2\nc: 2", 2, "the bracket that opens on line 1 is not closed with `]`. "
         "Close it, or put commas between its parts."),
        ("a: [", 1, "the text ends before the bracket on line 1 is closed. Close it."),
        ("a: 'b\nc: 1\nd: 2", 1, "the quote that opens on line 1 is not closed. Close it."),
        ("a: 'it's'", 1, "text follows a value that is complete. Put the whole value in one pair of quotes."),
        ('a: "C:\\data"', 1, "`\\d` means nothing in double quotes. Use single quotes, or / between folders."),
        ("a: @b", 1, "a value begins with '@', a sign of YAML's own. Put the value in quotes."),
        ("a: *b", 1, "the alias *b has no anchor &b before it. Write the value out."),
        ("a: &b 1\nc: &b 2", 2, "the anchor &b is defined twice. Keep one of them."),
        ("a: 1\n---\nb: 2", 2, "a second document begins here. "
         "Keep one recipe per file, without a line --- between its parts."),
        ("a: - 1", 1, "a list begins behind a key. Put `- ` on a new line, or use [a, b]."),
        ("a: ]", 1, "a value is missing here, or a bracket is closed that was not opened."),
        ("a: 1\nb: \x01", 2, "the character U+0001 cannot stand in a recipe. Remove it."),
        ("a: 1\n%b: 2", 2, "cannot be read as YAML: expected alphabetic or numeric character, but found ':'. "
         "Compare the line with the recipes that come with tlkit."),
    ],
)  # fmt: skip
def test_a_syntax_error_is_told_by_line_and_remedy(text: str, line: int, expected: str) -> None:
    assert said(text) == [f"r.yaml:{line}  {expected}"]


def test_aliases_that_multiply_or_turn_in_circles_are_refused() -> None:
    bomb = "a: &a [1,1,1,1,1,1,1,1,1,1]\n"
    for before, name in zip("abcdefgh", "bcdefghi", strict=True):
        bomb += f"{name}: &{name} [{','.join([f'*{before}'] * 10)}]\n"
    assert said(bomb) == [
        "r.yaml  grows to more than 100,000 values through its aliases. "
        "Write a recipe's keys out, two or three levels deep."
    ]
    too_deep = ["r.yaml  nests more than 32 levels deep. Write a recipe's keys out, two or three levels deep."]
    assert said("a: &a [*a]") == too_deep
    assert said("a: " + "[" * 40 + "]" * 40) == too_deep
    assert said("a: " + "[" * 1000) == too_deep
