"""The sweep file: the command that W&B's agent makes of it runs `tlkit fit` with valid keys."""

from __future__ import annotations

import subprocess
from pathlib import Path

import yaml
from wandb.sdk.launch.sweeps.utils import create_sweep_command, create_sweep_command_args

from tlkit.recipe import load_recipe

RECIPES = Path(__file__).resolve().parents[2] / "recipes"
SWEEP = yaml.safe_load((RECIPES / "sweeps" / "wandb.yaml").read_text(encoding="utf-8"))


def test_the_agents_command_is_a_fit_of_the_recipe_with_the_trials_keys(tmp_path):
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
