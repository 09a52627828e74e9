"""Fixtures for runs: a recipe for a tiny data set, and a working directory of its own for every test."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import tlkit.torchvision_cure  # noqa: F401  before tests that import timm or torchvision themselves

import pandas as pd
import pytest
from image_folders import write_image_folder

from tlkit.predictions import Predictions
from tlkit.runs import RunDirectory
from tlkit.runs.run import Run, open_run
from tlkit.samples import Samples

TINY = """\
recipe_version: 1
name: tiny
data: {{root: {root}, batch_size: 8, num_workers: 0, image_size: 32, val: 0.25, test: 0.25{more}}}
augment: none
model: {{name: test_resnet, weights: none}}
strategy: {strategy}
train: {{epochs: 2, learning_rate: 0.01}}
"""
Groups = dict[str, Callable[[int, str], str]]
"""For each group column a value from the number of an image and its path."""


def write_recipe(
    folder: Path,
    *,
    more: str = "",
    tail: str = "",
    strategy: str = "full",
    groups: Groups | None = None,
    report: bool = False,
    **splits: int,
) -> Path:
    """Write a recipe over a small folder of coloured images; audited by the first of the groups, if there are any.

    Its figures take longer than a tiny fit, so there is a report only on request.
    """
    root = write_image_folder(folder / "colours", **(splits or {"": 16}))
    if groups:
        write_groups(root, groups)
        more = f", metadata: meta.csv, groups: [{', '.join(groups)}]{more}"
        tail = tail or f"audit: {{by: [{next(iter(groups))}], min_group_size: 2}}\n"
    path = folder / "tiny.yaml"
    if not report and "report:" not in tail:
        tail += "report: {enabled: false}\n"
    path.write_text(TINY.format(root=root, more=more, strategy=strategy) + tail)
    return path


def write_groups(root: Path, groups: Groups) -> None:
    """Write the group columns of the images in a folder to its meta.csv."""
    paths = sorted(path.relative_to(root).as_posix() for path in root.rglob("*.png"))
    values = {name: [value(number, path) for number, path in enumerate(paths)] for name, value in groups.items()}
    pd.DataFrame({"path": paths, **values}).to_csv(root / "meta.csv", index=False)


def day_and_night(_: int, path: str) -> str:
    """Every third image of a class is a night picture."""
    return "night" if int(path[-7:-4]) % 3 == 0 else "day"


@contextmanager
def working_in(folder: Path) -> Iterator[pytest.MonkeyPatch]:
    """Work in a folder with a feature cache of its own; for fixtures of a whole module."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("TLKIT_CACHE", str(folder / "cache"))
        yield patch


def copy_of_run(path: Path) -> Run:
    """Copy a run that several tests share into the working directory."""
    return open_run(shutil.copytree(path, Path("runs") / path.name))


@pytest.fixture
def tiny_recipe(tmp_path):
    """Return a maker of recipes over a small folder of coloured images, as `write_recipe` takes them."""
    return lambda **given: write_recipe(tmp_path, **given)


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path, monkeypatch, caplog):
    monkeypatch.chdir(tmp_path)
    caplog.set_level(logging.DEBUG, logger="tlkit")


def write_run(path: Path, recipe: str, table: pd.DataFrame, predictions: Predictions, *, root: Path = Path("photos")):
    """Write what a fit leaves behind, without a model, and return the run.

    Args:
        path: of the run.
        recipe: its text.
        table: columns `path` and `label` of the images, and perhaps `split`, `digest` and groups.
        predictions: of the test split.
        root: folder of the images.
    """
    directory = RunDirectory.create(path)
    directory.recipe.write_text(recipe)
    defaults = {"split": "test", "digest": ""}
    table = table.assign(**{name: value for name, value in defaults.items() if name not in table})
    Samples(root, predictions.classes, table).to_csv(directory.split)
    directory.predictions("test").parent.mkdir()
    predictions.to_parquet(directory.predictions("test"))
    directory.write_json(directory.environment, {"data": {"root": str(root)}})
    directory.set_status("finished")
    return open_run(path)


def verify_on_few_sizes(patch):
    """Let exports be verified on small made images; `test_export` and the series take those of every size."""
    patch.setattr("tlkit.inference.export.torture_images.SIZES", ((1, 1), (3, 100), (100, 250)))
