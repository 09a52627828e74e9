"""Reads a sweep file: a recipe, the keys that are searched with their values, and how; validated like a recipe."""

from __future__ import annotations

import math
import os
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from tlkit.errors import RecipeError
from tlkit.recipe import value_types as v
from tlkit.recipe.field_tree import field_at, keys_at, kinds, takes_keys
from tlkit.recipe.loading import load_recipe, read_text
from tlkit.recipe.schema import Recipe
from tlkit.recipe.sections.data_section import DataSection
from tlkit.recipe.sections.section import Section
from tlkit.recipe.unknown_keys import unknown_in, unknown_key
from tlkit.recipe.validation_messages import report_errors
from tlkit.recipe.value_messages import in_yaml
from tlkit.recipe.value_types import Expected
from tlkit.recipe.yaml_nodes import Document, KeyPath, read_yaml

Sampler = Literal["tpe", "random", "grid"]
Pruner = Literal["none", "median"]

RANGE_KEYS = ("low", "high", "log", "step")
SAME_IN_ALL_TRIALS = ("recipe_version", "name", "seed")
NOT_THE_SPLIT = frozenset(
    {
        *("shuffle_buffer", "batch_size", "num_workers", "image_size"),
        *("resize", "crop_pct", "background", "decode", "max_pixels"),
    }
)
"""Keys of `data` that leave the images and labels of val as they are; the others cannot be searched."""
MOST_PROBLEMS = 5
COMBINATIONS = 40
"""So many random combinations are checked before a sweep begins, besides every value on its own."""


@dataclass(frozen=True)
class Choices:
    """A key with a list of values.

    Attributes:
        key: dotted recipe key.
        values: at least two, in the order of the file.
    """

    key: str
    values: tuple[Any, ...]

    @property
    def ends(self) -> tuple[Any, ...]:
        """Every value."""
        return self.values

    def draw(self, generator: random.Random) -> Any:
        """Return a random value."""
        return generator.choice(self.values)


@dataclass(frozen=True)
class Range:
    """A key with a range of numbers.

    Attributes:
        key: dotted recipe key.
        low: smallest value.
        high: largest value.
        log: whether values are drawn evenly on a logarithmic scale.
        step: distance of the values from `low` on; None = any value, or any whole number.
        whole: whether the values are whole numbers.
    """

    key: str
    low: float
    high: float
    log: bool
    step: float | None
    whole: bool

    @property
    def ends(self) -> tuple[Any, ...]:
        """Both ends."""
        return (self.low, self.high)

    def draw(self, generator: random.Random) -> Any:
        """Return a random value."""
        if self.whole:
            return generator.randint(int(self.low), int(self.high))
        return generator.uniform(self.low, self.high)


Parameter = Choices | Range


class SweepSection(Section):
    """The content of a sweep file."""

    sweep_version: Annotated[Literal[1], v.ExactInt, Expected("1")] = Field(
        description="Version of the sweep format: 1.", examples=[1]
    )
    name: v.Name = Field(description="Name of the sweep and of its directory below runs/.", examples=["insects-sweep"])
    recipe: Annotated[v.Text, Expected("the path of a recipe, such as recipes/quickstart.yaml", text=True)] = Field(
        description="The default recipe, relative to the working directory.", examples=["insects.yaml"]
    )
    metric: Annotated[v.Text, Expected("the name of a metric, such as accuracy or log_loss", text=True)] = Field(
        "accuracy", description="Metric of val that chooses the winner: any that `tlkit compare --metric` takes."
    )
    trials: Annotated[int, Field(strict=True, ge=1, le=100_000), Expected("a whole number from 1 to 100,000")] = Field(
        20, description="Number of trials, 1 to 100,000; it may be raised later, and the sweep goes on."
    )
    sampler: Sampler = Field(
        "tpe",
        description="tpe = Bayesian (Bergstra et al. 2011), random, or grid = every combination of lists of values.",
    )
    pruner: Pruner = Field(
        "none",
        description="median = stop a trial whose best epoch so far is worse than the median of earlier trials at it.",
    )
    seed: v.Seed = Field(0, description="Seed of the search, from 0 to 4294967295.")
    space: Annotated[
        Mapping[str, Any],
        Field(min_length=1),
        Expected("dotted recipe keys with values, such as train.learning_rate: {low: 0.0001, high: 0.01, log: true}"),
    ] = Field(
        description="By dotted recipe key a list of values, or {low, high} with log or step.",
        examples=[{"train.weight_decay": [0.0, 0.01]}],
    )


@dataclass(frozen=True)
class SweepFile:
    """A sweep as read, with its default recipe.

    Attributes:
        source: name of the file.
        settings: its content.
        recipe: the default recipe.
        space: the keys that are searched, in the order of the file.
    """

    source: str
    settings: SweepSection
    recipe: Recipe
    space: tuple[Parameter, ...]

    def recipe_with(self, values: Mapping[str, Any]) -> Recipe:
        """Return the default recipe with values by dotted key.

        Raises:
            RecipeError: the values contradict each other or the recipe.
        """
        return load_recipe(self.settings.recipe, values)


def load_sweep(path: str | os.PathLike[str]) -> SweepFile:
    """Return a sweep file with its recipe, checked as a whole.

    Every value and both ends of every range are tried in the recipe, and some random combinations.

    Raises:
        RecipeError: all problems of the file, each with its place and its remedy, or those of its recipe.
    """
    name = os.fspath(path)
    document = read_yaml(read_text(Path(name), name, kind="sweep file"), source=name)
    if not isinstance(document.value, dict) and not document.problems:
        raise RecipeError(f"{name}  holds no sweep. Begin with sweep_version: 1, name, recipe and space.")
    settings = None
    try:
        settings = SweepSection.model_validate(document.value)
    except ValidationError as error:
        report_errors(error, document, root=SweepSection)
    given = document.value.get("space") if isinstance(document.value, dict) else None
    space = _read_space(given if isinstance(given, dict) else {}, document)
    if settings is None or document.problems:
        raise RecipeError(*document.messages())
    if settings.sampler == "grid" and (ranges := [one.key for one in space if isinstance(one, Range)]):
        document.report(("sampler",), f"sampler is grid, and {ranges[0]} is a range. List its values, or use random.")
    recipe = load_recipe(settings.recipe)
    file = SweepFile(name, settings, recipe, space)
    if not document.problems:
        _check_values(file, document)
    if document.problems:
        raise RecipeError(*document.messages())
    return file


def _read_space(given: Mapping[str, Any], document: Document) -> tuple[Parameter, ...]:
    """Return the searched keys; problems are added to the document."""
    found = []
    for key, value in given.items():
        where: KeyPath = ("space", key)
        if problem := _key_problem(key, tuple(given)):
            document.report(where, problem)
            continue
        read = _read_range(key, value, document) if isinstance(value, dict) else _read_choices(key, value, document)
        if read is not None:
            found.append(read)
    return tuple(found)


def _key_problem(key: str, keys: Sequence[str]) -> str | None:
    path = tuple(key.split("."))
    field, depth = field_at(path)
    if field is None or (depth < len(path) and not takes_keys(field)) or path[-1] in ("", *path[:-1]):
        return unknown_key(path, as_written=key)
    if depth < len(path) and keys_at(path[:-1]):
        return unknown_key(path, as_written=key)
    if path[0] in SAME_IN_ALL_TRIALS:
        return f"{key} is the same in all trials: they must judge the same images. Remove it from space."
    if path[0] == "data" and (len(path) == 1 or path[1] not in NOT_THE_SPLIT):
        searched = ", ".join(f"data.{name}" for name in DataSection.model_fields if name in NOT_THE_SPLIT)
        return (
            f"{key} decides which images and labels val has, so trials could not be compared. Of data use {searched}."
        )
    if inside := [other for other in keys if other.startswith(f"{key}.")]:
        return f"{key} contains {inside[0]}, which is searched, too. Keep one of them."
    return None


def _read_choices(key: str, value: Any, document: Document) -> Choices | None:
    if not isinstance(value, list) or not value:
        text = f"{key} is {in_yaml(value)}. Use a list of values, or {{low: 0.001, high: 0.1, log: true}}."
        document.report(("space", key), text)
        return None
    labels = [in_yaml(one) for one in value]
    if twice := next((label for label in labels if labels.count(label) > 1), None):
        document.report(("space", key), f"{key} lists {twice} twice. Keep one of them.")
        return None
    if len(value) == 1:
        document.report(("space", key), f"{key} has one value. Put it into the recipe, or add another.")
        return None
    return Choices(key, tuple(value))


def _read_range(key: str, given: Mapping[str, Any], document: Document) -> Range | None:
    """Return a range of numbers; None where it has a problem, which is added to the document."""
    field, _ = field_at(tuple(key.split(".")))
    taken = kinds(field) if field is not None else frozenset()
    problem = next(_range_problems(key, given, taken), None)
    if problem is not None:
        document.report(("space", key, *problem[0]), problem[1])
        return None
    return Range(key, given["low"], given["high"], given.get("log", False), given.get("step"), whole=float not in taken)


def _range_problems(key: str, given: Mapping[str, Any], taken: frozenset[type]) -> Iterator[tuple[KeyPath, str]]:
    """Yield the problems of a range: the key within it, and the message."""
    for name in given:
        if name not in RANGE_KEYS:
            yield (name,), f"{key}: {unknown_in((name,), RANGE_KEYS)}"
    if not taken & {int, float}:
        yield (), f"{key} takes no number, so it has no range. Use a list of values."
    for name in ("low", "high"):
        if given.get(name) is None:
            yield (), f"{key} has no {name}. Write {{low: NUMBER, high: NUMBER}}."
    for name in ("low", "high", "step"):
        number = given.get(name)
        if number is not None and (isinstance(number, bool) or not isinstance(number, int | float)):
            yield (name,), f"{key}: {name} is {in_yaml(number)}. Use a number."
        elif number is not None and float not in taken and not isinstance(number, int):
            yield (name,), f"{key}: {name} is {number}, and {key} takes whole numbers."
    log, low, high, step = given.get("log", False), given["low"], given["high"], given.get("step")
    if not isinstance(log, bool):
        yield ("log",), f"{key}: log is {in_yaml(log)}. Use true or false."
    if low >= high:
        yield ("low",), f"{key}: low is {low} and high is {high}. Use a low that is below high."
    if log and low <= 0:
        yield ("low",), f"{key}: low is {low}, and a logarithmic range begins above 0."
    if step is not None and (log or not 0 < step <= high - low):
        yield ("step",), f"{key}: step is {step}. Use one from above 0 to {high - low:g}, without log."


def _check_values(file: SweepFile, document: Document) -> None:
    """Load the recipe with every value, and with random combinations; what is wrong is reported at its place."""
    for values in _tried(file.space):
        try:
            file.recipe_with(values)
        except RecipeError as error:
            places = {f"override {key}={in_yaml(value)}  ": key for key, value in values.items()}
            for problem in error.problems:
                before = next((text for text in places if problem.startswith(text)), None)
                where: KeyPath = ("space", places[before]) if before is not None else ("space",)
                document.report(where, problem.removeprefix(before or ""))
            if len(document.problems) >= MOST_PROBLEMS:
                return


def _tried(space: Sequence[Parameter]) -> Iterator[dict[str, Any]]:
    """Yield the first values of all keys, each other value in its place, and random combinations."""
    first = {one.key: one.ends[0] for one in space}
    yield first
    for one in space:
        yield from ({**first, one.key: value} for value in one.ends[1:])
    generator = random.Random(0)  # noqa: S311  nothing secret
    if math.prod(len(one.ends) for one in space) > 2:
        yield from ({one.key: one.draw(generator) for one in space} for _ in range(COMBINATIONS))
