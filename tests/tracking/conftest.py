"""An empty home folder without W&B settings, options of `open_tracker`, and tlkit's log messages."""

from __future__ import annotations

import os

import pytest


@pytest.fixture
def home(tmp_path, monkeypatch):
    for name in [name for name in os.environ if name.startswith(("WANDB_", "XDG_"))]:
        monkeypatch.delenv(name)
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("NETRC", str(folder / ".netrc"))
    return folder


@pytest.fixture
def options(tmp_path, home):
    run_dir = tmp_path / "runs" / "pets"
    run_dir.mkdir(parents=True)
    return {
        "kind": "wandb",
        "mode": "offline",
        "project": "tlkit",
        "entity": None,
        "tags": ["quick"],
        "log_model": True,
        "name": "pets",
        "run_dir": run_dir,
        "config": {"seed": 3, "train": {"epochs": 2}},
    }


@pytest.fixture
def logged(caplog):
    """A function that returns tlkit's log messages so far, without those of W&B's own loggers."""
    caplog.set_level("INFO", logger="tlkit")
    return lambda: [record.getMessage() for record in caplog.records if record.name.startswith("tlkit.")]
