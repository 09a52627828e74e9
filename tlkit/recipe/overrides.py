"""Overrides of recipe keys: `data.batch_size=64` on the command line, or Python values by dotted key."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tlkit.choices import TRAINED_HEADS
from tlkit.errors import RecipeError
from tlkit.recipe.field_tree import accepts, expected_value, field_at, kinds, takes_keys
from tlkit.recipe.schema import SHORT_FORMS
from tlkit.recipe.sections.dependent_keys import NEEDS
from tlkit.recipe.sections.strategy_section import FIELDS_BY_KIND
from tlkit.recipe.value_messages import in_yaml, value_seen
from tlkit.recipe.yaml_nodes import AFTER_THE_FILE, Document, KeyPath, Problem, Spot, dotted, read_yaml

logger = logging.getLogger(__name__)

Overrides = Iterable[str] | Mapping[str, Any]


@dataclass(frozen=True)
class _Override:
    """One override: its text, its position among the overrides, and the path that it sets."""

    source: str
    rank: int
    path: tuple[str, ...]

    @property
    def spot(self) -> Spot:
        return Spot(self.source, AFTER_THE_FILE + self.rank, key=dotted(self.path))


GLOBAL_OPTIONS = ("-q", "--quiet", "-v", "--verbose")
"""Options that stand before the command; after one that takes overrides they look like overrides."""


def apply_overrides(document: Document, overrides: Overrides) -> None:
    """Set the keys of the overrides in a document, in order; problems are added to the document.

    Args:
        document: the recipe as read; it is modified.
        overrides: texts such as "data.batch_size=64" (leading dashes allowed), or Python values by dotted key.
    """
    items = overrides.items() if isinstance(overrides, Mapping) else overrides
    for rank, item in enumerate(items):
        if isinstance(item, str):
            _apply_text(document, item, rank)
        else:
            key, value = item[0], _plain(item[1])
            override = _Override(f"override {key}={in_yaml(value)}", rank, tuple(key.split(".")))
            if _has_a_key(document, override):
                _set(document, override, _as_document(override, value))


def _apply_text(document: Document, text: str, rank: int) -> None:
    key, equals, written = text.partition("=")
    key = key.strip().lstrip("-")
    override = _Override(f"override {text}", rank, tuple(key.split(".")))
    if text in GLOBAL_OPTIONS:
        message = f"this is an option of tlkit itself. Write it before the command: tlkit {text} COMMAND."
        _report(document, override, message)
    elif not equals:
        options = " `--help` lists the options that take no value." if text.startswith("--") else ""
        _report(document, override, f"no value is given. Write {key or 'KEY'}=VALUE, without spaces.{options}")
    elif _has_a_key(document, override):
        try:
            _set(document, override, _read(override, written.strip()))
        except RecipeError as error:
            for problem in error.problems:
                _report(document, override, problem.removeprefix(override.source).strip())


def expand_short_forms(document: Document) -> None:
    """Write `strategy: frozen` as `strategy: {kind: frozen}`, and `augment` and `tracking` likewise."""
    if not isinstance(document.value, dict):
        return
    for section, key in SHORT_FORMS.items():
        value = document.value.get(section)
        if isinstance(value, str) and ":" not in value:
            document.value[section] = {key: value}
            spot = document.spots[section,]
            document.spots[section, key] = Spot(spot.where, spot.order, spot.text, spot.quoted, section)


def _report(document: Document, override: _Override, text: str) -> None:
    document.problems.append(Problem(override.spot.order, override.source, text))


def _has_a_key(document: Document, override: _Override) -> bool:
    if all(override.path):
        return True
    _report(document, override, "no key is given. Write a dotted key, such as data.batch_size=64.")
    return False


def _read(override: _Override, text: str) -> Document:
    """Return the value of an override, parsed as YAML unless the field takes any text."""
    field, depth = field_at(override.path)
    takes_text = field is not None and depth == len(override.path) and expected_value(field).text
    a_list = text.startswith("[") and field is not None and tuple in kinds(field)
    if not takes_text or a_list or text in ("", "~", "null") or text.startswith(("'", '"')):
        return read_yaml(text, source=override.source, override=(override.path, override.rank))
    spot = Spot(override.source, override.spot.order, text)
    return Document(override.source, text, {override.path: spot})


def _as_document(override: _Override, value: Any) -> Document:
    """Return a Python value as a document, with the override as the place of every part."""
    spots: dict[KeyPath, Spot] = {}

    def place(part: Any, path: KeyPath) -> None:
        spots[path] = Spot(override.source, override.spot.order)
        items = part.items() if isinstance(part, dict) else enumerate(part) if isinstance(part, list) else ()
        for step, inner in items:
            place(inner, (*path, step))

    place(value, override.path)
    return Document(override.source, value, spots)


def _plain(value: Any) -> Any:
    """Return a Python value with the types that YAML yields: lists for tuples, text for paths, dicts with text keys."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return os.fspath(value) if isinstance(value, os.PathLike) else value


def _set(document: Document, override: _Override, new: Document) -> None:
    """Set a value in the document, and create the mappings above it."""
    path = override.path
    parent = _parent(document, override)
    if parent is None:
        return
    parent[path[-1]] = new.value
    document.spots = {at: spot for at, spot in document.spots.items() if at[: len(path)] != path} | new.spots
    document.faulty = {bad for bad in document.faulty if bad[: len(path)] != path} | new.faulty
    document.problems += new.problems
    if field_at(path)[1] < len(path):  # unknown: the message shows the key as it was written
        document.spots[path] = override.spot
    expand_short_forms(document)
    _drop_keys_without_effect(document, override, new.value)


def _parent(document: Document, override: _Override) -> dict[str, Any] | None:
    """Return the mapping for the override's key, created where it is missing; None where a value is in its place."""
    parent = document.value
    if not isinstance(parent, dict):
        return None  # reported with the file
    for depth, step in enumerate(override.path[:-1], start=1):
        above = override.path[:depth]
        field, found = field_at(above)
        if field is not None and found == depth and not takes_keys(field):
            _report(document, override, f"{dotted(above)} has no keys. Write {dotted(above)}=VALUE.")
            return None
        if parent.get(step) is None:
            parent[step] = {}
            document.spots[above] = override.spot
        parent = parent[step]
        if not isinstance(parent, dict):
            held = value_seen(parent, document.spot(above))
            _report(
                document, override, f"{dotted(above)} is {held}, which has no keys. Set {dotted(above)} as a whole."
            )
            return None
    return parent


def _drop_keys_without_effect(document: Document, override: _Override, value: Any) -> None:
    """Drop keys of the file that have no effect with the value of an override."""
    without_effect: dict[KeyPath, list[tuple[str, str]]] = {
        ("strategy", "kind"): [("strategy", key) for key in _keys_of_other_strategies(value, document.value)],
        ("augment", "preset"): [("augment", "transforms")],
        ("augment", "transforms"): [("augment", "preset")] if value is not None else [],
    }
    for dropped in without_effect.get(override.path) or _dependent_keys(override.path, value):
        spot = document.spots.get(dropped)
        if spot is not None and spot.order < AFTER_THE_FILE:
            document.value[dropped[0]].pop(dropped[1], None)
            logger.info("%s: %s of %s no longer applies and is dropped", override.source, ".".join(dropped), spot.where)


def _keys_of_other_strategies(kind: Any, recipe: Any) -> list[str]:
    """Return the keys that another kind of strategy does not take; a head that it cannot train is one of them."""
    taken = FIELDS_BY_KIND.get(kind) if isinstance(kind, str) else None
    if taken is None:  # a wrong kind is reported elsewhere
        return []
    known = dict.fromkeys(key for keys in FIELDS_BY_KIND.values() for key in keys)
    section = recipe.get("strategy") if isinstance(recipe, Mapping) else None
    head = section.get("head", "linear") if isinstance(section, Mapping) else "linear"
    fitted = ["head"] if kind != "frozen" and head not in TRAINED_HEADS else []
    return [key for key in known if key not in taken or key in fitted]


def _dependent_keys(path: tuple[str, ...], value: Any) -> list[tuple[str, str]]:
    """Return the keys that have no effect with the value of the key at `path`."""
    field, depth = field_at(path)
    if field is None or depth < len(path) or not accepts(field, value):  # a wrong value is reported elsewhere
        return []
    return [need.path for need in NEEDS if need.of == dotted(path) and value not in need.among]
