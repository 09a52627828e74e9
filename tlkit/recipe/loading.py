"""Loads a recipe from a file, or reports all its problems at once."""

from __future__ import annotations

import copy
import difflib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from tlkit.errors import RecipeError, first_few
from tlkit.input_files import refuse_pipe
from tlkit.recipe.overrides import Overrides, apply_overrides, expand_short_forms
from tlkit.recipe.schema import Recipe
from tlkit.recipe.sections.section import Contradiction
from tlkit.recipe.validation_messages import report_errors
from tlkit.recipe.yaml_nodes import Document, KeyPath, Problem, read_yaml

MOST_BYTES = 2**20
_PLACEHOLDERS: dict[str, Any] = {
    "recipe_version": 1,
    "name": "placeholder",
    "data": {"root": "placeholder"},
    "augment": {"preset": "none"},
    "model": {"name": "placeholder"},
}
_GROUP_PLACEHOLDERS: dict[str, Any] = {  # keys of other sections that a single section may need
    "data": {"root": "placeholder.csv", "metadata": "placeholder", "groups": ["placeholder"]},  # a list has any task
    "audit": {"by": ["placeholder"]},
    "model": {"name": "placeholder", "weights": "file:placeholder"},
}


def load_recipe(path: str | os.PathLike[str], overrides: Overrides = ()) -> Recipe:
    """Return a recipe, read from a file and checked as a whole.

    Args:
        path: the YAML file.
        overrides: changes to it, such as "data.batch_size=64" (the last one of a key counts), or Python values by
            dotted key, such as `{"data.batch_size": 64}`.

    Raises:
        RecipeError: all problems of the file and the overrides, each with its place and its remedy.

    Example:
        >>> recipe = load_recipe("pets.yaml", {"train.epochs": 3})
        >>> recipe.train.epochs, recipe.strategy.kind
        (3, 'frozen')
    """
    name = os.fspath(path)
    document = read_yaml(read_text(Path(name), name), source=name)
    if document.value is None and not document.problems:
        raise RecipeError(
            f"{name}  is empty. Begin with recipe_version: 1, name, data with its root, and model with its name; "
            "the recipes that come with tlkit are examples."
        )
    expand_short_forms(document)
    apply_overrides(document, overrides)
    recipe = _validate(document)
    if recipe is None or document.problems:
        raise RecipeError(*document.messages())
    return recipe


def check_sections(sections: Mapping[str, Any], *, source: str) -> Recipe:
    """Return a recipe with some sections given in Python, checked like a file, and placeholders for the others.

    Args:
        sections: values by section name, such as `{"train": {"epochs": 3}}`.
        source: the caller, as the first word of every message.

    Raises:
        RecipeError: all problems of the sections.

    Example:
        >>> check_sections({"strategy": "full"}, source="Classifier").strategy.kind
        'full'
        >>> check_sections({"train": {"epoch": 3}}, source="Classifier")
        Traceback (most recent call last):
        tlkit.errors.RecipeError: Classifier  train.epoch is unknown. Did you mean train.epochs?
    """
    placeholders = copy.deepcopy(_PLACEHOLDERS | _GROUP_PLACEHOLDERS)
    if sections.get("task") == "segmentation":
        placeholders["data"]["mask_classes"] = ["placeholder", "another placeholder"]
    document = Document(source, {**placeholders, **sections})
    recipe = _validate(document)
    if recipe is None:
        raise RecipeError(*document.messages())
    return recipe


def _validate(document: Document) -> Recipe | None:
    """Return the recipe, or None with every problem added to the document."""
    try:
        return Recipe.model_validate(document.value)
    except ValidationError as error:
        report_errors(error, document)
        for contradiction in _contradictions_in(error) or _contradictions_of_valid_keys(document):
            _report_contradiction(contradiction, document)
    return None


def _contradictions_in(error: ValidationError) -> list[Contradiction]:
    return [
        found
        for one in error.errors(include_url=False)
        if one["type"] == "contradiction"
        for found in one["ctx"]["found"]
    ]


def _contradictions_of_valid_keys(document: Document) -> list[Contradiction]:
    """Return the contradictions among the valid keys, so that one attempt shows all problems."""
    if not isinstance(document.value, dict):
        return []
    valid = copy.deepcopy(document.value)
    for path in document.faulty:
        _remove(valid, path)
    for key, value in _PLACEHOLDERS.items():
        if isinstance(value, dict) and isinstance(valid.get(key), dict):
            elsewhere = valid[key].get("shards") or valid[key].get("name")  # these need no root
            valid[key] = valid[key] if elsewhere else value | valid[key]
        else:
            valid.setdefault(key, value)
    try:
        Recipe.model_validate(valid)
    except ValidationError as error:
        wrong = {_key(path) for path in document.faulty}
        return [found for found in _contradictions_in(error) if not any(_under(key, wrong) for key in found.keys)]
    return []


def _remove(values: Any, path: KeyPath) -> None:
    """Remove the value at a path, or the whole list where it is an item of one."""
    ends = next((position for position, step in enumerate(path) if isinstance(step, int)), len(path))
    *way, last = path[:ends] or ("",)
    for step in way:
        values = values.get(step) if isinstance(values, dict) else None
    if isinstance(values, dict):
        values.pop(last, None)


def _key(path: KeyPath) -> str:
    return ".".join(str(step) for step in path if not isinstance(step, int))


def _under(key: str, wrong: set[str]) -> bool:
    return any(key == bad or key.startswith(f"{bad}.") or bad.startswith(f"{key}.") for bad in wrong)


def _report_contradiction(contradiction: Contradiction, document: Document) -> None:
    """Report a contradiction at the last written of its keys; overrides come after the lines of the file."""
    paths = [tuple(key.split(".")) for key in contradiction.keys]
    written = [document.spots[path] for path in paths if path in document.spots]
    spot = max(written, key=lambda spot: spot.order) if written else document.spot(())
    document.problems.append(Problem(spot.order, spot.where, contradiction.text))


def read_text(path: Path, name: str, *, kind: str = "recipe") -> str:
    """Return the text of a YAML file; `kind` names it in messages.

    Raises:
        RecipeError: the file does not exist, or is not UTF-8 text.
    """
    if path.is_dir():
        inside = path / "recipe.yaml"
        raise RecipeError(f"{name}  is a folder, not a {kind}. Use {inside if inside.exists() else 'a YAML file'}.")
    refuse_pipe(path, what=f"The {kind}", error=RecipeError)
    try:
        data = path.read_bytes() if path.stat().st_size <= MOST_BYTES else None
    except FileNotFoundError:
        raise RecipeError(f"{name}  does not exist.{_nearest_file(path)}") from None
    except OSError as error:
        raise RecipeError(f"{name}  cannot be read: {error.strerror}. Check the path and its permissions.") from None
    if data is None:
        raise RecipeError(f"{name}  is larger than the limit for a {kind} (1 MiB). Use a YAML file.")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise RecipeError(
            f"{name}:{line}  is not UTF-8 text (byte 0x{data[error.start]:02x}). Save the file as UTF-8."
        ) from None


def _nearest_file(path: Path) -> str:
    """Return a sentence with the existing recipe of the nearest name, or with those in the folder."""
    folders = [folder for folder in dict.fromkeys((path.parent, Path("recipes"))) if folder.is_dir()]
    entries = [file for folder in folders for file in sorted(folder.iterdir())]
    files = [file for file in entries if file.suffix.lower() in (".yaml", ".yml")]
    if not path.parent.is_dir():
        return f" There is no folder {path.parent}.{_nearest_name(path, files) or ' Check the path.'}"
    if near := _nearest_name(path, files):
        return near
    siblings = [file.name for file in files if file.parent == path.parent]
    return f" The folder {path.parent} holds {first_few(siblings)}." if siblings else " Check the path."


def _nearest_name(path: Path, files: list[Path]) -> str:
    by_stem: dict[str, Path] = {}
    for file in files:
        by_stem.setdefault(file.stem.lower(), file)
    near = difflib.get_close_matches(path.stem.lower(), list(by_stem), n=1, cutoff=0.6)
    return f" Did you mean {by_stem[near[0]]}?" if near else ""
