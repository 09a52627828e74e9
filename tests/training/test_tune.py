"""`tlkit recipe tune`: for images and for cached features, on the command line and in Python."""

from __future__ import annotations

import json

import pytest
import torch
from command import invoke
from messages import saying

from tlkit.errors import RecipeError
from tlkit.models.weights.weight_files import tensors_digest
from tlkit.recipe import load_recipe
from tlkit.render.plots import plot_batch_sizes, plot_rates, to_svg
from tlkit.training.prepare import prepare
from tlkit.training.tune import find_batch_size, find_learning_rate


def _invoke(*arguments):
    done = invoke(["recipe", "tune", *map(str, arguments)])
    assert done.exit_code == 0, done.output
    return done.stdout


def test_the_command_line_prints_the_line_to_write_and_draws_the_plot(tiny_recipe, tmp_path):
    recipe, plot = tiny_recipe(), tmp_path / "new" / "rates.svg"
    printed = _invoke(recipe, "strategy=frozen", "--steps", 40, "--plot", plot)
    assert "loss falls fastest at" in printed and "learning_rate: " in printed
    assert plot.read_text().startswith("<svg")
    values = json.loads(_invoke(recipe, "--what", "batch", "--json"))
    assert [one["images"] for one in values["tried"]][:2] == [4, 8]
    assert values["suggested"] in [one["images"] for one in values["tried"]]


def test_a_prepared_recipe_stays_as_it_is_and_both_results_can_be_drawn(tiny_recipe):
    prepared = prepare(load_recipe(tiny_recipe()))
    before, stream = tensors_digest(prepared.classifier.state_dict()), torch.get_rng_state()
    sweep, sizes = find_learning_rate(prepared, steps=12), find_batch_size(prepared)
    assert tensors_digest(prepared.classifier.state_dict()) == before
    assert torch.equal(torch.get_rng_state(), stream)
    ax = plot_rates(sweep)
    assert ax.get_lines()[0].get_xdata().tolist() == sweep.rates.tolist()
    assert "n = 12 steps" in ax.get_xlabel() or sweep.stopped == "diverged"
    assert to_svg(lambda: plot_batch_sizes(sizes)).startswith("<svg")


def test_batch_sizes_are_timed_where_the_system_does_not_count_memory(tiny_recipe, monkeypatch):
    monkeypatch.setattr("tlkit.models.tuning_sweep.resource", None)  # as on Windows
    sizes = find_batch_size(tiny_recipe(), {"strategy": "frozen"})
    assert [one.memory_mb for one in sizes.tried] == [None] * len(sizes.tried)
    assert sizes.tables()[0].column("memory_mb")[0] is None
    assert to_svg(lambda: plot_batch_sizes(sizes)).startswith("<svg")


def test_what_has_no_learning_rate_is_refused(tiny_recipe):
    recipe = tiny_recipe()
    with pytest.raises(RecipeError, match=saying("10", "3").pattern):
        find_learning_rate(recipe, steps=3)
    lines = recipe.read_text().replace("strategy: full", "strategy: {kind: frozen, head: logistic}").splitlines()
    recipe.write_text("\n".join(line for line in lines if not line.startswith("train:")))
    with pytest.raises(RecipeError, match=saying("strategy.head", "logistic", "scikit-learn").pattern):
        find_learning_rate(recipe)
