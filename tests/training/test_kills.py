"""A run that is killed at any point and resumed ends with the same bits as an uninterrupted run."""

from __future__ import annotations

import os
import random
import signal
from pathlib import Path
from typing import get_args

import pytest
from kill_runs import CUT, assert_same, begun, count_events, fit_apart
from messages import saying

from tlkit.recipe import Strategy

KILLS = int(os.environ.get("TLKIT_KILLS", "1"))
STRATEGIES = [kind.model_fields["kind"].default for kind in get_args(Strategy)]
PLAIN: dict[str, object] = {}
MIXED = {"train.mixup": 0.4, "train.cutmix": 1.0, "train.mixup_off_epochs": 1, "train.ema_decay": 0.9}
BUSY = MIXED | {"data.num_workers": 2, "train.accumulate_grad_batches": 2, "train.checkpoint_every": 1}
CACHED = {"augment.preset": "none", "train.ema_decay": 0.9}  # with a frozen backbone, the head trains on features
WAYS = {"plain": PLAIN, "mixed": MIXED, "busy": BUSY, "cached": CACHED}
QUICK = [("frozen", "cached")]
SERIES = [(kind, "plain") for kind in STRATEGIES] + [
    (kind, way) for way in ("mixed", "busy") for kind in (STRATEGIES if KILLS > 1 else ["full"])
]
CASES = [*QUICK, *(pytest.param(*case, marks=pytest.mark.series) for case in SERIES)]


@pytest.fixture
def folders(tmp_path):
    """Return a maker of folders to run in."""

    def make(name: str) -> Path:
        (tmp_path / name).mkdir()
        return tmp_path / name

    return make


@pytest.mark.slow
@pytest.mark.parametrize(("strategy", "way"), CASES)
def test_a_run_killed_at_a_random_point_resumes_to_the_same_bits(tiny_recipe, folders, strategy, way):
    recipe = tiny_recipe(train=10, val=2)
    overrides = CUT | {"strategy.kind": strategy} | WAYS[way]
    whole = folders("whole")
    assert fit_apart(whole, recipe, overrides) == 0
    events = count_events(whole)
    chance = random.Random(f"{strategy} {way}")
    kinds = chance.sample(sorted(events), len(events))
    for number in range(KILLS if way in ("plain", "cached") else max(1, KILLS // 2)):
        folder = folders(f"kill-{number}")
        for again in range(2 - (KILLS + number) % 2):  # every second run is also killed while it resumes
            kind = kinds[number % len(kinds)] if again == 0 else chance.choice(kinds)
            at = chance.randint(1, max(1, events[kind] // (1 + 2 * again)))
            code = fit_apart(folder, recipe, overrides, resume=begun(folder), kind=kind, at=at)
            assert code in (-signal.SIGKILL, 0), (folder / "log").read_text()
        assert fit_apart(folder, recipe, overrides, resume=begun(folder)) == 0, (kind, at)
        assert_same(folder, whole)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "worker"),
    [
        pytest.param(signal.SIGINT, False, marks=pytest.mark.series),
        pytest.param(signal.SIGTERM, False, marks=pytest.mark.series),
        (signal.SIGKILL, True),
    ],
)
def test_a_run_stopped_by_a_signal_or_a_killed_worker_resumes_to_the_same_bits(tiny_recipe, folders, number, worker):
    recipe = tiny_recipe(train=10, val=2)
    overrides = CUT | {"data.num_workers": 2 * worker}
    whole, folder = folders("whole"), folders("cut")
    assert fit_apart(whole, recipe, overrides) == 0
    at = count_events(whole)["after a batch"] // 2
    code = fit_apart(folder, recipe, overrides, kind="after a batch", at=at, with_signal=number, worker=worker)
    log = (folder / "log").read_text()
    assert code == (2 if worker else 128 + number), log
    if worker:  # as where the memory is full
        assert saying("runs/cut", "killed by signal", "--resume data.num_workers=0") == log
        overrides |= {"data.num_workers": 0}
    assert fit_apart(folder, recipe, overrides, resume=True) == 0
    assert_same(folder, whole)
