"""Reads values that were stored as JSON, within bounds: size, depth, range of the numbers, types of the fields."""

from __future__ import annotations

import json
import math
import re
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from tlkit.errors import TlkitError
from tlkit.input_files import refuse_pipe

T = TypeVar("T")

MOST_BYTES = 1 << 28
"""Largest JSON file, 256 MiB."""
MOST_LEVELS = 64
"""Deepest nesting of a JSON file."""
MOST_INTEGER = 2**63 - 1
"""Largest size of a whole number in a JSON file."""
DAMAGES = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    IndexError,
    KeyError,
    RecursionError,
    StopIteration,
    TypeError,
    ValueError,
)
"""What code raises that builds a result from values of another kind."""

_LARGE_NUMBER = re.compile(rb"\d{19}|[eE]\+?\d{3}")


def parse_json(content: bytes | str) -> Any:
    """Return the value of a JSON text.

    Raises:
        ValueError: it is not JSON in UTF-8, nests too deeply, or holds a number that is not finite or out of range.

    Example:
        >>> parse_json('{"n": 3}')
        {'n': 3}
        >>> parse_json("[" * 100_000)
        Traceback (most recent call last):
        ValueError: it nests more than 64 levels deep
    """
    data = content.encode() if isinstance(content, str) else content
    hooks: dict[str, Any] = {"parse_int": _integer, "parse_float": _number} if _LARGE_NUMBER.search(data) else {}
    try:
        value = json.loads(data.decode("utf-8"), parse_constant=_number, **hooks)
    except RecursionError:
        raise ValueError(f"it nests more than {MOST_LEVELS} levels deep") from None
    level = [value]
    for _ in range(MOST_LEVELS):
        level = (
            [
                inner
                for one in level
                for inner in (one.values() if isinstance(one, dict) else one)
                if isinstance(inner, dict | list)
            ]
            if isinstance(value, dict | list)
            else []
        )
        if not level:
            return value
    raise ValueError(f"it nests more than {MOST_LEVELS} levels deep")


def read_json(path: Path, *, error: type[TlkitError], remedy: str) -> dict[str, Any]:
    """Return the JSON object in a file.

    Args:
        path: the file.
        error: type of the error for a damaged file.
        remedy: what to do about a damaged file.

    Raises:
        TlkitError: the file is damaged, too large or no JSON object; of the type `error`.
        FileNotFoundError: there is no such file.
    """
    refuse_pipe(path, error=error)
    with damaged(path, error=error, remedy=remedy):
        if path.stat().st_size > MOST_BYTES:
            raise ValueError(f"it is larger than {MOST_BYTES >> 20} MiB")
        values = parse_json(path.read_bytes())
        if not isinstance(values, dict):
            raise ValueError("not a JSON object")
        return values


def build_stored(
    build: Callable[[Mapping[str, Any]], T], values: Any, *, path: Path, error: type[TlkitError], remedy: str
) -> T:
    """Return a result that is built from stored values, with every field of the type that it is declared with.

    Its tables are made once, too: fields of the right types can contradict each other, such as a group without a row.

    Args:
        build: makes the result, such as `Evaluation.from_dict`.
        values: the stored values.
        path: the file that they stand in, for messages.
        error: type of the error for damaged values.
        remedy: what to do about a damaged file.

    Raises:
        TlkitError: the values are not those of such a result; of the type `error`.
    """
    with damaged(path, error=error, remedy=remedy):
        result = build(values)
        check_types(result)
        tables = getattr(result, "tables", None)
        if tables is not None:
            tables()
        return result


@contextmanager
def damaged(path: Path, *, error: type[TlkitError], remedy: str) -> Iterator[None]:
    """Turn what damaged values raise in the block into an error that names the file and the remedy.

    An error about the user's input, such as a newer format, gets the file's name where it lacks it.
    """
    try:
        yield
    except TlkitError as problem:
        if str(path) in str(problem):
            raise
        raise type(problem)(*(f"{path}: {one}" for one in problem.problems)) from problem
    except DAMAGES as problem:
        shown = str(problem)[:200].replace("\n", " ")
        raise error(f"{path} is damaged ({type(problem).__name__}: {shown}). {remedy}") from problem


def check_types(value: Any) -> None:
    """Check that the fields of dataclasses, and of those inside them, have the types that they are declared with.

    Args:
        value: a dataclass, or a mapping or sequence of such.

    Raises:
        ValueError: a field has another type.
    """
    if not is_dataclass(value):
        for inner in value.values() if isinstance(value, Mapping) else value:
            check_types(inner)
        return
    kind: Any = type(value)
    for name, hint in _hints(kind).items():
        if not _conforms(getattr(value, name), hint):
            raise ValueError(f"{type(value).__name__}.{name} is {str(getattr(value, name))[:80]!r}")


@cache
def _hints(kind: type) -> dict[str, Any]:
    hints = get_type_hints(kind)
    return {field.name: hints[field.name] for field in fields(kind)}


def _conforms(value: Any, hint: Any) -> bool:
    origin, arguments = get_origin(hint), get_args(hint)
    kind = origin or hint
    fits = hint is Any or not isinstance(kind, type) or isinstance(value, kind)  # Any is a class since Python 3.11
    if origin in (Union, types.UnionType):
        fits = any(_conforms(value, one) for one in arguments)
    elif origin is Literal:
        fits = any(value == one and type(value) is type(one) for one in arguments)
    elif hint is float or hint is int:
        fits = isinstance(value, int if hint is int else int | float) and not isinstance(value, bool)
    elif fits and is_dataclass(value):
        check_types(value)
    elif fits and arguments and isinstance(value, Mapping):
        fits = all(_conforms(key, arguments[0]) and _conforms(one, arguments[1]) for key, one in value.items())
    elif fits and arguments and origin is tuple and arguments[-1] is not Ellipsis:
        fits = len(value) == len(arguments) and all(map(_conforms, value, arguments))
    elif fits and arguments and isinstance(value, Sequence):
        fits = not isinstance(value, str) and all(_conforms(one, arguments[0]) for one in value)
    return fits


def _integer(text: str) -> int:
    if len(text) > 20 or abs(int(text)) > MOST_INTEGER:
        raise ValueError(f"the number {text[:24]} is out of range")
    return int(text)


def _number(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"the number {text[:24]} is not finite or out of range")
    return value
