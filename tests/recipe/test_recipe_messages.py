"""Messages for wrong values and unknown keys: the place, the value seen and the remedy."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest
import yaml
from annotated_types import Ge, Gt, Le, Lt
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from messages import saying
from pydantic.fields import FieldInfo
from recipe_problems import recipe_problems

from tlkit.errors import RecipeError
from tlkit.recipe import Recipe, load_recipe
from tlkit.recipe.field_tree import all_keys, expected_value, field_at, sections_in
from tlkit.recipe.unknown_keys import ALIASES, ALIASES_IN_SECTION, ELSEWHERE, unknown_key
from tlkit.recipe.value_messages import CHOICE_SYNONYMS

REST = {
    "recipe_version": "recipe_version: 1\n",
    "name": "name: pets\n",
    "data": "data: {root: r, metadata: m.csv}\n",
    "model": "model: {name: resnet18}\n",
}


WEIGHTS = ("hub", "pip:PACKAGE", "file:PATH", "hf-hub:ORG/REPO", "run:PATH")
KINDS = ("frozen", "full", "lp_ft", "gradual", "last_n", "norm_only", "bias_only", "lora")


def message_for(key: str, written: str, folder: Path) -> str:
    """Return the one message for a recipe in which one key is set, on its first line."""
    section, _, inner = key.partition(".")
    required = {"data": "root: r, ", "model": "name: m, "}.get(section, "")
    required = "" if inner in ("root", "name") else required
    line = f"{section}: {{{required}{inner}: {written}}}\n" if inner else f"{section}: {written}\n"
    path = folder / "r.yaml"
    path.write_text(line + "".join(text for name, text in REST.items() if name != section), encoding="utf-8")
    with pytest.raises(RecipeError) as caught:
        load_recipe(path)
    (message,) = caught.value.problems
    where, text = message.split("  ", 1)
    assert where == f"{path}:1"
    return text


@pytest.mark.parametrize(
    ("key", "written", "expected"),
    [
        # numbers
        ("train.epochs", "0", saying("train.epochs", "0", "1")),
        ("train.epochs", "5.0", saying("train.epochs", "5.0", "1", "5")),
        ("train.epochs", "five", saying("train.epochs", "'five'", "1")),
        ("train.epochs", "true", saying("train.epochs", "1")),
        ("train.epochs", "", saying("train.epochs", "1")),
        ("train.epochs", "'0'", saying("train.epochs", "'0'", "1")),
        ("data.batch_size", '"64"', saying("data.batch_size", "'64'", "1", "64")),
        ("train.learning_rate", "'0.1'", saying("train.learning_rate", "'0.1'", "0", "0.1")),
        ("train.learning_rate", "'1e-5'", saying("train.learning_rate", "'1e-5'", "0", "1.0e-05")),
        ("train.learning_rate", "+.5", saying("train.learning_rate", "'+.5'", "YAML", "1.1", "0", "0.5")),
        ("train.learning_rate", "-1", saying("train.learning_rate", "-1", "0")),
        ("train.learning_rate", "no", saying("train.learning_rate", "no", "YAML", "1.1", "0")),
        ("train.weight_decay", "'0,01'", saying("train.weight_decay", "'0,01'", "0", "0.01")),
        ("train.label_smoothing", "10%", saying("train.label_smoothing", "'10%'", "0", "1", "0.1")),
        ("train.label_smoothing", "10", saying("train.label_smoothing", "10", "0", "1", "0.1")),
        ("evaluate.confidence", "95", saying("evaluate.confidence", "95", "0.0001", "0.9999", "0.95")),
        ("data.val", "20", saying("data.val", "20", "0", "0.9", "0.2")),
        ("seed", "-1", saying("seed", "-1", "0", "4294967295")),
        ("train.gradient_clip_val", "0", saying("train.gradient_clip_val", "0")),
        ("train.gradient_clip_val", "none", saying("train.gradient_clip_val", "'none'", "0", "null")),
        ("strategy", "{kind: full, backbone_lr_factor: 0}", saying("strategy.backbone_lr_factor", "0", "1")),
        # choices
        ("train.optimizer", "AdamW", saying("train.optimizer", "'AdamW'", "sgd", "adamw")),
        ("train.schedule", "none", saying("train.schedule", "'none'", "cosine", "one_cycle", "constant")),
        ("train.precision", "'32'", saying("train.precision", "'32'", "auto", "32", "bf16", "16")),
        ("train.precision", "bf16-mixed", saying("train.precision", "'bf16-mixed'", "auto", "32", "bf16", "16")),
        ("train.device", "gpu", saying("train.device", "'gpu'", "auto", "cuda")),
        ("train.monitor", "accuracy", saying("train.monitor", "'accuracy'", "val_loss", "val_worst_group_accuracy")),
        ("data.resize", "pad", saying("data.resize", "'pad'", "crop", "letterbox")),
        ("recipe_version", "'1'", saying("recipe_version", "'1'", "1")),
        # sections in one word
        ("strategy", "finetune", saying("strategy", "'finetune'", *KINDS)),
        ("strategy", "{kind: frozn}", saying("strategy.kind", "'frozn'", *KINDS)),
        ("strategy", "{backbone_lr_factor: 0.1}", saying("strategy.kind", "kind", *KINDS)),
        ("strategy", "", saying("strategy", "defaults")),
        ("augment", "off", saying("augment", "off", "YAML", "1.1", "none")),
        ("augment", "strong", saying("augment", "'strong'", "none", "heavy")),
        ("tracking", "on", saying("tracking", "on", "YAML", "1.1", "none", "wandb")),
        ("tracking.kind", "null", saying("tracking.kind", "null", "none")),
        # sections that are none
        ("train", "5", saying("train", "5")),
        ("train", "", saying("train", "5")),
        ("train", "epochs:5", saying("train", "'epochs:5'", "epochs: 5")),
        ("strategy", "kind:full", saying("strategy", "'kind:full'", "kind: full")),
        ("report", "false", saying("report", "indented")),
        ("train.early_stopping", "true", saying("train.early_stopping", "null", "val_loss", "5")),
        ("train.early_stopping", "{patience: 0}", saying("train.early_stopping.patience", "0", "1")),
        # texts
        ("name", "1e3", saying("name", "1e3", "YAML", "1.1", "1.0e+3", "'1e3'")),
        ("name", "2024-01-31", saying("name", "2024-01-31", "YAML", "'2024-01-31'")),
        ("data.root", "5", saying("data.root", "5", "YAML", "1.1", "'5'")),
        ("data.root", "''", saying("data.root", "data/pets")),
        ("data.metadata", "None", saying("data.metadata", "'None'", "null")),
        ("tracking.log_model", "'true'", saying("tracking.log_model", "'true'", "true")),
        ("model.weights", "no", saying("model.weights", "no", "YAML", "1.1", *WEIGHTS, "none")),
        ("model.weights", "w.safetensors", saying("model.weights", "'w.safetensors'", *WEIGHTS, "file:w.safetensors")),
        ("model.weights", "best.pth", saying("model.weights", "'best.pth'", "pip:PACKAGE", "safetensors", "file:PATH")),
        ("model.weights", "timm/a.b", saying("model.weights", "'timm/a.b'", *WEIGHTS, "hf-hub:timm/a.b")),
        ("model.weights", "hf_hub:timm/a", saying("model.weights", "'hf_hub:timm/a'", *WEIGHTS, "hf-hub:timm/a")),
        # lists and mappings
        ("data.groups", "sex", saying("data.groups", "'sex'")),
        ("data.groups", "[age, 1]", saying("data.groups[1]", "1", "YAML", "1.1", "'1'")),
        ("data.groups", "[age, sex, age]", saying("data.groups", "'age'")),
        ("evaluate.top_k", "5", saying("evaluate.top_k", "5", "1", "[5]")),
        ("evaluate.top_k", "[1, 0]", saying("evaluate.top_k[1]", "0", "1", "5")),
        ("data.image_size", "big", saying("data.image_size", "'big'", "224")),
        ("data.image_size", "[32, 0]", saying("data.image_size[1]", "0", "224")),
        ("data.background", "[0, 0, 300]", saying("data.background[2]", "300", "0", "255")),
        ("data.background", "white", saying("data.background", "'white'", "0", "255")),
        ("data.num_workers", "all", saying("data.num_workers", "'all'", "0")),
        ("train.class_weights", "{ant: -1}", saying("train.class_weights.ant", "-1", "none", "0", "1.0", "2.0")),
        ("train.class_weights", "balance", saying("train.class_weights", "'balance'", "none", "0", "balanced")),
        ("train.class_weights", "{no: 2}", saying("no", "train.class_weights", "YAML", "'no'")),
        # transforms
        ("augment.transforms", "[HorizontalFlip]", saying("augment.transforms[0]", "'HorizontalFlip'", "name")),
        ("augment.transforms", "[{HorizontalFlip: {p: 1}}]", saying("augment.transforms[0].name", "name", "1")),
        ("augment.transforms", "[{p: 1}]", saying("augment.transforms[0].name", "name")),
        ("augment.transforms", "[{name: A, x: [1e-3]}]", saying("augment.transforms[0].x[0]", "1e-3", "1.0e-3")),
        ("augment.transforms", "[]", saying("augment.transforms", "0.5", "preset")),
        # unknown keys
        ("train.lr", "1", saying("train.lr", "train.learning_rate")),
        ("train.batch_size", "1", saying("train.batch_size", "batch_size", "data.batch_size")),
        ("data.batchSize", "1", saying("data.batchSize", "data.batch_size")),
        ("data.train", "x", saying("data.train", "data.root")),
        ("data.augment", "x", saying("data.augment", "top level")),
        ("data.mean", "[1]", saying("data.mean", "backbone")),
        ("model.pretrained", "true", saying("model.pretrained", "model.weights")),
        ("audit.groups", "[a]", saying("audit.groups", "audit.by")),
        ("evaluate.xyzzy", "1", saying("evaluate.xyzzy", "top_k")),
        ("optimizer", "adam", saying("optimizer", "train.optimizer")),
        ("wandb", "true", saying("wandb", "tracking")),
        ("output_dir", "x", saying("output_dir", "unknown")),
        ("resume", "true", saying("resume", "tlkit fit RECIPE --resume")),
        ("qqqqqq", "1", saying("qqqqqq", "recipe_version")),
    ],
)
def test_a_mistake_gets_the_value_seen_and_the_remedy(key: str, written: str, expected: object, tmp_path: Path) -> None:
    assert message_for(key, written, tmp_path) == expected


LEAVES = sorted(key for key, field in all_keys().items() if not sections_in(field.annotation))


def test_every_field_has_a_description_and_an_expected_value() -> None:
    for key, field in all_keys().items():
        assert isinstance(field, FieldInfo)
        assert expected_value(field).phrase, key
        if not sections_in(field.annotation):
            assert field.description and field.description.endswith("."), key


def test_the_described_range_is_the_checked_range() -> None:
    checked = 0
    for key in LEAVES:
        field = all_keys()[key]
        for bound in (item for item in field.metadata if isinstance(item, Ge | Gt | Le | Lt)):
            (number,) = dataclasses.astuple(bound)
            phrase = re.sub(r"(?<=\d),(?=\d{3})", "", expected_value(field).phrase)
            shown = int(number) if number == int(number) else number
            assert re.search(rf"(?<![\d.]){re.escape(str(shown))}(?![\d.]\d)", phrase), (key, number, phrase)
            checked += 1
    assert checked > 20


def test_aliases_lead_to_existing_keys() -> None:
    for word, target in {**ALIASES, **ALIASES_IN_SECTION}.items():
        assert target in all_keys(), word
        assert word not in all_keys(), word
    for key, words in CHOICE_SYNONYMS.items():
        assert key in all_keys()
        assert not {word for text in words.values() for word in text.split()} & set(words), key
    assert not set(ELSEWHERE) & set(ALIASES)


@pytest.mark.parametrize(
    ("path", "target"),
    [
        (("data", "labels"), "data.label_corrections"),
        (("train", "accumulate_batches"), "train.accumulate_grad_batches"),
        (("train", "gradient_clip"), "train.gradient_clip_val"),
        (("train", "mix_off_epochs"), "train.mixup_off_epochs"),
        (("train", "soup"), "train.model_soup_size"),
        (("features", "use"), "features.cache"),
        (("audit", "max_order"), "audit.max_intersection_order"),
    ],
)
def test_an_earlier_name_of_a_key_leads_to_its_present_name(path: tuple[str, str], target: str) -> None:
    assert unknown_key(path) == saying(target)


@pytest.mark.parametrize("word", ["lr", "bs", "arch", "backbone", "wd", "n_epochs", "num_epochs", "max_epochs"])
def test_common_aliases_are_known_in_every_section(word: str) -> None:
    target = ALIASES[word]
    for section in ("", "data", "train", "model"):
        path = (section, word) if section else (word,)
        assert unknown_key(path).endswith(f"Did you mean {target}?")


@pytest.mark.parametrize("key", sorted(CHOICE_SYNONYMS))
def test_the_choice_of_a_synonym_is_accepted(key: str, tmp_path: Path) -> None:
    for ours in CHOICE_SYNONYMS[key]:
        path = tmp_path / "r.yaml"
        path.write_text("".join(REST.values()))
        others = [] if key == "train.optimizer" else ["train.optimizer=adamw"]
        others += ["data.groups=[light]", "audit.by=[light]"] if "group" in str(ours) else []
        stored = load_recipe(path, [f"{key}={ours}", *others]).model_dump()
        for part in key.split("."):
            stored = stored[part]
        assert str(stored) == str(ours)


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from(["no", "1e3", "light", "frozen", "wandb", "none", "20%", "1,5", "a:b", "5"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(key=st.sampled_from([*sorted(all_keys()), "x", "train.lr", "data.batch_sise"]), value=values)
def test_any_value_of_a_key_is_accepted_or_explained(
    key: str, value: object, tmp_path_factory: pytest.TempPathFactory
) -> None:
    recipe: dict[str, object] = yaml.safe_load("".join(REST.values()))
    section, _, inner = key.partition(".")
    if inner:
        held = recipe.get(section)
        recipe[section] = {**held, inner: value} if isinstance(held, dict) else {inner: value}
    else:
        recipe[section] = value
    path = tmp_path_factory.getbasetemp() / "whatever.yaml"
    path.write_text(yaml.safe_dump(recipe, allow_unicode=True, sort_keys=False), encoding="utf-8")
    for problem in recipe_problems(path):
        assert problem.startswith(f"{path}:")
        assert "Input should" not in problem and "validation error" not in problem
        assert problem[-1] in ".?"


def test_a_recipe_built_in_python_has_the_same_checks() -> None:
    with pytest.raises(ValueError, match=saying("data.val", "0.5", "data.test").pattern):
        Recipe(recipe_version=1, name="a", data={"root": "b", "val": 0.5, "test": 0.5}, model={"name": "c"})
    with pytest.raises(ValueError, match="names 'a' twice"):
        Recipe(recipe_version=1, name="a", data={"root": "b"}, model={"name": "c"}, tracking={"tags": ["a", "a"]})


def test_fields_are_found_through_sections_and_choices() -> None:
    field, depth = field_at(("strategy", "backbone_lr_factor"))
    assert (expected_value(field).phrase if field else None, depth) == (saying("0", "1", "number"), 2)
    assert field_at(("train", "early_stopping", "patience"))[1] == 3
    assert field_at(("augment", "transforms", 0, "name"))[1] == 4
    assert field_at(("train", "lr"))[1] == 1
    assert field_at(("nowhere",)) == (None, 0)
