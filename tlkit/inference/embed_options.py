"""`EmbedOptions`: engine, device, cache, workers and pixel limit of an embedding, with their defaults."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, Self

from tlkit.choices import ENGINE_TOLERANCE, EngineName
from tlkit.data.decode.decode_options import DecodeOptions
from tlkit.features.cache import FeatureCache
from tlkit.recipe import Recipe


@dataclass(frozen=True)
class EmbedOptions:
    """How features are computed and where they are kept.

    Attributes:
        engine: what runs the backbone; auto = by rule and a parity check, see `engine_choice`.
        tolerance: smallest cosine similarity with float32 torch that `engine: auto` accepts, in (0, 1].
        device: auto, cpu, cuda or mps.
        cache: where features are kept.
        num_workers: processes that decode images, or "auto".
        decode: pixel limit and background color of decoding.
        fold_batch_norm: whether batch normalization is folded into convolutions, which changes the last digits.

    Example:
        >>> EmbedOptions(engine="torch", num_workers=0).engine
        'torch'
    """

    engine: EngineName | Literal["auto"] = "auto"
    tolerance: float = ENGINE_TOLERANCE
    device: str = "auto"
    cache: FeatureCache = field(default_factory=FeatureCache)
    num_workers: int | Literal["auto"] = "auto"
    decode: DecodeOptions = DecodeOptions()
    fold_batch_norm: bool = True

    @classmethod
    def of_recipe(cls, recipe: Recipe) -> Self:
        """Return what the `features` and `data` sections of a recipe state; the device is auto."""
        return cls(
            engine=recipe.features.engine,
            tolerance=recipe.features.tolerance,
            cache=FeatureCache(limit_bytes=int(recipe.features.cache_limit_gb * 1e9)),
            num_workers=recipe.data.num_workers,
            decode=DecodeOptions.of(recipe.data),
        )
