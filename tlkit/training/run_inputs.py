"""What a fit knows before training, and its files: versions, data and weights, the split, leaks, the attribution."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from tlkit.csv_files import csv_text
from tlkit.data.decode.decode_options import DecodeOptions
from tlkit.inference.feature_leaks import add_feature_leaks
from tlkit.inference.recipe_features import CachedFeatures
from tlkit.recipe import dump_recipe
from tlkit.runs import RunDirectory
from tlkit.runs.run_pages import read_attribution
from tlkit.training.environment import environment_of
from tlkit.training.prepare import Prepared


@dataclass(frozen=True)
class Inputs:
    """What is known before training: versions, data and weights; images that leak; the attribution of the images."""

    environment: Mapping[str, Any]
    leaks: pd.DataFrame
    attribution: str | None


def known_inputs(prepared: Prepared, *, before: Mapping[str, Any] | None) -> Inputs:
    """Return what is known before training; `before` is the environment of a resumed run's last attempt."""
    leaks = prepared.data.dataset.leaks
    assert leaks is not None, "the dataset of a fit is checked"
    return Inputs(
        environment_of(prepared, before=before),
        leaks.table.assign(dropped="yes" if prepared.recipe.data.on_leak == "drop" else ""),
        read_attribution(prepared.data.samples.root / "ATTRIBUTION.txt"),
    )


def with_features(inputs: Inputs, prepared: Prepared, features: CachedFeatures) -> Inputs:
    """Return the inputs with the origin of the features, and with leaks found by them unless an image lacks them."""
    data, section = prepared.data, prepared.recipe.data
    environment = {**inputs.environment, "features": features.plain.made_by.to_dict()}
    if len(features.plain) < len(data.samples):
        return replace(inputs, environment=environment)
    leaks = add_feature_leaks(
        data.samples,
        features.plain,
        inputs.leaks,
        on_leak=section.on_leak,
        gray_thumbnails=data.dataset.gray_thumbnails,
        decode_options=DecodeOptions.of(section),
    )
    return replace(inputs, environment=environment, leaks=leaks)


def with_changes(inputs: Inputs, paths: Sequence[str]) -> Inputs:
    """Return the inputs with the images that were read with another content than that in `split.csv`."""
    changed = sorted({*inputs.environment.get("changed_images", ()), *paths})
    return replace(inputs, environment={**inputs.environment, "changed_images": changed}) if changed else inputs


def write_inputs(directory: RunDirectory, prepared: Prepared, inputs: Inputs) -> None:
    """Write the recipe, the environment, the split, the excluded images, the leaks and the attribution."""
    data = prepared.data
    directory.write_text(directory.recipe, dump_recipe(prepared.recipe))
    data.samples.to_csv(directory.split)
    write_table(directory, directory.excluded, pd.DataFrame(data.dataset.excluded, columns=["path", "reason"]))
    if inputs.attribution is not None:
        directory.write_text(directory.attribution, inputs.attribution)
    directory.write_json(directory.environment, inputs.environment)
    write_table(directory, directory.leaks, inputs.leaks)
    write_table(directory, directory.alike, data.dataset.alike)


def write_table(directory: RunDirectory, path: Path, table: pd.DataFrame) -> None:
    """Write a table as CSV, atomically."""
    directory.write_text(path, csv_text(table))
