"""The sweep file: the command that W&B's agent makes of it runs `tlkit fit` with valid keys."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from run_fixtures import write_recipe

from tlkit.recipe import load_recipe
from tlkit.runs.run import open_run

RECIPES = Path(__file__).resolve().parents[2] / "recipes"
SWEEP = yaml.safe_load((RECIPES / "sweeps" / "wandb.yaml").read_text(encoding="utf-8"))


def test_the_agents_command_is_a_fit_of_the_recipe_with_the_trials_keys(tmp_path):
    from wandb.sdk.launch.sweeps.utils import create_sweep_command, create_sweep_command_args

    trial = {"train.learning_rate": {"value": 0.003}, "augment.preset": {"value": "none"}}
    filled = create_sweep_command_args({"args": trial})
    command = []
    for part in create_sweep_command(SWEEP["command"]):
        command += filled[part[2:-1]] if part.startswith("${") else [part]
    program = tmp_path / "tlkit"  # in place of the real one: prints its arguments, one a line
    program.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    program.chmod(0o755)
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "WANDB_RUN_ID": "abc123"}
    said = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.splitlines()
    assert said[:2] == ["fit", "recipes/quickstart.yaml"]
    recipe = load_recipe(RECIPES / Path(said[1]).name, said[2:])
    assert (recipe.name, recipe.tracking.kind) == ("sweep-abc123", "wandb")
    assert (recipe.train.learning_rate, recipe.augment.preset) == (0.003, "none")


def test_every_value_of_the_sweep_is_valid_in_the_recipe():
    for key, options in SWEEP["parameters"].items():
        for value in options.get("values", [options.get("min"), options.get("max")]):
            load_recipe(RECIPES / "quickstart.yaml", {key: value})
    assert SWEEP["metric"]["name"] == "val/loss"


@pytest.mark.series
def test_the_agent_runs_a_fit_whose_offline_record_has_the_sweeps_metric(tmp_path, monkeypatch):
    """W&B's own agent executes what a server would send; the fit is real, its record offline."""
    write_recipe(tmp_path, strategy="frozen", tail="report: {enabled: false}\n", **{"": 24})
    (tmp_path / "recipes").mkdir()
    (tmp_path / "tiny.yaml").rename(tmp_path / "recipes" / "quickstart.yaml")
    program = tmp_path / "bin" / "tlkit"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m tlkit "$@"\n')
    program.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    for name, value in {
        "PATH": f"{program.parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(RECIPES.parent),
        "WANDB_MODE": "offline",
        "WANDB_SWEEP_ID": "sweep1",
        "WANDB_RUN_ID": "",
        "WANDB_SWEEP_PARAM_PATH": "",
        "WANDB_DIR": str(tmp_path),
    }.items():
        monkeypatch.setenv(name, value)  # so that what the agent sets is gone after the test
    from wandb.wandb_agent import Agent

    agent = Agent(None, queue.Queue(), sweep_id="sweep1")
    agent._sweep_command = SWEEP["command"]
    args = {"train.learning_rate": {"value": 0.02}, "augment.preset": {"value": "none"}}
    agent._command_run({"type": "run", "run_id": "trial7", "program": SWEEP["program"], "args": args})
    assert agent._run_processes["trial7"].wait(timeout=300) == 0
    run = open_run("runs/sweep-trial7")
    assert (run.status, run.recipe.train.learning_rate, run.recipe.tracking.kind) == ("finished", 0.02, "wandb")
    (record,) = Path("runs/sweep-trial7/wandb").glob("offline-run-*trial7")
    command = [sys.executable, "-m", "wandb", "leet", "inspect", "--json", str(record)]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    rows = [one["history"]["item"] for one in map(json.loads, lines) if one["type"] == "history"]
    values = [row[SWEEP["metric"]["name"]] for row in rows if SWEEP["metric"]["name"] in row]
    assert values == pytest.approx(run.history["val_loss"].tolist())
