"""Options of training in two processes: equal to one process on the same batches, and bit-exact resume."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from kill_runs import fit_together
from run_fixtures import day_and_night, write_groups

from tlkit.models import classifier
from tlkit.models.classifier import Classifier
from tlkit.models.training_step import batch_seed
from tlkit.runs import RunDirectory
from tlkit.runs.run import Run
from tlkit.training.checkpoint_files import read_checkpoint
from tlkit.training.fit import fit

WORST = "val_worst_group_accuracy"
PLAIN = {
    "model.name": "test_vit",
    "data.batch_size": 8,
    "train.epochs": 3,
    "train.optimizer": "sgd",
    "train.learning_rate": 0.05,
    "train.device": "cpu",
    "augment.preset": "light",
    "report.enabled": False,
}
BOTH = PLAIN | {"data.batch_size": 4, "train.devices": 2}
GROUPS = {
    "train.loss": "group_dro",
    "train.group_dro_step": 20.0,
    "train.monitor": WORST,
    "train.accumulate_grad_batches": 2,
    "train.ema_decay": 0.9,
}
KILLS = int(os.environ.get("TLKIT_KILLS", "1"))


@pytest.fixture
def recipe(tiny_recipe):
    """Return a recipe over 22 training images (two full batches of 8, one of 6) and 17 of val, in uneven groups."""
    path = tiny_recipe(groups={"light": day_and_night}, train=11, val=9, test=2)
    root = path.parent / "colours"
    (root / "val" / "red" / "000.png").unlink()
    for number in (1, 2, 4):  # wrong labels, more of them by day
        (root / "val" / "red" / f"00{number}.png").rename(root / "val" / "blue" / f"10{number}.png")
    write_groups(root, {"light": day_and_night})
    return path


def in_two(recipe, overrides, name, *, codes=(0, 0), **more) -> Run:
    assert fit_together(Path(), recipe, BOTH | overrides | {"name": name}, **more) == list(codes), (
        Path("log").read_text() + Path("log-1").read_text()
    )
    return Run(RunDirectory(Path("runs") / name))


def last_state(run):
    return read_checkpoint(max(run.directory.checkpoints.glob("*.ckpt")))["state_dict"]


def assert_close(one, two):
    states = last_state(one), last_state(two)
    assert set(states[0]) == set(states[1])
    for name, tensor in states[0].items():
        torch.testing.assert_close(states[1][name], tensor, rtol=1e-4, atol=1e-6, msg=lambda m, n=name: f"{n}: {m}")
    pd.testing.assert_frame_equal(two.history, one.history, rtol=1e-4)
    counted = [name for name in one.history if name.startswith(WORST)]
    pd.testing.assert_frame_equal(two.history[counted], one.history[counted], check_exact=True)


@pytest.mark.series
def test_group_dro_worst_group_and_early_stopping_use_the_images_of_both_processes(recipe):
    """In epochs balanced by group, accumulated over an uneven last batch, and averaged."""
    stopping = {"monitor": WORST, "patience": 1, "min_delta": 1.0}
    more = GROUPS | {"train.sampling": "group_balanced", "train.early_stopping": stopping}
    one = fit(recipe, PLAIN | more | {"name": "one"})
    two = in_two(recipe, more, "two")
    assert_close(one, two)
    assert two.history[WORST].round(6).tolist() == [round(9 / 11, 6)] * 2
    q = last_state(two)["loss.log_q"].exp()
    assert len(q) == 4 and q.max() > 1.5 * q.min()
    assert Path("log").read_text().count("worst group of val is day") == 2
    assert Path("log-1").read_text() == ""


@pytest.mark.series
def test_if_one_process_is_killed_the_other_ends_and_the_run_resumes_to_the_same_bits(recipe):
    whole = in_two(recipe, GROUPS, "whole")
    random = np.random.default_rng(0)
    cases = [(1, "validation", 4), (0, "validation", 5)]
    for _ in range(KILLS - 1):
        victim = int(random.integers(2))
        kind = str(
            random.choice(["validation", "after a batch", "before a step", "write", "renaming"][: 5 - 2 * victim])
        )
        cases.append((victim, kind, int(random.integers(1, 6))))
    for number, (victim, kind, at) in enumerate(cases):
        found = fit_together(Path(), recipe, BOTH | GROUPS | {"name": f"{number}"}, victim=victim, kind=kind, at=at)
        assert found[victim] == -signal.SIGKILL and found[1 - victim] in (2, -signal.SIGTERM), (victim, kind, at)
        begun = Path(f"runs/{number}/run.json").is_file()
        resumed = in_two(recipe, GROUPS, f"{number}", resume=begun)
        pd.testing.assert_frame_equal(resumed.history, whole.history, check_exact=True)
        states = last_state(whole), last_state(resumed)
        assert all(torch.equal(tensor, states[1][name]) for name, tensor in states[0].items()), (victim, kind, at)


@pytest.mark.series
def test_each_process_mixes_its_own_images(recipe, monkeypatch):
    """One process that mixes the halves of each balanced batch separately, with both seeds, trains the same."""
    mixing = {"train.mixup": 0.4, "train.cutmix": 1.0, "train.mixup_off_epochs": 1}
    more = mixing | {"train.sampling": "balanced", "train.ema_decay": 0.9, "train.loss": "focal"}
    original = Classifier.batch_loss

    def in_halves(self, batch, *, epoch, batch_idx):
        half = min(4, -(-len(batch[1]) // 2))
        losses = []
        for rank, part in enumerate((slice(None, half), slice(half, None))):
            monkeypatch.setattr(classifier, "batch_seed", lambda *a, r=rank, **o: batch_seed(*a, **o | {"rank": r}))
            losses.append(original(self, [tensor[part] for tensor in batch], epoch=epoch, batch_idx=batch_idx))
        return (half * losses[0] + (len(batch[1]) - half) * losses[1]) / len(batch[1])

    two = in_two(recipe, more, "two")
    monkeypatch.setattr(Classifier, "batch_loss", in_halves)
    assert_close(fit(recipe, PLAIN | more | {"name": "one"}), two)
