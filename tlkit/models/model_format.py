"""The format of a stored model's `model.json`, and how its earlier versions are read. Needs no torch."""

from __future__ import annotations

from typing import Any

from tlkit.errors import ModelError
from tlkit.stored_formats import Format


def _with_options_and_head(values: dict[str, Any]) -> dict[str, Any]:
    """Version 1 to 2: the head may be a file of its own; at first a variant of the architecture could not be stated."""
    return {"options": {}, "head": {}, **values}


def _with_full_decode(values: dict[str, Any]) -> dict[str, Any]:
    """Version 2 to 3: images may be decoded at a reduced scale; before, every pixel was."""
    return {**values, "preprocess": {"decode": "full", **values["preprocess"]}}


def _without_calibration(values: dict[str, Any]) -> dict[str, Any]:
    """Version 3 to 4: logits may be rescaled; before, none were."""
    return {"calibration": None, **values}


MODEL_FORMAT = Format(
    "a stored model",
    4,
    "Train it again.",
    error=ModelError,
    upgrades={1: _with_options_and_head, 2: _with_full_decode, 3: _without_calibration},
)
"""A model is written in the lowest version that holds its facts, so that an earlier tlkit can read it."""
