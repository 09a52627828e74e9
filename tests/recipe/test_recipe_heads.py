"""`strategy.head`: what goes with a head that is not trained in epochs, and what does not."""

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
    assert load_recipe(write(HEAD)).strategy.head == "svm"


def test_everything_that_such_a_head_takes_no_notice_of_is_a_contradiction(write) -> None:
    text = PLAIN + "strategy: {kind: frozen, head: lda}\n"
    text += "train: {epochs: 3, learning_rate: 0.1, class_weights: balanced, device: cpu}\n"
    with pytest.raises(RecipeError) as caught:
        load_recipe(write(text), ["model.drop_rate=0.5"])
    problems = " ".join(caught.value.problems)
    for said in (
        saying("strategy.head", "augment.preset", "augment", "head"),
        saying("model.drop_rate", "0.5", "lda"),
        saying("train.epochs", "head"),
        saying("train.learning_rate", "trained", "epochs"),
        saying("train.class_weights", "head"),
    ):
        assert says(problems, said)
    assert "train.device" not in problems


def test_written_recipe_reads_back_and_leaves_out_what_does_nothing(write) -> None:
    recipe = load_recipe(write(HEAD + "train: {class_weights: balanced, device: cpu}\n"))
    text = dump_recipe(recipe)
    assert yaml.safe_load(text)["train"] == {"class_weights": "balanced", "device": "cpu"}
    assert load_recipe(write(text)) == recipe


def test_override_drops_what_the_file_says_about_training(write, caplog) -> None:
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
