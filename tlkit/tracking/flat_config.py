"""A nested configuration as dotted keys with plain values, as MLflow and TensorBoard take it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Plain = float | int | str | bool


def flat_config(config: Mapping[str, Any], prefix: str = "") -> dict[str, Plain]:
    """Return the values by dotted key; a list and null become text.

    Example:
        >>> flat_config({"seed": 3, "train": {"epochs": 2, "betas": [0.9, 0.99], "ema": None}})
        {'seed': 3, 'train.epochs': 2, 'train.betas': '[0.9, 0.99]', 'train.ema': 'None'}
    """
    flat: dict[str, Plain] = {}
    for name, value in config.items():
        key = f"{prefix}{name}"
        if isinstance(value, Mapping):
            flat |= flat_config(value, f"{key}.")
        else:
            flat[key] = value if isinstance(value, int | float | str | bool) else str(value)
    return flat
