"""Lookups in the tree of recipe keys: the field at a path, the keys of a section, the values that a field takes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from types import MappingProxyType
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from tlkit.recipe.schema import Recipe
from tlkit.recipe.sections.audit_section import AuditColumn
from tlkit.recipe.sections.augment_section import TransformSpec
from tlkit.recipe.value_types import Expected
from tlkit.recipe.yaml_nodes import KeyPath


def sections_in(annotation: Any) -> tuple[type[BaseModel], ...]:
    """Return the sections that a type allows: two for `strategy`, one for `train`, none for a plain value."""
    parts = _parts(annotation)
    return tuple(dict.fromkeys(part for part in parts if isinstance(part, type) and issubclass(part, BaseModel)))


def field_at(path: KeyPath, root: type[BaseModel] = Recipe) -> tuple[FieldInfo | None, int]:
    """Return the deepest field on a path and the number of steps to it; `root` is the model of the whole file."""
    sections: tuple[type[BaseModel], ...] = (root,)
    field, depth = None, 0
    for position, step in enumerate(path):
        if isinstance(step, int):
            continue
        options = [section.model_fields[step] for section in sections if step in section.model_fields]
        if not options:
            break
        field, depth = options[0], position + 1
        sections = sections_in(field.annotation)
    return field, depth


def keys_at(path: KeyPath, root: type[BaseModel] = Recipe) -> tuple[str, ...]:
    """Return the keys of the section at `path`, in recipe order; none where `path` is no section.

    Args:
        path: path of the section; () = the whole file.
        root: model of the whole file.

    Example:
        >>> keys_at(("augment",))
        ('preset', 'transforms')
    """
    if not path:
        return tuple(root.model_fields)
    field, _ = field_at(path, root)
    sections = sections_in(field.annotation) if field is not None else ()
    return tuple(dict.fromkeys(key for section in sections for key in section.model_fields))


@cache
def all_keys() -> Mapping[str, FieldInfo]:
    """Return all fields of a recipe by dotted key, each section before its keys."""
    found: dict[str, FieldInfo] = {}

    def collect(section: type[BaseModel], before: str) -> None:
        for name, field in section.model_fields.items():
            found[before + name] = field
            for inner in sections_in(field.annotation):
                if inner not in (TransformSpec, AuditColumn):
                    collect(inner, f"{before}{name}.")

    collect(Recipe, "")
    return MappingProxyType(found)


def expected_value(field: FieldInfo) -> Expected:
    """Return the description of the values that a field takes."""
    described = [item for item in field.metadata if isinstance(item, Expected)] or _expected_inside(field.annotation)
    if described:
        return described[-1]
    options = choices(field)
    return Expected(either(options) if options else "keys with values, indented below it")


def choices(field: FieldInfo) -> tuple[str | int, ...]:
    """Return the choices of a field, over all its literal types."""
    literals = (part for part in _parts(field.annotation) if get_origin(part) is Literal)
    return tuple(dict.fromkeys(value for part in literals for value in get_args(part)))


def either(options: tuple[str | int, ...]) -> str:
    """Return options as a phrase.

    Example:
        >>> either(("crop", "letterbox", "squash"))
        'crop, letterbox or squash'
    """
    *most, last = [str(option) for option in options]
    return f"{', '.join(most)} or {last}" if most else last


def kinds(field: FieldInfo) -> frozenset[type]:
    """Return the plain types that a field takes: int and tuple for `[height, width]`; of a mapping, its values'."""
    return frozenset(_kinds(field.annotation))


def takes_keys(field: FieldInfo) -> bool:
    """Return whether keys may stand below a field: below a section or `class_weights`, not below a value or a list."""
    if sections_in(field.annotation):
        return tuple not in kinds(field)
    return any(
        isinstance(get_origin(part), type) and issubclass(get_origin(part), Mapping)
        for part in _parts(field.annotation)
    )


def accepts(field: FieldInfo, value: object) -> bool:
    """Return whether a field takes a value, so that no message suggests an invalid one."""
    kind: Any = Annotated[(field.annotation, *(field.metadata or [field]))]
    try:
        TypeAdapter(kind).validate_python(value)
    except ValidationError:
        return False
    return True


def _kinds(annotation: Any) -> Iterator[type]:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        yield from _kinds(arguments[0])
    elif origin is Literal:
        return
    elif isinstance(origin, type) and issubclass(origin, Mapping):
        yield from _kinds(arguments[1])
    elif arguments:
        if origin is tuple:
            yield tuple
        for part in arguments:
            yield from _kinds(part)
    elif isinstance(annotation, type):
        yield annotation


def _parts(annotation: Any) -> Iterator[Any]:
    yield annotation
    for part in get_args(annotation):
        yield from _parts(part)


def _expected_inside(annotation: Any) -> list[Expected]:
    metadata = getattr(annotation, "__metadata__", ())
    found = [item for item in metadata if isinstance(item, Expected)]
    return found or [item for part in get_args(annotation)[:1] for item in _expected_inside(part)]
