"""The key `task`, and keys that a task does not have."""

from __future__ import annotations

import pytest
import yaml
from messages import saying

from tlkit.errors import RecipeError
from tlkit.recipe import Recipe, dump_recipe, load_recipe
from tlkit.recipe.dumping import plain_values

HEAD = {"recipe_version": 1, "name": "tasks", "model": {"name": "resnet18"}}
LIST = {"manifest": "list.csv"}


def written(tmp_path, **sections):
    path = tmp_path / "tasks.yaml"
    path.write_text(yaml.safe_dump({**HEAD, **sections}, sort_keys=False))
    return path


def problems_of(tmp_path, **sections):
    with pytest.raises(RecipeError) as caught:
        load_recipe(written(tmp_path, **sections))
    return "\n".join(caught.value.problems)


def test_recipe_without_a_task_is_multiclass_and_has_no_keys_of_others():
    recipe = Recipe.model_validate({**HEAD, "data": {"root": "photos"}})
    assert recipe.task == "multiclass"
    values = plain_values(recipe)
    assert not {"label_separator", "label_columns", "grades"} & values["data"].keys()
    assert "number_loss" not in values["train"]


@pytest.mark.parametrize("task", ["multiclass", "multilabel", "ordinal", "regression"])
def test_recipes_of_each_task_read_back(tmp_path, task):
    recipe = load_recipe(written(tmp_path, task=task, data=LIST))
    (tmp_path / "again.yaml").write_text(dump_recipe(recipe))
    assert load_recipe(tmp_path / "again.yaml") == recipe
    dumped = yaml.safe_load(dump_recipe(recipe))
    assert ("loss" in dumped["train"]) == (task in ("multiclass", "multilabel"))
    assert ("number_loss" in dumped["train"]) == (task == "regression")


@pytest.mark.parametrize(
    ("task", "sections"),
    [
        ("multilabel", {"train": {"loss": "asymmetric", "class_weights": "balanced", "mixup": 0.2}}),
        ("multilabel", {"strategy": {"kind": "frozen", "head": "logistic"}, "augment": "none"}),
        ("regression", {"strategy": {"kind": "frozen", "head": "ridge"}, "augment": "none"}),
    ],
)
def test_losses_and_heads_that_fit_a_task_are_taken(tmp_path, task, sections):
    assert load_recipe(written(tmp_path, task=task, data=LIST, **sections)).task == task


def test_class_folders_give_several_labels(tmp_path):
    assert load_recipe(written(tmp_path, task="multilabel", data={"root": "photos"})).task == "multilabel"
    for key, value in (("label_columns", ["a", "b"]), ("label_separator", "|")):
        found = problems_of(tmp_path, task="multilabel", data={"root": "photos", key: value})
        assert saying("tasks.yaml", f"data.{key}", "data.root", "data.manifest") == found


@pytest.mark.parametrize(
    ("task", "sections", "key"),
    [
        ("regression", {"train": {"class_weights": "balanced"}}, "train.class_weights"),
        ("regression", {"train": {"mixup": 0.2}}, "train.mixup"),
        ("ordinal", {"train": {"cutmix": 1.0}}, "train.cutmix"),
        ("multilabel", {"train": {"loss": "focal"}}, "train.loss"),
        ("multilabel", {"train": {"sampling": "balanced"}}, "train.sampling"),
        ("multilabel", {"train": {"monitor": "val_accuracy"}}, "train.monitor"),
        ("ordinal", {"train": {"early_stopping": {"monitor": "val_accuracy"}}}, "train.early_stopping.monitor"),
        ("multilabel", {"train": {"loss": "group_dro"}, "audit": {"by": ["a"]}}, "train.loss"),
        ("multiclass", {"train": {"loss": "asymmetric"}}, "train.loss"),
        ("multilabel", {"strategy": {"kind": "frozen", "head": "ridge"}}, "strategy.head"),
        ("regression", {"strategy": {"kind": "frozen", "head": "logistic"}}, "strategy.head"),
        ("ordinal", {"strategy": {"kind": "frozen", "head": "ridge"}}, "strategy.head"),
        ("ordinal", {"evaluate": {"top_k": [1]}}, "evaluate.top_k"),
        ("multilabel", {"evaluate": {"calibrate": "temperature"}}, "evaluate.calibrate"),
        ("multiclass", {"train": {"number_loss": "mse"}}, "train.number_loss"),
        ("ordinal", {"data": {**LIST, "label_columns": ["a"]}}, "data.label_columns"),
        ("multilabel", {"data": {**LIST, "grades": ["a", "b"]}}, "data.grades"),
        ("ordinal", {"data": {**LIST, "annotations": "soft"}}, "data.annotations"),
        ("regression", {"data": {"root": "photos"}}, "data.root"),
        ("multilabel", {"data": {"shards": "a-{0..3}.tar"}}, "data.shards"),
    ],
)
def test_keys_that_a_task_does_not_have_are_refused(tmp_path, task, sections, key):
    assert saying("tasks.yaml", key, task) == problems_of(tmp_path, task=task, **{"data": LIST, **sections})


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        ("data", "image_cache", "never"),
        ("data", "image_cache_limit_gb", 1.0),
        ("features", "cache", "never"),
        ("features", "cache_limit_gb", 1.0),
        ("features", "tolerance", 0.5),
        ("features", "storage", "float32"),
    ],
)
def test_masks_and_boxes_have_no_caches(tmp_path, section, key, value):
    data = {"root": "photos", "resize": "letterbox", **({key: value} if section == "data" else {})}
    others = {} if section == "data" else {section: {key: value}}
    sources = {"segmentation": {"masks": "masks", "mask_classes": ["sky", "cat"]}, "detection": {"boxes": "boxes.json"}}
    for task, source in sources.items():
        found = problems_of(tmp_path, task=task, data={**data, **source}, **others)
        assert saying("tasks.yaml", f"{section}.{key}", task) == found


def test_unknown_task_is_refused_with_the_tasks_that_there_are(tmp_path):
    assert saying("task", "multi-label", "multilabel") == problems_of(tmp_path, task="multi-label", data=LIST)


def test_overrides_change_the_task_and_drop_its_keys(tmp_path):
    file = written(tmp_path, task="regression", data=LIST, train={"number_loss": "mse"})
    assert load_recipe(file, ["task=ordinal"]).task == "ordinal"
