"""The format of a stored model's `model.json`, and how its earlier versions are read. Needs no torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tlkit.errors import ModelError, go_on
from tlkit.stored_formats import Format
from tlkit.stored_values import read_json

TENSORS_FILE, FACTS_FILE = "model.safetensors", "model.json"


def _with_options_and_head(values: dict[str, Any]) -> dict[str, Any]:
    """Version 1 to 2: adds the options of an architecture's variant and a head in its own file, both empty."""
    return {"options": {}, "head": {}, **values}


def _with_full_decode(values: dict[str, Any]) -> dict[str, Any]:
    """Version 2 to 3: images may be decoded at a reduced scale; before, every pixel was."""
    return {**values, "preprocess": {"decode": "full", **values["preprocess"]}}


def _without_calibration(values: dict[str, Any]) -> dict[str, Any]:
    """Version 3 to 4: logits may be rescaled; before, none were."""
    return {"calibration": None, **values}


def _of_one_class(values: dict[str, Any]) -> dict[str, Any]:
    """Version 4 to 5: a model may say several labels, a grade or a number; before, it said one class."""
    return {"task": "multiclass", "target_scale": None, "rule": {}, **values}


def _of_one_number(values: dict[str, Any]) -> dict[str, Any]:
    """Version 5 to 6: a model may give each pixel a class, or quantiles of a number; before, none did."""
    return {"decoder": {}, "quantiles": None, **values}


MODEL_FORMAT = Format(
    "a stored model",
    6,
    "Train it again.",
    error=ModelError,
    upgrades={
        1: _with_options_and_head,
        2: _with_full_decode,
        3: _without_calibration,
        4: _of_one_class,
        5: _of_one_number,
    },
)
"""A model is written in the lowest version that holds its facts, so that an earlier tlkit can read it."""


def no_model(folder: Path) -> str:
    """Return the sentence that says that there is no stored model in a folder, and what to do where a run lacks one."""
    missing = f"There is no stored model in {folder} ({FACTS_FILE} is missing)."
    run = folder.parent
    if not (run / "run.json").is_file():
        return missing
    return f"{missing} Its training did not finish, or the model was removed. {go_on(run)}"


def task_of_model(folder: Path) -> str:
    """Return what a stored model says of an image, such as "multilabel".

    It is "multiclass" where there is no model, or its file is damaged: whoever opens it says what is wrong.

    Args:
        folder: the folder of the model, with `model.json`.
    """
    try:
        values = read_json(folder / FACTS_FILE, error=ModelError, remedy="")
    except (FileNotFoundError, ModelError):
        return "multiclass"
    return str(values.get("task", "multiclass"))
