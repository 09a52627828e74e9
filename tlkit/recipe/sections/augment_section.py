"""The section `augment` of a recipe: augmentation of the training images."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from tlkit.recipe import value_types as v
from tlkit.recipe.sections.section import Section
from tlkit.recipe.value_types import Expected

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
        return {key: _plain(value) for key, value in given.items()} if isinstance(given, Mapping) else given


def _plain(value: Any) -> Any:
    """Return `value` with lists for tuples; raise for values that YAML cannot hold."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if value is None or isinstance(value, str | bool | int) or (isinstance(value, float) and math.isfinite(value)):
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
