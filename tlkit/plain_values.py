"""Results as plain JSON values, and back by the types of their fields."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

import numpy as np

Result = TypeVar("Result")


def to_plain(value: Any) -> Any:
    """Return a value as JSON has it: dataclasses and mappings as dicts, tuples and arrays as lists.

    Example:
        >>> to_plain({5: (0.9, None)})
        {'5': [0.9, None]}
    """
    if is_dataclass(value):
        return {field.name: to_plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): to_plain(entry) for key, entry in value.items()}
    if isinstance(value, tuple | list):
        return [to_plain(entry) for entry in value]
    return value.tolist() if isinstance(value, np.ndarray) else value


def from_plain(kind: type[Result], values: Mapping[str, Any]) -> Result:
    """Return a dataclass from what `to_plain` made of it; names that are no field of it are ignored.

    Fields may be dataclasses, tuples, mappings, arrays and plain values, also optional. A field that is not there has
    its default.

    Args:
        kind: the dataclass.
        values: by the name of the field.

    Raises:
        TypeError: a field without a default is not there, or one of several entries is no list.
    """
    read: Result = _read(kind, values)
    return read


@cache
def _field_types(kind: type[Any]) -> dict[str, Any]:
    types = get_type_hints(kind)
    return {field.name: types[field.name] for field in fields(kind)}


def _read(kind: Any, value: Any) -> Any:
    """Return a plain value as the type that is given."""
    origin, parts = get_origin(kind), get_args(kind)
    if value is None:
        return None
    if isinstance(kind, type) and is_dataclass(kind):
        types = _field_types(kind)
        return kind(**{name: _read(types[name], entry) for name, entry in value.items() if name in types})
    if type(None) in parts:
        others = [part for part in parts if part is not type(None)]
        if len(others) > 1 and isinstance(value, list):
            others = [part for part in others if get_origin(part) is tuple]
        return _read(others[0], value) if len(others) == 1 else value
    if origin is tuple:
        if not isinstance(value, list | tuple):  # the letters of a text are no entries
            raise TypeError(f"{str(value)[:80]!r} is no list")
        kinds = [parts[0]] * len(value) if parts[1:] == (...,) else parts
        return tuple(_read(one, entry) for one, entry in zip(kinds, value, strict=True))
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return {parts[0](key) if parts[0] is int else key: _read(parts[1], entry) for key, entry in value.items()}
    return np.asarray(value) if origin is np.ndarray else value
