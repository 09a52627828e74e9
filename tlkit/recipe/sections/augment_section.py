"""The section `augment` of a recipe: augmentation of the training images."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from tlkit.preprocess import MAX_SIDE
from tlkit.recipe import value_types as v
from tlkit.recipe.sections.section import Section
from tlkit.recipe.value_types import Expected

MOST_OF = (
    (re.compile("control_points"), 32),  # a system of equations of this number, squared
    (re.compile("grid|nb_|steps"), 128),
    (re.compile("num_|number|segments|iterations|objects"), 1000),
    (re.compile("kernel|blur|radius|sigma|delta"), 1000),
    (re.compile("scale|percent|factor"), 10),  # an image of 8,192 px times this no longer fits into memory
    (re.compile("px|padding"), 4096),
    (re.compile("height|width|size"), MAX_SIDE),
)
"""Largest magnitude of a number by the name of its argument: what makes an image, a kernel or a loop large."""
MOST = 65_536
"""Largest magnitude of any other number: pixel values of 16 bits, kelvins, degrees."""
LEAST_STEP = 0.001
"""Smallest `step_factor`, by which a loop advances."""
Preset = Literal["none", "light", "medium", "heavy"]


class TransformSpec(BaseModel):
    """One Albumentations transform: its name and its arguments, in one mapping."""

    model_config = ConfigDict(extra="allow", frozen=True)

    name: Annotated[v.Text, Expected("the name of an Albumentations transform, such as HorizontalFlip", text=True)] = (
        Field(
            description="Class of the transform in Albumentations; every other key is an argument of it.",
            examples=["HorizontalFlip"],
        )
    )

    @property
    def arguments(self) -> dict[str, Any]:
        """Keyword arguments of the transform: plain numbers, texts, lists and mappings."""
        return dict(self.model_extra or {})

    @model_validator(mode="before")
    @classmethod
    def _plain_values(cls, given: Any) -> Any:
        return {key: _plain(value, str(key)) for key, value in given.items()} if isinstance(given, Mapping) else given


def most_of(argument: str) -> int:
    """Return the largest magnitude of a number in an argument, by its name; of nested ones a path with dots.

    Example:
        >>> [most_of(name) for name in ("p", "num_holes_range", "scale_limit", "transforms.height")]
        [65536, 1000, 10, 8192]
    """
    return next((most for name, most in MOST_OF if name.search(argument)), MOST)


def _plain(value: Any, key: str) -> Any:
    """Return `value` with lists for tuples; raise for values that YAML cannot hold, or that are out of range."""
    if isinstance(value, Mapping):
        return {str(name): _plain(item, f"{key}.{name}") for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, key) for item in value]
    if isinstance(value, int | float) and not isinstance(value, bool):
        most = most_of(key)
        if not (abs(value) <= most and math.isfinite(value)):
            raise v.value_error(f"holds {key}: {str(value)[:40]}. Use a number from {-most:,} to {most:,}.")
        if key.endswith("step_factor") and value < LEAST_STEP:
            raise v.value_error(f"holds {key}: {value}. Use a number of at least {LEAST_STEP}.")
        return value
    if value is None or isinstance(value, str | bool):
        return value
    raise v.value_error(f"holds {value!r}. Use numbers, texts, lists and mappings as arguments.")


class AugmentSection(Section):
    """Augmentation of the training images: a preset, or a list of transforms."""

    preset: Preset = Field(
        "light", description="Predefined transforms, from none to heavy; not used where `transforms` is given."
    )
    transforms: Annotated[
        Annotated[tuple[TransformSpec, ...], Field(min_length=1)] | None,
        Expected("a list of transforms such as [{name: HorizontalFlip, p: 0.5}], or preset: none for no augmentation"),
    ] = Field(None, description="Albumentations transforms in order, instead of `preset`; null = use the preset.")
