"""The section `features` of a recipe: computing and caching the features of a frozen backbone."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from tlkit.choices import CACHE_LIMIT_GB, ENGINE_TOLERANCE, EngineName
from tlkit.recipe import value_types as v
from tlkit.recipe.sections.section import Section
from tlkit.recipe.value_types import Expected


class FeaturesSection(Section):
    """Computing and caching the features of a frozen backbone, or the activations of its frozen part."""

    cache: Annotated[Literal["auto", "never"], Expected("auto or never")] = Field(
        "auto",
        description="auto = train on cached features of a frozen backbone, or cached activations of its frozen part, "
        "unless augmentation changes the pixels every epoch; never = run the backbone every epoch.",
    )
    engine: Literal["auto", EngineName] = Field(
        "auto",
        description="Engine that runs the frozen backbone; auto = ONNX Runtime on a CPU and torch in bfloat16 on a "
        "GPU, where the features are within `tolerance` of float32 torch, else torch.",
    )
    tolerance: v.UpToOne = Field(
        ENGINE_TOLERANCE,
        description="Smallest cosine similarity with float32 torch that `engine: auto` accepts, above 0 and up to 1.",
    )
    views: v.Views = Field(
        0,
        description="Augmented views of every training image to cache, one for each epoch in turn; 0 = the images "
        "without augmentation.",
    )
    storage: Annotated[Literal["auto", "float32", "float16"], Expected("auto, float32 or float16")] = Field(
        "auto",
        description="How cached activations of a frozen part are stored; auto = float32, and float16 where only that "
        "fits into the cache. float16 is taken only where the features that follow are within `tolerance`.",
    )
    cache_limit_gb: v.Positive = Field(
        CACHE_LIMIT_GB,
        description="Gigabytes that cached features may take, above 0; the least recently used go first.",
    )
