"""Messages for pydantic's errors: the key, the value seen and what to use instead, one for each place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from tlkit.recipe.field_tree import accepts, expected_value, field_at, keys_at, sections_in
from tlkit.recipe.schema import SHORT_FORMS, Recipe
from tlkit.recipe.unknown_keys import unknown_in, unknown_key
from tlkit.recipe.value_messages import in_yaml, value_seen, wrong_value
from tlkit.recipe.yaml_nodes import Document, KeyPath, Spot, dotted
from tlkit.recipe.yaml_syntax import missing_space

TRANSFORMS = ("augment", "transforms")


def report_errors(error: ValidationError, document: Document, *, root: type[BaseModel] = Recipe) -> None:
    """Add the errors of pydantic to the problems of a document; the caller reports contradictions.

    A union yields an error for each of its types, and a misspelled key is both an unknown and a missing one. Each such
    group of errors becomes one message, about its innermost part.

    Args:
        error: the error of pydantic.
        document: the file; it is modified.
        root: model of the whole file: a recipe, or another file.
    """
    found: dict[KeyPath, str] = {}
    for one in error.errors(include_url=False):
        if one["type"] != "contradiction":
            path, kind = _place(one["loc"], one["type"], document.value, root)
            found.setdefault(path, f"explained {one['msg']}" if kind == "explained" else kind)
    for path in [path for path, kind in found.items() if kind not in ("extra_forbidden", "missing")]:
        reported = any(path[: len(bad)] == bad for bad in document.faulty)
        has_inner = any(len(other) > len(path) and other[: len(path)] == path for other in {*found, *document.faulty})
        if reported or has_inner:
            del found[path]
    unknown = [_unknown(path, document.spot(path).key, root) for path in found if found[path] == "extra_forbidden"]
    for path, kind in found.items():
        if not (kind == "missing" and any(text.endswith(f"Did you mean {dotted(path)}?") for text in unknown)):
            document.report(path, _message(kind, path, document, root))


def _unknown(path: KeyPath, as_written: str | None, root: type[BaseModel]) -> str:
    if root is Recipe:
        return unknown_key(path, as_written=as_written)
    return unknown_in(path, keys_at(path[:-1], root))


def _value_at(value: Any, path: KeyPath) -> Any:
    """Return the value at a path, or None where there is none."""
    for step in path:
        value = value[step] if _has(value, step) else None
    return value


def _has(value: Any, step: str | int) -> bool:
    if isinstance(value, list):
        return isinstance(step, int) and step < len(value)
    return isinstance(value, dict) and step in value


def _place(loc: tuple[str | int, ...], kind: str, value: Any, root: type[BaseModel]) -> tuple[KeyPath, str]:
    """Return the document path of a pydantic location, without the names of union members, and the error type."""
    path: KeyPath = ()
    for step in loc:
        if _has(value, step):
            path, value = (*path, step), value[step]
    if kind == "missing":
        if isinstance(loc[-1], str) and loc[-1] in keys_at(path, root):
            return (*path, loc[-1]), kind
        return path, "too_short"  # a list of fixed length
    if kind.startswith("union_tag"):
        if not isinstance(value, dict):
            return path, "model_type"
        return (*path, "kind"), "missing" if kind == "union_tag_not_found" else kind
    return path, kind


def _message(kind: str, path: KeyPath, document: Document, root: type[BaseModel]) -> str:
    spot = document.spot(path)
    key = spot.key or dotted(path)
    if kind == "extra_forbidden":
        return _unknown(path, spot.key, root)
    field, depth = field_at(path, root)
    value = _value_at(document.value, path)
    if field is None:
        return f"the recipe is {value_seen(value, spot)}, not sections with keys. Begin it with recipe_version: 1."
    if kind == "missing":
        return _missing(path, field, _value_at(document.value, path[:-1]))
    if kind.startswith("explained "):
        return f"{key} {kind.removeprefix('explained ')}"
    sections = sections_in(field.annotation)
    if sections and not isinstance(value, Mapping):
        return _not_a_section(path, field, sections[0], value, spot)
    return wrong_value(key, dotted(path[:depth]), field, value, spot, inside=depth < len(path))


def _missing(path: KeyPath, field: FieldInfo, around: Any) -> str:
    text = f"{dotted(path)} is missing. Add {path[-1]}: {expected_value(field).phrase}."
    if path[:2] == TRANSFORMS and isinstance(around, dict) and len(around) == 1:
        name, arguments = next(iter(around.items()))
        if isinstance(arguments, dict | None):  # {HorizontalFlip: {p: 0.5}}, as in other tools
            return f"{dotted(path)} is missing. Did you mean {in_yaml({'name': name, **(arguments or {})})}?"
    return text


def _not_a_section(path: KeyPath, field: FieldInfo, section: type[BaseModel], value: Any, spot: Spot) -> str:
    """Return the message for a plain value or a list in place of a section."""
    key = spot.key or dotted(path)
    read_as = f"{key} is {value_seen(value, spot)}"
    if isinstance(value, str) and (fixed := missing_space(value)):
        return f"{read_as}. A space is missing after the colon: write `{fixed}`."
    if isinstance(path[-1], int) and isinstance(value, str):
        return f"{read_as}, without a key before it. Write {{name: {value}}}."
    if path[:2] == TRANSFORMS or path == ("train", "early_stopping"):
        return f"{read_as}. Use {expected_value(field).phrase}."
    first, inner = next(iter(section.model_fields.items()))
    if dotted(path) in SHORT_FORMS and spot.text and not isinstance(value, list):
        return wrong_value(key, f"{dotted(path)}.{first}", inner, value, spot)
    example = value if accepts(inner, value) else inner.examples[0] if inner.examples else inner.default
    sample = f"{first}: {in_yaml(example)}"
    if value is None:
        remedy = "" if field.is_required() else ", or remove the line to use the defaults"
        return f"{key} is empty. Give it keys such as {sample}{remedy}."
    return f"{read_as}, not a section. Write its keys below it, indented, such as {sample}."
