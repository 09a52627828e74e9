"""One spelling for values that are written in several ways, and paths that are written in several ways.

Two texts are one value where they differ only in white space, in Unicode's normal form, or as numbers: "7", "7.0" and
"7 ". Case and leading zeros are kept apart and warned of: "007" is an identifier, not 7. Paths are matched by the same
rules, but never rewritten: they name files.
"""

from __future__ import annotations

import logging
import posixpath
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal

import numpy as np
import pandas as pd

from tlkit.choices import LABEL_SEPARATOR
from tlkit.errors import first_few

logger = logging.getLogger(__name__)

NUMBER = re.compile(r"[+-]?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,2})?")
_ODD = re.compile(r"\\|//|/$|(^|/)\.\.?(/|$)")
"""Parts of a path that have another spelling."""
SEPARATOR = LABEL_SEPARATOR
"""What joins several values of one image."""
INVISIBLE = dict.fromkeys(map(ord, "\u200b\u2060\ufeff"))
"""Invisible characters: zero-width space, word joiner and byte order mark."""


def normal_form(text: str) -> str:
    r"""Return a text in NFC, without outer white space and invisible marks.

    Example:
        >>> normal_form(" cafe\u0301\u00a0")
        'café'
    """
    return (text if text.isascii() else unicodedata.normalize("NFC", text).translate(INVISIBLE)).strip()


def value_key(text: str) -> str:
    """Return a text that is equal for two spellings of one value.

    Example:
        >>> [value_key(text) for text in ("7", "7.0 ", "+7.", "70e-1", "007", "New  York", "0.50")]
        ['7', '7', '7', '7', '007', 'New York', '0.5']
    """
    form = " ".join(normal_form(text).split())
    if not NUMBER.fullmatch(form):
        return form
    digits = format(Decimal(form), "f")  # exact, unlike a float
    digits = digits.rstrip("0").rstrip(".") if "." in digits else digits
    return "0" if digits.strip("-") in ("0", "") else digits.removeprefix("+")


def text_of(value: object) -> str:
    """Return a value as text; several values of one image are joined by ";", as an audit's separator takes them.

    Raises:
        ValueError: it is a mapping, holds a list in a list, or a text with a ";".

    Example:
        >>> text_of(["x", "y", "x"]), text_of(2.0), text_of([])
        ('x;y', '2.0', '')
    """
    if isinstance(value, Mapping):
        raise ValueError("a mapping has no single value. Write each part of it as a column of its own")
    if not isinstance(value, list | tuple | set | frozenset | np.ndarray):
        return str(value)
    parts = [*value] if not isinstance(value, set | frozenset) else sorted(map(str, value))
    texts = [str(part) for part in parts if part is not None]
    if any(SEPARATOR in text or not np.isscalar(part) for text, part in zip(texts, parts, strict=False)):
        raise ValueError(f"a list of it holds a list, or a text with {SEPARATOR!r}. Write plain values without it")
    return SEPARATOR.join(dict.fromkeys(texts))


def spellings(texts: Iterable[str]) -> dict[str, str]:
    """Return the value of each text: the form that all of its spellings share.

    What is written in one way stays so, but for outer white space and Unicode form: "7.0" is read as "7" only where
    "7" occurs, too.

    Example:
        >>> spellings(["7", "7.0", "cat", "cat ", "2.50"])
        {'7': '7', '7.0': '7', 'cat': 'cat', 'cat ': 'cat', '2.50': '2.50'}
    """
    forms: dict[str, set[str]] = {}
    known = {text: (normal_form(text), value_key(text)) for text in texts}
    for form, key in known.values():
        forms.setdefault(key, set()).add(form)
    return {text: key if len(forms[key]) > 1 else form for text, (form, key) in known.items()}


def names_alike(values: Iterable[str]) -> list[tuple[str, ...]]:
    """Return the sets of values that differ only in case, spaces or leading zeros.

    Example:
        >>> names_alike(["dark", "Dark", "7", "007", "light"])
        [('dark', 'Dark'), ('7', '007')]
    """
    same: dict[str, list[str]] = {}
    for value in dict.fromkeys(values):
        loose = "".join(value.split()).casefold()
        same.setdefault((loose.lstrip("0") or "0") if loose.isdecimal() else value_key(loose), []).append(value)
    return [tuple(alike) for alike in same.values() if len(alike) > 1]


def unify(
    *columns: pd.Series[str], what: str, hint: str | None = "Write them alike if they are one value."
) -> list[pd.Series[str]]:
    """Return columns with one spelling for each value, which they share; a cell of white space becomes "".

    What is read as one value is logged, and so is, as a warning, what only looks alike and stays apart.

    Args:
        columns: texts, or missing.
        what: name of the columns, for the log: "patient of photos.csv".
        hint: what to do about values that look alike; None = no warning.
    """
    texts = dict.fromkeys(str(text) for column in columns for text in column.unique().tolist() if pd.notna(text))
    value_of = spellings(texts)
    if merged := _described(value_of):
        logger.info("%s: spellings that are read as one value: %s.", what, first_few(merged))
    if hint is not None:
        warn_of_lookalikes(value_of.values(), what=what, hint=lambda _: hint)
    if all(text == value for text, value in value_of.items()):
        return list(columns)
    return [_replaced(column, value_of) for column in columns]


def _replaced(column: pd.Series[str], value_of: Mapping[str, str]) -> pd.Series[str]:
    """Return a column with each text replaced; for short columns faster than `Series.map`, which builds an index."""
    cells = [value_of.get(cell, cell) for cell in column.tolist()]  # what is missing stays as it is
    return pd.Series(cells, index=column.index, name=column.name).astype(column.dtype)


def warn_of_lookalikes(values: Iterable[str], *, what: str, hint: Callable[[tuple[str, ...]], str]) -> None:
    """Log a warning about values that differ only in case, spaces or leading zeros.

    Args:
        values: the values.
        what: where they are, for the log.
        hint: returns what to do about the first of the sets.
    """
    if alike := names_alike(values):
        logger.warning(
            "%s: values that differ only in case, spaces or leading zeros stay apart: %s. %s",
            what,
            first_few([" and ".join(map(repr, one)) for one in alike]),
            hint(alike[0]),
        )


def _described(value_of: Mapping[str, str]) -> list[str]:
    """Return "'7.0' and '7 ' as '7'" for each value with another spelling than its own."""
    others: dict[str, list[str]] = {}
    for text, value in value_of.items():
        if text != value:
            others.setdefault(value, []).append(repr(text))
    return [f"{' and '.join(texts)} as {value!r}" for value, texts in others.items() if value]


def match_names(given: Iterable[str], known: Sequence[str]) -> dict[str, str]:
    """Return for each given name the known one that it is, or is another spelling of; others are left out.

    Example:
        >>> match_names(["cat ", "1.0", "Dog"], ["cat", "dog", "1"])
        {'cat ': 'cat', '1.0': '1'}
    """
    return _match(given, known, value_key)


def known_name(given: str, known: Sequence[str]) -> str:
    """Return the known name that a given one is, or is another spelling of; else the given one.

    Example:
        >>> known_name(" cat", ["cat", "dog"]), known_name("Cat", ["cat", "dog"])
        ('cat', 'Cat')
    """
    return match_names([given], known).get(given, given)


def path_key(path: str) -> str:
    r"""Return a text that is equal for two spellings of one path: Unicode form, white space around it, "\" or "/".

    Example:
        >>> path_key(" ./day\\a.jpg")
        'day/a.jpg'
    """
    text = unicodedata.normalize("NFC", path).strip().replace("\\", "/")
    return posixpath.normpath(text) if text else ""


def spelled_twice(paths: Iterable[str]) -> list[tuple[str, ...]]:
    """Return the sets of different paths that are spellings of one (see `path_key`).

    Example:
        >>> spelled_twice(["day/a.jpg", "./day/a.jpg", "b.jpg", "b.jpg"])
        [('day/a.jpg', './day/a.jpg')]
    """
    known = list(dict.fromkeys(paths))
    plain = [text.isascii() and text == text.strip() and not _ODD.search(text) for text in known]
    if all(plain):
        return []
    by_key: dict[str, list[str]] = {}
    for text, is_plain in zip(known, plain, strict=True):
        by_key.setdefault(text if is_plain else path_key(text), []).append(text)
    return [tuple(same) for same in by_key.values() if len(same) > 1]


def match_paths(given: Iterable[str], known: Sequence[str]) -> dict[str, str]:
    """Return for each given path the known one that it is, or is another spelling of; others are left out.

    Example:
        >>> match_paths(["./day//a.jpg", "b.jpg"], ["day/a.jpg", "c.jpg"])
        {'./day//a.jpg': 'day/a.jpg'}
    """
    return _match(given, known, path_key)


def _match(given: Iterable[str], known: Sequence[str], key_of: Callable[[str], str]) -> dict[str, str]:
    exact = set(known)
    by_key: dict[str, list[str]] | None = None
    found: dict[str, str] = {}
    for text in dict.fromkeys(given):
        if text in exact:
            found[text] = text
            continue
        if by_key is None:
            by_key = {}
            for one in dict.fromkeys(known):
                by_key.setdefault(key_of(one), []).append(one)
        same = by_key.get(key_of(text), [])
        if len(same) == 1:  # two known ones with that key: nobody can say which
            found[text] = same[0]
    return found
