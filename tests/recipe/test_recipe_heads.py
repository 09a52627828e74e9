"""`strategy.head`: keys that have an effect with scikit-learn heads, and keys that have none."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from messages import saying, says

from tlkit.errors import RecipeError
from tlkit.recipe import dump_recipe, load_recipe

PLAIN = "recipe_version: 1\nname: r\ndata: {root: d}\nmodel: {name: resnet18}\n"
HEAD = PLAIN + "augment: none\nstrategy: {kind: frozen, head: svm}\n"


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)

    def make(text: str) -> Path:
        Path("r.yaml").write_text(text)
        return Path("r.yaml")

    return make


def test_head_is_linear_unless_the_recipe_says_otherwise(write) -> None:
    assert load_recipe(write(PLAIN + "strategy: frozen\n")).strategy.head == "linear"
    recipe = load_recipe(write(HEAD + "train: {class_weights: balanced, device: cpu}\n"))
    assert recipe.strategy.head == "svm"
    text = dump_recipe(recipe)  # without keys that have no effect
    assert yaml.safe_load(text)["train"] == {"class_weights": "balanced", "device": "cpu"}
    assert load_recipe(write(text)) == recipe


def test_keys_without_effect_on_a_scikit_learn_head_are_contradictions(write) -> None:
    text = PLAIN + "strategy: {kind: frozen, head: lda}\n"
    text += "train: {epochs: 3, learning_rate: 0.1, class_weights: balanced, device: cpu}\n"
    with pytest.raises(RecipeError) as caught:
        load_recipe(write(text), ["model.drop_rate=0.5"])
    found = caught.value.problems
    assert len(found) == 5
    assert says(found, "augment.preset", "lda", "augment: none", "head: linear")
    assert says(found, "r.yaml:6", "train.class_weights", "lda", "head: logistic")
    assert says(found, "r.yaml:6", "train.epochs", "lda", "head: linear")
    assert says(found, "r.yaml:6", "train.learning_rate", "lda", "head: linear")
    assert says(found, "model.drop_rate=0.5", "lda", "dropout")


def test_an_override_of_the_head_drops_training_keys_of_the_file(write, caplog) -> None:
    caplog.set_level("INFO", logger="tlkit")
    path = write(PLAIN + "augment: none\ntrain: {epochs: 9, class_weights: balanced}\n")
    recipe = load_recipe(path, ["strategy.kind=frozen", "strategy.head=logistic"])
    assert (recipe.strategy.head, recipe.train.class_weights) == ("logistic", "balanced")
    assert says(caplog.text, "strategy.head=logistic", "train.epochs", "r.yaml:6")
    with pytest.raises(RecipeError, match=saying("train.epochs", "logistic").pattern):
        load_recipe(path, ["strategy={kind: frozen, head: logistic}", "train.epochs=3"])


def test_only_frozen_backbones_have_such_heads(write) -> None:
    with pytest.raises(RecipeError, match=r"strategy\.head"):
        load_recipe(write(PLAIN + "augment: none\nstrategy: {kind: full, head: svm}\n"))
    assert load_recipe(write(HEAD), ["strategy.kind=full"]).strategy.kind == "full"
    with pytest.raises(RecipeError) as caught:
        load_recipe(write(HEAD.replace("svm", "svn")))
    assert "svn" in str(caught.value) and says(str(caught.value), "linear", "logistic")
