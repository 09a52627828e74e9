"""Reads YAML node by node: plain values with their places; ambiguous values of YAML 1.1 are reported as problems."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from tlkit.errors import RecipeError
from tlkit.recipe.yaml_syntax import explain_syntax

KeyPath = tuple[str | int, ...]

MOST_LEVELS, MOST_VALUES = 32, 100_000
AFTER_THE_FILE = 1_000_000_000  # overrides sort after every line of a file

_EXPONENT = re.compile(r"([-+]?)(\d[\d_]*(?:\.\d*)?|\.\d+)[eE]([-+]?)(\d+)")
_PLAIN_NAME = re.compile(r"[A-Za-z_][\w-]*")
_TAG = "tag:yaml.org,2002:"


@dataclass(frozen=True)
class Spot:
    """The place where a value was written.

    Attributes:
        where: "recipes/pets.yaml:14" or "override data.batch_size=64".
        order: sort key: the line in the file, or a larger number for overrides.
        text: the scalar as written; None for a list or mapping.
        quoted: the scalar stands in quotes or in a text block.
        key: the dotted key as the user wrote it, where that differs from the value's path.
    """

    where: str
    order: int
    text: str | None = None
    quoted: bool = False
    key: str | None = None


@dataclass(frozen=True)
class Problem:
    """One problem: the sort key of its place, the place as text, and the message."""

    order: int
    where: str
    text: str

    def __str__(self) -> str:
        return f"{self.where}  {self.text}"


@dataclass
class Document:
    """Plain values, the place of each, and the problems found so far.

    Attributes:
        source: name of the file, or the override as written.
        value: dicts, lists and scalars.
        spots: place by path, such as `("data", "background", 1)`; the root is `()`.
        problems: the problems found so far.
        faulty: paths whose value has been reported already.
    """

    source: str
    value: Any = None
    spots: dict[KeyPath, Spot] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    faulty: set[KeyPath] = field(default_factory=set)

    def report(self, path: KeyPath, text: str) -> None:
        """Add a problem at the place of `path`, or of its nearest enclosing key, and mark the value as faulty."""
        spot = self.spot(path)
        self.problems.append(Problem(spot.order, spot.where, text))
        self.faulty.add(path)

    def spot(self, path: KeyPath) -> Spot:
        """Return the place of `path`, or of its nearest enclosing key."""
        for end in range(len(path), -1, -1):
            if path[:end] in self.spots:
                return self.spots[path[:end]]
        return Spot(self.source, 0)

    def messages(self) -> list[str]:
        """Return the problems as texts, in the order of their places, each once."""
        return list(dict.fromkeys(map(str, sorted(self.problems, key=lambda problem: problem.order))))


def dotted(path: KeyPath) -> str:
    """Return a path as users write it; the empty path is "the recipe".

    Example:
        >>> dotted(("augment", "transforms", 0, "name")), dotted(("train", "class_weights", "my cat"))
        ('augment.transforms[0].name', "train.class_weights.'my cat'")
    """
    parts = [
        f"[{step}]" if isinstance(step, int) else f".{step if _PLAIN_NAME.fullmatch(step) else repr(step)}"
        for step in path
    ]
    return "".join(parts).lstrip(".") or "the recipe"


def read_yaml(text: str, *, source: str, override: tuple[KeyPath, int] | None = None) -> Document:
    """Return YAML text as plain values with their places.

    Args:
        text: the YAML text.
        source: name of the file, or the override as written; every message begins with it.
        override: for the value of an override: the path that it sets, and its position among the overrides.

    Raises:
        RecipeError: the text is not YAML; smaller problems are listed in the result.
    """
    reader = _Reader(source, override)
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        if node is not None:
            reader.document.value = reader.read(node, reader.root, line=node.start_mark.line + 1)
        else:
            reader.place(reader.root, line=1, text="")
    except yaml.YAMLError as error:
        line, problem = explain_syntax(error, text)
        raise RecipeError(str(Problem(line, reader.where(line), problem))) from None
    except (RecursionError, _TooMuchError) as error:
        what = str(error) if isinstance(error, _TooMuchError) else f"nests more than {MOST_LEVELS} levels deep"
        raise RecipeError(
            f"{source}  {what}. Write the keys of a recipe two or three levels deep, without aliases."
        ) from None
    return reader.document


_safe = yaml.constructor.SafeConstructor()
_CONSTRUCT: dict[str, Callable[[ScalarNode], Any]] = {
    "int": _safe.construct_yaml_int,
    "float": _safe.construct_yaml_float,
    "bool": _safe.construct_yaml_bool,
    "null": _safe.construct_yaml_null,
}


class _TooMuchError(Exception):
    """The text has too many levels or, through aliases, too many values."""


class _Reader:
    """Walks the nodes of one YAML text."""

    def __init__(self, source: str, override: tuple[KeyPath, int] | None) -> None:
        self.document = Document(source)
        self.is_override = override is not None
        self.root, self.rank = override if override is not None else ((), 0)
        self.count = 0

    def where(self, line: int) -> str:
        return self.document.source if self.is_override else f"{self.document.source}:{line}"

    def place(self, path: KeyPath, *, line: int, text: str | None = None, quoted: bool = False) -> None:
        """Store where and how the value of a path was written."""
        self.document.spots[path] = Spot(self.where(line), self.order(line), text, quoted)

    def order(self, line: int) -> int:
        return AFTER_THE_FILE + self.rank if self.is_override else line

    def read(self, node: Node, path: KeyPath, *, line: int) -> Any:
        """Return the value of a node that belongs to the key or list item on `line`."""
        self.count += 1
        if self.count > MOST_VALUES:
            raise _TooMuchError(f"grows to more than {MOST_VALUES:,} values through its aliases")
        if len(path) > MOST_LEVELS:
            raise _TooMuchError(f"nests more than {MOST_LEVELS} levels deep")
        if isinstance(node, ScalarNode):
            self.place(path, line=line, text=node.value, quoted=node.style is not None)
            return self._scalar(node, path)
        self.place(path, line=line)
        if isinstance(node, SequenceNode) and node.tag == f"{_TAG}seq":
            return [
                self.read(item, (*path, index), line=item.start_mark.line + 1) for index, item in enumerate(node.value)
            ]
        if isinstance(node, MappingNode) and node.tag == f"{_TAG}map":
            return self._mapping(node, path)
        return self._foreign_tag(node, path)

    def _mapping(self, node: MappingNode, path: KeyPath) -> dict[str, Any]:
        values: dict[str, Any] = {}
        lines: dict[str, int] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            key = self._key(key_node, path, line)
            if key is None:
                continue
            if key in lines:
                both = f"line {line}" if lines[key] == line else f"lines {lines[key]} and {line}"
                self._report(line, f"{dotted((*path, key))} is set twice, on {both}. Keep one of them.")
                continue
            lines[key] = line
            values[key] = self.read(value_node, (*path, key), line=line)
        return values

    def _key(self, node: Node, path: KeyPath, line: int) -> str | None:
        """Return a key as text; report a key that YAML reads as another type."""
        if not isinstance(node, ScalarNode):
            self._report(line, "a list or mapping stands where a key belongs. Use a single word as the key.")
            return None
        if node.tag == f"{_TAG}merge":
            self._report(line, "`<<` merges keys from elsewhere, which recipes do not support. Write the keys here.")
            return None
        key: str = node.value
        read_as = _not_text(node)
        if read_as:
            place = f" in {dotted(path)}" if path else ""
            self._report(line, f"the key `{key}`{place} is read by YAML as {read_as}. Quote it: {key!r}.")
        return key

    def _scalar(self, node: ScalarNode, path: KeyPath) -> Any:
        text: str = node.value
        tag = node.tag.removeprefix(_TAG)
        if tag in ("str", "value"):
            return self._text(text, path) if node.style is None else text
        if tag not in ("int", "float", "bool", "null", "timestamp", "merge"):
            return self._foreign_tag(node, path)
        if ambiguity := _ambiguity(tag, text):
            self.document.report(path, f"{dotted(path)} is `{text}`, {ambiguity}")
            return text
        try:
            value = _CONSTRUCT[tag](node)
        except (ValueError, KeyError, IndexError):
            self.document.report(path, f"{dotted(path)} is `{text}`, which cannot be read as {tag}. Remove the tag.")
            return text
        return self._finite(value, text, path) if isinstance(value, float) else value

    def _text(self, text: str, path: KeyPath) -> Any:
        """Return a plain scalar that YAML 1.1 reads as text; report a number such as 1e-3, which is such a text."""
        match = _EXPONENT.fullmatch(text)
        if match is None:
            return text
        value = float(text.replace("_", ""))
        if self.is_override or not math.isfinite(value):  # sweep agents write 1e-05
            return self._finite(value, text, path)
        fix = _with_point(match)
        self.document.report(
            path,
            f"{dotted(path)} is `{text}`, which YAML 1.1 reads as text. "
            f"Write {fix} for the number, or {text!r} for the text.",
        )
        return value

    def _finite(self, value: float, text: str, path: KeyPath) -> float:
        if not math.isfinite(value):
            self.document.report(path, f"{dotted(path)} is `{text}`, which is not a finite number. Use a finite one.")
        return value

    def _foreign_tag(self, node: Node, path: KeyPath) -> None:
        tag = node.tag.replace(_TAG, "!!")
        self.document.report(path, f"{dotted(path)} carries the YAML tag {tag}. Remove the tag.")

    def _report(self, line: int, text: str) -> None:
        self.document.problems.append(Problem(self.order(line), self.where(line), text))


def _with_point(match: re.Match[str]) -> str:
    """Return a number as YAML 1.1 requires it: with a point, and a sign of the exponent."""
    sign, mantissa, exponent_sign, exponent = match.groups()
    mantissa = mantissa.replace("_", "")
    if "." not in mantissa:
        mantissa += ".0"
    mantissa = f"0{mantissa}" if mantissa.startswith(".") else mantissa
    return f"{sign.replace('+', '')}{mantissa}e{exponent_sign or '+'}{exponent}"


def _ambiguity(tag: str, text: str) -> str | None:
    """Return what YAML 1.1 reads a number or date as, and the remedy, where that differs from its look; else None."""
    read_as = {"timestamp": "which YAML reads as a date", "merge": "a sign that YAML reserves"}.get(tag)
    if tag in ("int", "float") and ":" in text:
        read_as = "which YAML 1.1 reads as a number in base 60"
    if read_as is not None:
        return f"{read_as}. Quote it: {text!r}."
    if tag == "int" and re.fullmatch(r"[-+]?0[0-7_]+", text):
        plain = str(int(text.replace("_", ""), base=10))
        return f"which YAML 1.1 reads as an octal number. Write {plain} for the number, or {text!r} for the text."
    return "a number with more than 400 digits. Use a shorter one." if len(text) > 400 else None


def _not_text(node: ScalarNode) -> str | None:
    """Return the type that YAML reads a plain key as, where that is not text; else None."""
    if node.style is not None:
        return None
    tag = node.tag.removeprefix(_TAG)
    if tag == "str":
        return "a number in some readers and text in others" if _EXPONENT.fullmatch(node.value) else None
    kinds = {"bool": "true or false", "int": "a number", "float": "a number", "null": "null", "timestamp": "a date"}
    return kinds.get(tag)
