"""A run that is killed anywhere and resumed ends, to the last bit, as the run that never stopped."""

from __future__ import annotations

import json
import os
import random
import signal
from pathlib import Path
from typing import get_args

import pytest
import torch
from killing import count_events, fit_apart

from tlkit.recipe import Strategy

KILLS = int(os.environ.get("TLKIT_KILLS", "1"))
STRATEGIES = [kind.model_fields["kind"].default for kind in get_args(Strategy)]
CASES = [(kind, 0) for kind in STRATEGIES] + [(kind, 2) for kind in (STRATEGIES if KILLS > 1 else ["full"])]
OVERRIDES = {
    "name": "cut",
    "data.batch_size": 4,
    "train.epochs": 3,
    "train.checkpoint_every": 3,
    "model.drop_rate": 0.3,
    "augment.preset": "light",
    "report.enabled": False,
}


@pytest.fixture
def folders(tmp_path):
    """Return a maker of folders to run in."""

    def make(name: str) -> Path:
        (tmp_path / name).mkdir()
        return tmp_path / name

    return make


def outcome(folder: Path) -> dict[str, object]:
    """Return all that a fit leaves behind: weights, optimizer, schedule, metrics, random numbers, predictions."""
    run = folder / "runs" / "cut"
    last = torch.load(run / "checkpoints" / "epoch-0003.ckpt", weights_only=True)
    rng = dict(map(json.loads, (folder / "rng").read_text().splitlines()))
    for rest in (".partial", ".lock"):
        assert not [path for path in folder.rglob("*") if path.name.endswith(rest)]
    return {
        "model": (run / "model" / "model.safetensors").read_bytes(),
        "metrics": (run / "metrics.csv").read_bytes(),
        "predictions": (run / "predictions" / "val.parquet").read_bytes(),
        "status": json.loads((run / "run.json").read_text())["status"],
        "rng": rng,
        **{name: last[name] for name in ("state_dict", "optimizer_states", "lr_schedulers", "epoch", "global_step")},
        "callbacks": last["callbacks"],
    }


def same(one: object, two: object) -> bool:
    """Return whether two nested values are equal, tensors to the bit."""
    if isinstance(one, torch.Tensor):
        return isinstance(two, torch.Tensor) and one.dtype == two.dtype and torch.equal(one, two)
    if isinstance(one, dict):
        return isinstance(two, dict) and list(one) == list(two) and all(same(one[key], two[key]) for key in one)
    if isinstance(one, list | tuple):
        return isinstance(two, list | tuple) and len(one) == len(two) and all(map(same, one, two))
    return one == two


def assert_same(folder: Path, whole: Path) -> None:
    found, expected = outcome(folder), outcome(whole)
    different = [name for name in expected if not same(found[name], expected[name])]
    assert not different


@pytest.mark.slow
@pytest.mark.parametrize(("strategy", "workers"), CASES)
def test_a_run_killed_anywhere_resumes_to_the_same_bits(tiny_recipe, folders, strategy, workers):
    recipe = tiny_recipe(train=10, val=2)
    overrides = OVERRIDES | {"strategy.kind": strategy, "data.num_workers": workers}
    whole = folders("whole")
    assert fit_apart(whole, recipe, overrides) == 0
    chance = random.Random(f"{strategy} {workers}")
    for number in range(KILLS if workers == 0 else max(1, KILLS // 2)):
        folder, kills = (
            folders(f"kill-{number}"),
            2 - (KILLS + number) % 2,
        )  # every other run is killed while it resumes, too
        for again in range(kills):
            at = chance.randint(1, count_events(whole) // (1 + 2 * again))
            code = fit_apart(folder, recipe, overrides, resume=again > 0, at=at)
            assert code in (-signal.SIGKILL, 0), (folder / "log").read_text()
        assert fit_apart(folder, recipe, overrides, resume=(folder / "runs" / "cut").exists()) == 0, number
        assert_same(folder, whole)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "worker"), [(signal.SIGINT, False), (signal.SIGTERM, False), (signal.SIGKILL, True)]
)
def test_a_run_stopped_by_a_signal_or_by_the_death_of_a_worker_resumes_to_the_same_bits(
    tiny_recipe, folders, number, worker
):
    recipe = tiny_recipe(train=10, val=2)
    overrides = OVERRIDES | {"data.num_workers": 2 * worker}
    whole, folder = folders("whole"), folders("cut")
    assert fit_apart(whole, recipe, overrides) == 0
    code = fit_apart(folder, recipe, overrides, at=count_events(whole) // 2, with_signal=number, worker=worker)
    assert code == (1 if worker else 130), (folder / "log").read_text()
    assert fit_apart(folder, recipe, overrides, resume=True) == 0
    assert_same(folder, whole)
