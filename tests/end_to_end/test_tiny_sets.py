"""Tiny and unbalanced data sets: each works or has a clear error."""

from __future__ import annotations

import shutil
import sys

import pytest
from messages import saying, says

from tlkit.cli.app import main
from tlkit.cli.output import print_run
from tlkit.errors import DataError, RecipeError
from tlkit.runs.next_step import next_step
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
    assert (red.support, red.recall.value, bool(red.recall.note)) == (0, None, True)


def test_batches_of_one_are_refused_only_where_batchnorm_trains(tiny_recipe):
    recipe, one = tiny_recipe(), {"data.batch_size": 1, "train.epochs": 1, "report.enabled": False}
    with pytest.raises(RecipeError, match=saying("one image", "data.batch_size", "2").pattern):
        fit(recipe, one)
    assert fit(recipe, {**one, "name": "frozen", "strategy": "frozen"}).status == "finished"
    assert fit(recipe, {**one, "name": "vit", "model.name": "test_vit"}).status == "finished"


def test_a_last_batch_of_one_is_left_out(tiny_recipe, tmp_path, caplog):
    recipe = tiny_recipe()
    shrink(tmp_path / "colours", "red", keep=1)
    run = fit(recipe, {"train.epochs": 1, "data.val": 0, "data.test": 0})  # 16 + 1 images in batches of 8
    assert run.status == "finished"
    assert says(caplog.messages, "17 images", "drops")


def test_where_nothing_can_be_held_out_every_page_says_so(tiny_recipe, capsys, caplog):
    run = fit(tiny_recipe(), {"train.epochs": 1, "data.val": 0, "data.test": 0})
    warned = saying("train split", "trained on these images", "data.test")
    assert any(message == warned for message in caplog.messages)
    assert run.evaluation().trained_on and run.judged_split() == "train"
    print_run(run, details=True)
    printed = " ".join(capsys.readouterr().out.split())  # lines end where the name of the folder lets them
    assert says(printed, "WARNING", "trained on these images", "data.test") and says(
        printed, "judged on the train split"
    )
    page = run.report().read_text()
    assert page.count("trained on these images") >= 2 and "Accuracy on training images" in page
    assert says(run.card().read_text(), "WARNING", "trained on these images")
    caplog.clear()
    run.compare(run)
    assert any(message == warned for message in caplog.messages)
    held = fit(tiny_recipe(), {"train.epochs": 1, "name": "held"})
    assert not held.evaluation().trained_on
    assert "Accuracy on training images" not in held.report().read_text()


def test_where_holding_out_was_asked_for_in_vain_the_next_step_is_more_images(tiny_recipe):
    run = fit(tiny_recipe(train=1), {"train.epochs": 1, "data.root": "colours/train"})
    step = next_step(run, run.evaluation(), None)
    assert run.judged_split() == "train" and step.command == "" and says(step.why, "Collect more images", "2")


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
    assert says(caplog.messages, "No val images", "without validation")
    assert says(caplog.messages, "no val images", "early stopping")


def test_an_empty_val_folder_is_filled_from_train(tiny_recipe, tmp_path, caplog):
    recipe = tiny_recipe(train=12, test=4)
    (tmp_path / "colours" / "val" / "red").mkdir(parents=True)
    run = fit(recipe, {"train.epochs": 1})
    assert run.samples.counts()["val"].tolist() == [3, 3]


@pytest.mark.parametrize(
    ("gone", "said"), [("red", saying("'blue'", "two")), ("train/blue", saying("'blue'", "4 val", "training"))]
)
def test_one_class_and_a_class_without_training_images_are_refused_by_name(tiny_recipe, tmp_path, gone, said):
    recipe = tiny_recipe(**({"train": 8, "val": 4} if "/" in gone else {}))
    shutil.rmtree(tmp_path / "colours" / gone)
    with pytest.raises(DataError, match=said.pattern):
        fit(recipe)


def test_a_class_without_images_in_a_split_keeps_its_number_and_is_named(tiny_recipe, tmp_path, caplog):
    recipe = tiny_recipe(train=8, val=4, test=4)
    shutil.rmtree(tmp_path / "colours" / "test" / "blue")
    run = fit(recipe, {"train.epochs": 1})
    evaluation = run.evaluate("test")
    assert evaluation.classes == ("blue", "red")
    assert [result.support for result in evaluation.per_class] == [0, 4]
    assert any("blue" in line and "test" in line for line in caplog.messages)


ANSWERS = {
    "evaluate RUN": (0, "3 images"),
    "audit RUN --by g": (0, "NOT ENOUGH DATA"),
    "compare RUN RUN": (0, "n = 3"),
    "repair RUN --by g": (0, "no test images"),
    "slices RUN": (0, "NOT ENOUGH DATA"),
    "card RUN": (0, "MODEL_CARD.md"),
    "report RUN": (0, "report.html"),
    "learning-curve RUN": (2, "The largest has 2."),
    "data labels RUN": (2, "at most 3 folds"),
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
    [{"strategy": "frozen"}, pytest.param({"strategy": "full"}, marks=pytest.mark.series)],
    ids=["cached", "full"],
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
    assert says(caplog.messages, "3 folds instead of 5")
