"""Tiny and unbalanced data sets: each works or has a clear error."""

from __future__ import annotations

import shutil
import sys

import pytest

from tlkit.cli.app import main
from tlkit.errors import DataError, RecipeError
from tlkit.training.fit import fit


def shrink(root, label, *, keep, split=""):
    for path in sorted((root / split / label).glob("*.png"))[keep:]:
        path.unlink()


def test_a_class_with_one_image_is_trained_on_and_reported_as_not_evaluated(tiny_recipe, tmp_path, caplog):
    recipe = tiny_recipe()
    shrink(tmp_path / "colours", "red", keep=1)
    run = fit(recipe, {"train.epochs": 1})
    assert run.samples.counts().loc["red"].tolist() == [1, 0, 0]
    assert any("too few images" in message and "red" in message for message in caplog.messages)
    red = run.evaluate().per_class[1]
    assert (red.support, red.recall.value, red.recall.note) == (0, None, "no images of this class")


def test_batches_of_one_are_refused_where_batchnorm_trains(tiny_recipe):
    with pytest.raises(RecipeError, match=r"^Batches would hold one image, .*data\.batch_size of 2"):
        fit(tiny_recipe(), {"data.batch_size": 1})


def test_batches_of_one_do_for_a_frozen_backbone(tiny_recipe):
    assert fit(tiny_recipe(), {"data.batch_size": 1, "strategy": "frozen", "train.epochs": 1}).status == "finished"


def test_batches_of_one_do_for_a_backbone_without_batchnorm(tiny_recipe):
    changes = {"model.name": "test_vit", "data.batch_size": 1, "train.epochs": 1, "report.enabled": False}
    assert fit(tiny_recipe(), changes).status == "finished"


def test_a_last_batch_of_one_is_left_out(tiny_recipe, tmp_path, caplog):
    recipe = tiny_recipe()
    shrink(tmp_path / "colours", "red", keep=1)
    run = fit(recipe, {"train.epochs": 1, "data.val": 0, "data.test": 0})  # 16 + 1 images in batches of 8
    assert run.status == "finished"
    assert any("17 images" in line and "every epoch drops that many images" in line for line in caplog.messages)


def test_more_classes_than_a_batch_holds(tiny_recipe, tmp_path):
    recipe = tiny_recipe()
    for number in range(9):
        shutil.copytree(tmp_path / "colours" / "red", tmp_path / "colours" / f"red{number}")
    run = fit(recipe, {"data.batch_size": 4, "train.epochs": 1})
    assert len(run.evaluate().classes) == 11


def test_an_empty_validation_split_trains_to_the_last_epoch(tiny_recipe, caplog):
    run = fit(tiny_recipe(), {"data.val": 0, "train.early_stopping": {"patience": 1}})
    assert run.status == "finished"
    assert run.judged_split() == "test"
    assert "No val images: training runs without validation." in caplog.messages
    assert "There are no val images to monitor, so early stopping is off." in caplog.messages


def test_neither_val_nor_test_judges_train(tiny_recipe):
    assert fit(tiny_recipe(), {"data.val": 0, "data.test": 0, "train.epochs": 1}).judged_split() == "train"


def test_an_empty_val_folder_is_filled_from_train(tiny_recipe, tmp_path, caplog):
    recipe = tiny_recipe(train=12, test=4)
    (tmp_path / "colours" / "val" / "red").mkdir(parents=True)
    run = fit(recipe, {"train.epochs": 1})
    assert run.samples.counts()["val"].tolist() == [3, 3]


def test_one_class_only_is_refused(tiny_recipe, tmp_path):
    recipe = tiny_recipe()
    shutil.rmtree(tmp_path / "colours" / "red")
    with pytest.raises(DataError, match="has only one class, 'blue'; a classifier needs at least two"):
        fit(recipe)


def test_a_class_without_images_in_a_split_keeps_its_number_and_is_named(tiny_recipe, tmp_path, caplog):
    recipe = tiny_recipe(train=8, val=4, test=4)
    shutil.rmtree(tmp_path / "colours" / "test" / "blue")
    run = fit(recipe, {"train.epochs": 1})
    evaluation = run.evaluate("test")
    assert evaluation.classes == ("blue", "red")
    assert [result.support for result in evaluation.per_class] == [0, 4]
    assert any("blue" in line and "test" in line for line in caplog.messages)


def test_a_class_without_training_images_is_refused_by_name(tiny_recipe, tmp_path):
    recipe = tiny_recipe(train=8, val=4)
    shutil.rmtree(tmp_path / "colours" / "train" / "blue")
    with pytest.raises(DataError, match="The class 'blue' has images in val/"):
        fit(recipe)


ANSWERS = {
    "evaluate RUN": (0, "3 images"),
    "audit RUN --by g": (0, "Audit by g: ? NOT ENOUGH DATA"),
    "compare RUN RUN": (0, "not distinguishable at n = 3"),
    "repair RUN --by g": (0, "There are no val and no test images."),
    "slices RUN": (0, "NOT ENOUGH DATA: no condition holds for 20 images"),
    "card RUN": (0, "MODEL_CARD.md"),
    "report RUN": (0, "report.html"),
    "learning-curve RUN": (2, "so it takes a class of 3. The largest has 2."),
    "data labels RUN": (2, "3 different images cannot be split into 5 folds. Use at most 3 folds."),
    "predict RUN colours": (0, "colours/red/000.png"),
}


@pytest.fixture
def three_images(tiny_recipe, tmp_path):
    """Return the recipe of two blue images and a red one, in two groups."""
    recipe = tiny_recipe(more=", metadata: meta.csv, groups: [g]", tail="audit: {by: [g]}\n")
    shrink(tmp_path / "colours", "blue", keep=2)
    shrink(tmp_path / "colours", "red", keep=1)
    (tmp_path / "colours" / "meta.csv").write_text("path,g\nblue/000.png,a\nblue/001.png,b\nred/000.png,a\n")
    return recipe


@pytest.mark.slow
@pytest.mark.parametrize(
    "strategy",
    [{"strategy": "frozen"}, {"strategy": "frozen", "features.cache": "never"}, {"strategy": "full"}],
    ids=["cached", "live", "full"],
)
def test_every_command_on_a_run_of_three_images_ends_with_a_message(three_images, strategy, monkeypatch, capsys):
    run = fit(three_images, {**strategy, "train.epochs": 1, "data.val": 0, "data.test": 0, "report.enabled": False})
    capsys.readouterr()
    for question, (code, words) in ANSWERS.items():
        monkeypatch.setattr(sys, "argv", ["tlkit", *question.replace("RUN", str(run.path)).split()])
        try:
            main()
        except SystemExit as stop:
            found = stop.code or 0
        else:
            found = 0
        said = capsys.readouterr()
        assert (found, words in said.out + said.err) == (code, True), f"{question}: {found}\n{said.out}{said.err}"


@pytest.mark.parametrize("head", ["logistic", "auto"])
def test_a_head_learns_from_three_images_in_fewer_folds(three_images, head, caplog):
    text = three_images.read_text().replace("strategy: full", f"strategy: {{kind: frozen, head: {head}}}")
    three_images.write_text(text.replace("train: {epochs: 2, learning_rate: 0.01}\n", ""))
    run = fit(three_images, {"data.val": 0, "data.test": 0, "report.enabled": False})
    assert run.status == "finished"
    assert "head: cross-validated in 3 folds instead of 5, because the images fill no more." in caplog.messages
