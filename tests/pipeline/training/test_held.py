"""Checkpoints that come moments after each other: few are written, and the disk always holds one to go on from."""

from __future__ import annotations

from pathlib import Path

import tlkit.torchvision_cure  # isort: skip  # noqa: F401

import numpy as np
import pytest
import torch

from tlkit.errors import RunError
from tlkit.pipeline.fit import fit
from tlkit.pipeline.training import held
from tlkit.pipeline.training.checkpoints import DurableCheckpointIO, KeepCheckpoints, find_start, read_checkpoint
from tlkit.pipeline.training.held import HeldCheckpointIO

CACHED = {"name": "cached", "train.epochs": 6, "augment.preset": "none", "report.enabled": False}


@pytest.fixture
def recipe(tiny_recipe):
    """A recipe whose strategy is frozen; the tiny one trains everything."""
    path = tiny_recipe()
    path.write_text(path.read_text().replace("strategy: full", "strategy: frozen"))
    return path


@pytest.fixture
def clock(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(held.time, "monotonic", lambda: now[0])
    return now


@pytest.fixture
def written(monkeypatch):
    """Note the names of the checkpoints that reach the disk."""
    names = []
    save = DurableCheckpointIO.save_checkpoint

    def note(self, checkpoint, path, storage_options=None):
        names.append(path.stem)
        save(self, checkpoint, path, storage_options)

    monkeypatch.setattr(DurableCheckpointIO, "save_checkpoint", note)
    return names


def checkpoint(value):
    return {"state_dict": {"body.w": torch.zeros(3), "head.w": torch.full((2,), value)}, "steps": [value]}


def on_disk(folder):
    return sorted(path.stem for path in folder.glob("*.ckpt"))


def test_what_comes_soon_is_held_and_what_comes_later_written(tmp_path, clock, written):
    files, paths = HeldCheckpointIO(["body."]), [tmp_path / f"epoch-{n:04d}.ckpt" for n in range(5)]
    for number, now in enumerate((0.0, 1.0, 9.9)):
        clock[0] = now
        files.save_checkpoint(checkpoint(float(number)), paths[number])
    assert written == ["epoch-0000"]
    assert files.checkpoints(tmp_path) == paths[:3]
    clock[0] = 10.0
    files.save_checkpoint(checkpoint(3.0), paths[3])
    assert written == ["epoch-0000", "epoch-0001", "epoch-0002", "epoch-0003"]
    with files.kept():
        files.save_checkpoint(checkpoint(4.0), paths[4])
        assert on_disk(tmp_path) == written[:4]
    assert on_disk(tmp_path) == [path.stem for path in paths]


def test_what_is_held_is_what_it_was_and_the_constant_part_is_no_copy(tmp_path, clock):
    files = HeldCheckpointIO(["body."])
    files.save_checkpoint(checkpoint(0.0), tmp_path / "epoch-0000.ckpt")
    living = checkpoint(1.0)
    files.save_checkpoint(living, tmp_path / "epoch-0001.ckpt")
    living["state_dict"]["head.w"].zero_()
    living["steps"].append(2)
    assert files._held[tmp_path / "epoch-0001.ckpt"]["state_dict"]["body.w"] is living["state_dict"]["body.w"]
    files.write_held()
    kept = read_checkpoint(tmp_path / "epoch-0001.ckpt")
    assert kept["steps"] == [1.0]
    np.testing.assert_array_equal(kept["state_dict"]["head.w"], [1.0, 1.0])


def test_nothing_leaves_the_disk_before_what_supersedes_it_is_there(tmp_path, clock):
    files, paths = HeldCheckpointIO([]), [tmp_path / f"epoch-{n:04d}.ckpt" for n in range(3)]
    files.save_checkpoint(checkpoint(0.0), paths[0])
    files.save_checkpoint(checkpoint(1.0), paths[1])
    files.save_checkpoint(checkpoint(2.0), paths[2])
    files.remove_checkpoint(paths[0])
    files.remove_checkpoint(paths[1])
    assert on_disk(tmp_path) == ["epoch-0000"]
    files.write_held()
    assert on_disk(tmp_path) == ["epoch-0002"]
    assert not list(tmp_path.glob("epoch-0000*"))
    files.remove_checkpoint(paths[2])  # nothing is held
    assert on_disk(tmp_path) == []


def test_a_run_on_cached_features_writes_few_and_ends_with_those_of_any_run(recipe, written, monkeypatch):
    run = fit(recipe, CACHED)
    few = list(written)
    written.clear()
    monkeypatch.setattr(held, "HOLD_S", 0.0)
    every = fit(recipe, {**CACHED, "name": "every"})
    assert len(written) == 6 and len(few) < 6 and few[0] == "epoch-0001"
    assert on_disk(run.directory.checkpoints) == on_disk(every.directory.checkpoints)
    for name in on_disk(run.directory.checkpoints):
        one, other = (read_checkpoint(r.directory.checkpoints / f"{name}.ckpt") for r in (run, every))
        assert one["state_dict"].keys() == other["state_dict"].keys()
        for key, value in one["state_dict"].items():
            np.testing.assert_array_equal(value, other["state_dict"][key])
    np.testing.assert_array_equal(run.predictions("val").proba, every.predictions("val").proba)


def test_at_every_epoch_the_disk_holds_what_can_be_gone_on_from(recipe, monkeypatch):
    starts = []
    original = KeepCheckpoints.on_train_epoch_end

    def look(self, trainer, module):
        original(self, trainer, module)
        starts.append(find_start(self.folder, origin=self._origin))

    monkeypatch.setattr(KeepCheckpoints, "on_train_epoch_end", look)
    fit(recipe, CACHED)
    assert len(starts) == 6 and all(start is not None for start in starts)


def test_an_error_in_training_leaves_what_was_held_on_the_disk(recipe, monkeypatch):
    original = KeepCheckpoints.on_train_epoch_end

    def fail(self, trainer, module):
        original(self, trainer, module)
        if trainer.current_epoch == 3:
            raise ZeroDivisionError

    with monkeypatch.context() as patch, pytest.raises(ZeroDivisionError):
        patch.setattr(KeepCheckpoints, "on_train_epoch_end", fail)
        fit(recipe, CACHED)
    assert "epoch-0004" in on_disk(Path("runs/cached/checkpoints"))
    resumed = fit(recipe, CACHED, resume=True)
    whole = fit(recipe, {**CACHED, "name": "whole"})
    np.testing.assert_array_equal(resumed.predictions("val").proba, whole.predictions("val").proba)


def test_a_full_disk_at_the_end_does_not_hide_what_ended_training(tmp_path, clock, monkeypatch, caplog):
    files = HeldCheckpointIO([])
    files.save_checkpoint(checkpoint(0.0), tmp_path / "epoch-0000.ckpt")

    def full(*_):
        raise RunError("No space left on device")

    with pytest.raises(KeyboardInterrupt), files.kept():
        files.save_checkpoint(checkpoint(1.0), tmp_path / "epoch-0001.ckpt")
        monkeypatch.setattr(DurableCheckpointIO, "save_checkpoint", full)
        raise KeyboardInterrupt
    assert "No space left on device" in caplog.messages
    with pytest.raises(RunError), files.kept():
        pass
