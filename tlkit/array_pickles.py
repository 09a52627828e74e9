"""Reads numbers, text and arrays from pickle files without running any code that they name.

Datasets of the years before safe formats, CIFAR-10 among them, are pickles. A pickle calls what it names. Here no name
is looked up: those that NumPy's arrays need are replaced by records of their arguments, every other one is refused.
"""

from __future__ import annotations

import io
import pickle
import pickletools
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

MOST_PICKLE_BYTES = 1 << 30
"""Largest pickle, 1 GiB."""
SPARE_PLACES = 1024
"""Places that a pickle may leave out of its list of values: pickles of Python number them one by one."""
_TYPES = {"u1": np.uint8, "i1": np.int8, "i4": np.int32, "i8": np.int64, "f4": np.float32, "f8": np.float64}


class _Type:
    """A type of numbers, as a pickle states it."""

    def __init__(self, code: Any, *_: Any) -> None:
        self.code = code.decode("ascii", "replace") if isinstance(code, bytes) else code
        self.order = "<"

    def __setstate__(self, state: Any) -> None:
        self.order = state[1].decode("ascii", "replace") if isinstance(state[1], bytes) else state[1]

    def numpy(self) -> np.dtype[Any]:
        if self.code not in _TYPES or self.order not in ("<", ">", "|", "="):
            raise ValueError(f"it holds an array of the type {str(self.code)[:20]!r}")
        kind: np.dtype[Any] = np.dtype(_TYPES[self.code])
        return kind.newbyteorder(">") if self.order == ">" else kind.newbyteorder("<")


class _Array:
    """An array, as a pickle states it: shape, type and bytes."""

    array: npt.NDArray[Any]

    def __setstate__(self, state: Any) -> None:
        _, shape, kind, by_columns, content = state
        if isinstance(content, str):  # Python 2 wrote bytes as text
            content = content.encode("latin-1")
        if not isinstance(kind, _Type) or not isinstance(content, bytes):
            raise ValueError("it holds an array of objects")
        self.array = np.frombuffer(content, dtype=kind.numpy()).reshape(shape, order="F" if by_columns else "C")


def _array(*_: Any) -> _Array:
    return _Array()


def _frombuffer(content: Any, kind: Any, shape: Any, order: Any, *axes: Any) -> _Array:
    """Return an array as protocol 5 states it."""
    if order not in ("C", "F") or any(one is not None for one in axes):
        raise ValueError("it holds an array whose axes are in another order")
    record = _Array()
    record.__setstate__((1, shape, kind, order == "F", bytes(content) if isinstance(content, bytearray) else content))
    return record


def _encoded(text: Any, encoding: Any = "latin-1") -> bytes:
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise ValueError("it holds bytes in another encoding than latin-1")
    return text.encode("latin-1")


class _Maker:
    """Stands for any name in a pickle: calls return plain values, and its attributes cannot be set by a pickle."""

    __slots__ = ("_make",)

    def __init__(self, make: Callable[..., Any]) -> None:
        self._make = make

    def __call__(self, *arguments: Any) -> Any:
        return self._make(*arguments)

    def __setstate__(self, _: Any) -> None:
        raise ValueError("it changes what makes its arrays")


_KNOWN = {
    ("numpy.core.multiarray", "_reconstruct"): _Maker(_array),
    ("numpy._core.multiarray", "_reconstruct"): _Maker(_array),
    ("numpy.core.numeric", "_frombuffer"): _Maker(_frombuffer),
    ("numpy._core.numeric", "_frombuffer"): _Maker(_frombuffer),
    ("numpy", "ndarray"): _Maker(_Array),
    ("numpy", "dtype"): _Maker(_Type),
    ("_codecs", "encode"): _Maker(_encoded),
}


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str, /) -> Any:
        if (module, name) not in _KNOWN:
            raise ValueError(f"it names {module[:60]}.{name[:60]}, which is no array, number or text")
        return _KNOWN[module, name]

    def persistent_load(self, pid: Any, /) -> Any:
        raise ValueError("it refers to an object outside of it")


def read_arrays(content: bytes) -> Any:
    """Return the value of a pickle of numbers, text, lists, dicts and NumPy arrays.

    Text that Python 2 wrote comes back as bytes.

    Args:
        content: the pickle; at most `MOST_PICKLE_BYTES`.

    Raises:
        ValueError: it is damaged, too large, or holds anything else; nothing of that is called.

    Example:
        >>> read_arrays(pickle.dumps({"labels": np.array([3, 5])}))["labels"].tolist()
        [3, 5]
        >>> read_arrays(pickle.dumps(print))
        Traceback (most recent call last):
        ValueError: it names builtins.print, which is no array, number or text
    """
    if len(content) > MOST_PICKLE_BYTES:
        raise ValueError(f"it has {len(content):,} bytes, and at most {MOST_PICKLE_BYTES:,} are read")
    try:
        _require_near_places(content)
        return _plain(_Reader(io.BytesIO(content), encoding="bytes").load(), {}, levels=8)
    except ValueError:
        raise
    except (
        pickle.UnpicklingError,
        EOFError,
        AttributeError,
        ImportError,
        IndexError,
        KeyError,
        TypeError,
        OverflowError,
        MemoryError,
        RecursionError,
    ) as error:
        raise ValueError(f"it is damaged ({type(error).__name__})") from None


def _require_near_places(content: bytes) -> None:
    """Check the places in which a pickle keeps values for later: a list as long as the largest is made at once.

    Raises:
        ValueError: a place is far beyond the number of values, or the pickle cannot be parsed.
    """
    kept, far = 0, None
    try:
        for opcode, argument, _ in pickletools.genops(content):
            if opcode.name in ("PUT", "BINPUT", "LONG_BINPUT"):
                kept += 1
                if not isinstance(argument, int) or argument > 2 * kept + SPARE_PLACES:
                    far = argument
                    break
    except ValueError as error:
        raise ValueError(f"it is damaged ({error})") from None
    if far is not None:
        raise ValueError(f"it keeps a value at the place {far}, and has {kept} of them")


def _plain(value: Any, done: dict[int, Any], *, levels: int) -> Any:
    """Return a value with arrays in place of their records; a list that is referred to many times is walked once."""
    if levels < 0:
        raise ValueError("it nests too deeply")
    if value is None or isinstance(value, int | float | str | bytes):
        return value
    if id(value) in done:
        return done[id(value)]
    if isinstance(value, _Array):
        if not hasattr(value, "array"):
            raise ValueError("it holds an array without values")
        plain: Any = value.array
    elif isinstance(value, dict):
        plain = {key: _plain(one, done, levels=levels - 1) for key, one in value.items()}
    elif isinstance(value, list | tuple):
        plain = [_plain(one, done, levels=levels - 1) for one in value]
    else:
        raise ValueError("it holds something other than numbers, text and arrays")
    done[id(value)] = plain
    return plain
