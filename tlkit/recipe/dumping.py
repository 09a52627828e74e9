"""Writes a recipe as YAML text that reads back to an equal recipe, and the JSON Schema of recipes."""

from __future__ import annotations

import re
from typing import Any

import yaml
from pydantic import BaseModel

from tlkit.recipe.schema import Recipe
from tlkit.recipe.sections.dependent_keys import NEEDS

SCHEMA_FILE = "recipe.schema.json"
SCHEMA_LINE = f"# yaml-language-server: $schema={SCHEMA_FILE}"
"""First line of a recipe, by which editors find its schema: the file beside it, so that no network is needed."""

# Text in PyYAML, but another type in YAML 1.2, in full YAML 1.1, or to a human reader.
_NEEDS_QUOTES = re.compile(
    r"y|n|yes|no|on|off|true|false|null|~|=|<<|[-+]?\.?(inf|nan)|[-+.]?[0-9][0-9a-fox_.:,eE+-]*", re.IGNORECASE
)

_LINE_BREAK = re.compile("[\n\r\x85\u2028\u2029]")


def dump_recipe(recipe: Recipe) -> str:
    """Return a recipe as YAML, every key written out; `load_recipe` reads it back to an equal recipe.

    Keys without effect are left out: `train.momentum` where the optimizer has none, `train.focal_gamma` and
    `train.group_dro_step` where the loss has none, the unused one of `augment.preset` and `augment.transforms`, and the
    keys of `train` that a scikit-learn head does not use.

    Example:
        >>> recipe = Recipe(recipe_version=1, name="no", data={"root": "pets"}, model={"name": "resnet18"})
        >>> print(dump_recipe(recipe)[:53])
        recipe_version: 1
        name: 'no'
        task: multiclass
        seed: 0
    """
    values = plain_values(recipe)
    text: str = yaml.dump(values, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=10_000)
    return text


def plain_values(recipe: Recipe) -> dict[str, Any]:
    """Return the sections of a recipe as plain values, without keys that have no effect."""
    values = recipe.model_dump(mode="python")
    for need in NEEDS:
        section, name = need.path
        if not need.default_is_off and not need.is_met(recipe):
            values[section].pop(name, None)
    del values["augment"]["transforms" if recipe.augment.transforms is None else "preset"]
    return values


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of a recipe, for editors and other tools."""
    return schema_of(
        Recipe, title="tlkit recipe, version 1", description="All settings of a run of tlkit, in order of use."
    )


def schema_of(model: type[BaseModel], *, title: str, description: str) -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of a file whose content is `model`."""
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": title, "description": description}
    return head | {key: value for key, value in model.model_json_schema().items() if key not in head}


class _Dumper(yaml.SafeDumper):
    """Writes lists of plain values on one line, and quotes text that some reader takes for another type."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: _Dumper, value: str) -> yaml.ScalarNode:
    style = "'" if _NEEDS_QUOTES.fullmatch(value) else None
    if _LINE_BREAK.search(value):
        style = '"'  # PyYAML 6.0.3 folds U+0085 into a space in single quotes
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


def _list(dumper: _Dumper, values: list[Any] | tuple[Any, ...]) -> yaml.SequenceNode:
    on_one_line = not any(isinstance(value, list | tuple | dict) for value in values)
    return dumper.represent_sequence("tag:yaml.org,2002:seq", values, flow_style=on_one_line)


def _mapping(dumper: _Dumper, values: dict[str, Any]) -> yaml.MappingNode:
    return dumper.represent_mapping("tag:yaml.org,2002:map", values, flow_style=False)


_Dumper.add_representer(str, _text)
_Dumper.add_representer(list, _list)
_Dumper.add_representer(tuple, _list)
_Dumper.add_representer(dict, _mapping)
