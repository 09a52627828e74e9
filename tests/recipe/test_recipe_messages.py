"""Wrong values and unknown keys: what a user types, and what the recipe answers."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest
import yaml
from annotated_types import Ge, Gt, Le, Lt
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic.fields import FieldInfo

from tlkit.errors import RecipeError
from tlkit.recipe import Recipe, load_recipe, recipe_problems
from tlkit.recipe.fields import all_keys, field_at, sections_in, wanted
from tlkit.recipe.keys import ALIASES, ALIASES_IN_SECTION, ELSEWHERE, unknown_key
from tlkit.recipe.wording import WORDS_OF_OTHERS

REST = {
    "recipe_version": "recipe_version: 1\n",
    "name": "name: pets\n",
    "data": "data: {root: r, metadata: m.csv}\n",
    "model": "model: {name: resnet18}\n",
}


def told(key: str, written: str, folder: Path) -> str:
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
    where, said = message.split("  ", 1)
    assert where == f"{path}:1"
    return said


@pytest.mark.parametrize(
    ("key", "written", "expected"),
    [
        # numbers
        ("train.epochs", "0", "train.epochs is 0. Use a whole number of at least 1."),
        ("train.epochs", "5.0", "train.epochs is 5.0. Use a whole number of at least 1: 5."),
        ("train.epochs", "2.5", "train.epochs is 2.5. Use a whole number of at least 1."),
        ("train.epochs", "five", "train.epochs is 'five'. Use a whole number of at least 1."),
        ("train.epochs", "true", "train.epochs is true. Use a whole number of at least 1."),
        ("train.epochs", "", "train.epochs is empty. Use a whole number of at least 1."),
        ("train.epochs", "[5]", "train.epochs is [5]. Use a whole number of at least 1."),
        ("train.epochs", "'0'", "train.epochs is '0', which is text because of its quotes. "
         "Use a whole number of at least 1."),
        ("data.batch_size", '"64"', "data.batch_size is '64', which is text because of its quotes. "
         "Use a whole number of at least 1: 64."),
        ("train.learning_rate", "'0.1'", "train.learning_rate is '0.1', which is text because of its quotes. "
         "Use a number above 0: 0.1."),
        ("train.learning_rate", "'1e-5'", "train.learning_rate is '1e-5', which is text because of its quotes. "
         "Use a number above 0: 1.0e-05."),
        ("train.learning_rate", "+.5", "train.learning_rate is '+.5', which YAML 1.1 reads as text. "
         "Use a number above 0: 0.5."),
        ("train.learning_rate", "-1", "train.learning_rate is -1. Use a number above 0."),
        ("train.learning_rate", "nan", "train.learning_rate is 'nan'. Use a number above 0."),
        ("train.learning_rate", "no", "train.learning_rate is `no`, which YAML 1.1 reads as false. "
         "Use a number above 0."),
        ("train.weight_decay", "'0,01'", "train.weight_decay is '0,01'. Use a number of at least 0: 0.01."),
        ("train.label_smoothing", "10%", "train.label_smoothing is '10%'. Use a number from 0 to below 1: 0.1."),
        ("train.label_smoothing", "10", "train.label_smoothing is 10. Use a number from 0 to below 1; 10 % is 0.1."),
        ("evaluate.confidence", "95", "evaluate.confidence is 95. Use a number between 0 and 1; 95 % is 0.95."),
        ("evaluate.confidence", "1", "evaluate.confidence is 1. Use a number between 0 and 1, such as 0.95."),
        ("data.val", "20", "data.val is 20. Use a share from 0 to 0.9; 20 % is 0.2."),
        ("data.val", "95", "data.val is 95. Use a share from 0 to 0.9."),
        ("seed", "-1", "seed is -1. Use a whole number from 0 to 4294967295."),
        ("train.gradient_clip", "0", "train.gradient_clip is 0. Use a number above 0, or null for no clipping."),
        ("train.gradient_clip", "none", "train.gradient_clip is 'none'. "
         "Use a number above 0, or null for no clipping. Did you mean null?"),
        ("strategy", "{kind: full, backbone_lr_factor: 0}", "strategy.backbone_lr_factor is 0. "
         "Use a number above 0 and up to 1."),
        # choices
        ("train.optimizer", "AdamW", "train.optimizer is 'AdamW'. Use sgd, adam, adamw or rmsprop. "
         "Did you mean adamw?"),
        ("train.optimizer", "lion", "train.optimizer is 'lion'. Use sgd, adam, adamw or rmsprop."),
        ("train.schedule", "none", "train.schedule is 'none'. Use cosine, one_cycle or constant. "
         "Did you mean constant?"),
        ("train.schedule", "onecycle", "train.schedule is 'onecycle'. Use cosine, one_cycle or constant. "
         "Did you mean one_cycle?"),
        ("train.precision", "'32'", "train.precision is '32'. Use auto, 32, bf16 or 16, without quotes."),
        ("train.precision", "bf16-mixed", "train.precision is 'bf16-mixed'. Use auto, 32, bf16 or 16. "
         "Did you mean bf16?"),
        ("train.precision", "64", "train.precision is 64. Use auto, 32, bf16 or 16."),
        ("train.precision", "32.0", "train.precision is 32.0. Use auto, 32, bf16 or 16. Did you mean 32?"),
        ("train.device", "gpu", "train.device is 'gpu'. Use auto, cpu, cuda or mps. Did you mean cuda?"),
        ("train.monitor", "accuracy", "train.monitor is 'accuracy'. Use val_loss, val_accuracy or "
         "val_worst_group_accuracy. Did you mean val_accuracy?"),
        (
            "data.resize",
            "pad",
            "data.resize is 'pad'. Use crop, letterbox or squash, or null for the backbone's own. "
            "Did you mean letterbox?",
        ),
        ("recipe_version", "'1'", "recipe_version is '1'. Use 1, without quotes."),
        # sections in one word
        ("strategy", "finetune", "strategy is 'finetune'. Use frozen, full, lp_ft, gradual, "
         "last_n, norm_only, bias_only or lora. Did you mean full?"),
        ("strategy", "{kind: frozn}", "strategy.kind is 'frozn'. Use frozen, full, lp_ft, gradual, "
         "last_n, norm_only, bias_only or lora. Did you mean frozen?"),
        ("strategy", "{backbone_lr_factor: 0.1}", "strategy.kind is missing. Add kind: frozen, full, lp_ft, gradual, "
         "last_n, norm_only, bias_only or lora."),
        ("strategy", "", "strategy is empty. Give it keys such as kind: frozen, "
         "or remove the line to take the defaults."),
        ("augment", "off", "augment is `off`, which YAML 1.1 reads as false. Use none, light, medium or heavy. "
         "Did you mean none?"),
        ("augment", "strong", "augment is 'strong'. Use none, light, medium or heavy. Did you mean heavy?"),
        ("tracking", "on", "tracking is `on`, which YAML 1.1 reads as true. Use none or wandb. "
         "Did you mean wandb?"),
        ("tracking.kind", "null", "tracking.kind is `null`. Use none or wandb. Did you mean none?"),
        # sections that are none
        ("train", "5", "train is 5, not a section. Write its keys below it, indented, such as epochs: 5."),
        ("train", "[]", "train is [], not a section. Write its keys below it, indented, such as epochs: 5."),
        ("train", "", "train is empty. Give it keys such as epochs: 5, or remove the line to take the defaults."),
        ("train", "epochs:5", "train is 'epochs:5'. A space is missing after the colon: write `epochs: 5`."),
        ("strategy", "kind:full", "strategy is 'kind:full'. A space is missing after the colon: write `kind: full`."),
        ("report", "false", "report is false, not a section. Write its keys below it, indented, "
         "such as enabled: false."),
        ("train.early_stopping", "true", "train.early_stopping is true. "
         "Use null for none, or keys such as {monitor: val_loss, patience: 5}."),
        ("train.early_stopping", "{patience: 0}", "train.early_stopping.patience is 0. "
         "Use a whole number of at least 1."),
        # texts
        ("name", "1e3", "name is `1e3`, which YAML 1.1 reads as text. "
         "Write 1.0e+3 for the number, or '1e3' for the text."),
        ("name", "2024-01-31", "name is `2024-01-31`, which YAML reads as a date. Quote it: '2024-01-31'."),
        ("data.root", "5", "data.root is `5`, which YAML 1.1 reads as a number. Quote it: '5'."),
        ("data.root", "''", "data.root is ''. Use the path of a folder of images, such as data/pets."),
        ("data.metadata", "None", "data.metadata is the text 'None'. Use null for none."),
        ("tracking.log_model", "'true'", "tracking.log_model is 'true'. Use true or false."),
        ("model.weights", "imagenet", "model.weights is 'imagenet'. Use hub, none, pip:PACKAGE, file:PATH, "
         "hf-hub:ORG/REPO or run:PATH. Did you mean hub?"),
        ("model.weights", "no", "model.weights is `no`, which YAML 1.1 reads as false. Use hub, none, pip:PACKAGE, "
         "file:PATH, hf-hub:ORG/REPO or run:PATH. Did you mean none?"),
        ("model.weights", "weights/a.safetensors", "model.weights is 'weights/a.safetensors'. Use hub, none, "
         "pip:PACKAGE, file:PATH, hf-hub:ORG/REPO or run:PATH. Did you mean file:weights/a.safetensors?"),
        ("model.weights", "best.pth", "model.weights is 'best.pth'. Use hub, none, pip:PACKAGE, file:PATH, "
         "hf-hub:ORG/REPO or run:PATH. Pickled weights are not loaded; save them as safetensors and use file:PATH."),
        ("model.weights", "timm/resnet18.a1_in1k", "model.weights is 'timm/resnet18.a1_in1k'. Use hub, none, "
         "pip:PACKAGE, file:PATH, hf-hub:ORG/REPO or run:PATH. Did you mean hf-hub:timm/resnet18.a1_in1k?"),
        ("model.weights", "hf_hub:timm/a", "model.weights is 'hf_hub:timm/a'. Use hub, none, pip:PACKAGE, file:PATH, "
         "hf-hub:ORG/REPO or run:PATH. Did you mean hf-hub:timm/a?"),
        # lists and mappings
        ("data.groups", "sex", "data.groups is 'sex'. Use a list of columns of the metadata: [sex]."),
        ("data.groups", "'age, sex'", "data.groups is 'age, sex'. Use a list of columns of the metadata: [age, sex]."),
        ("data.groups", "[age, 1]", "data.groups[1] is `1`, which YAML 1.1 reads as a number. Quote it: '1'."),
        ("data.groups", "[age, sex, age]", "data.groups names 'age' twice. Keep one of them."),
        ("evaluate.top_k", "5", "evaluate.top_k is 5. Use a list of whole numbers of at least 1: [5]."),
        ("evaluate.top_k", "[1, 0]", "evaluate.top_k[1] is 0. "
         "Use a list of whole numbers of at least 1, such as [1, 5]."),
        ("evaluate.top_k", "[1, 5, 1]", "evaluate.top_k names 1 twice. Keep one of them."),
        ("data.image_size", "big", "data.image_size is 'big'. Use a whole number of pixels such as 224, "
         "[height, width], or null for the backbone's own."),
        ("data.image_size", "[32]", "data.image_size is [32]. Use a whole number of pixels such as 224, "
         "[height, width], or null for the backbone's own."),
        ("data.image_size", "[32, 0]", "data.image_size[1] is 0. Use a whole number of pixels such as 224, "
         "[height, width], or null for the backbone's own."),
        ("data.background", "[0, 0, 300]", "data.background[2] is 300. "
         "Use three whole numbers from 0 to 255, such as [255, 255, 255]."),
        ("data.background", "white", "data.background is 'white'. "
         "Use three whole numbers from 0 to 255, such as [255, 255, 255]."),
        ("data.num_workers", "all", "data.num_workers is 'all'. Use a whole number of at least 0, or auto."),
        ("train.class_weights", "{ant: -1}", "train.class_weights.ant is -1. "
         "Use none, balanced, or a weight above 0 for each class, such as {ants: 1.0, bees: 2.0}."),
        ("train.class_weights", "{}", "train.class_weights is {}. "
         "Use none, balanced, or a weight above 0 for each class, such as {ants: 1.0, bees: 2.0}."),
        ("train.class_weights", "balance", "train.class_weights is 'balance'. "
         "Use none, balanced, or a weight above 0 for each class. Did you mean balanced?"),
        ("train.class_weights", "{no: 2}", "the key `no` in train.class_weights is read by YAML as true or false. "
         "Quote it: 'no'."),
        # transforms
        ("augment.transforms", "[HorizontalFlip]", "augment.transforms[0] is 'HorizontalFlip', "
         "without a key before it. Write {name: HorizontalFlip}."),
        ("augment.transforms", "[{HorizontalFlip: {p: 1}}]", "augment.transforms[0].name is missing. "
         "Did you mean {name: HorizontalFlip, p: 1}?"),
        ("augment.transforms", "[{p: 1}]", "augment.transforms[0].name is missing. "
         "Add name: the name of an Albumentations transform, such as HorizontalFlip."),
        ("augment.transforms", "[{name: GaussNoise, std_range: [1e-3, 0.1]}]", "augment.transforms[0].std_range[0] is "
         "`1e-3`, which YAML 1.1 reads as text. Write 1.0e-3 for the number, or '1e-3' for the text."),
        ("augment.transforms", "[]", "augment.transforms is []. Use a list of transforms such as "
         "[{name: HorizontalFlip, p: 0.5}], or preset: none for no augmentation."),
        # unknown keys
        ("train.lr", "1", "train.lr is unknown. Did you mean train.learning_rate?"),
        ("train.epoch", "1", "train.epoch is unknown. Did you mean train.epochs?"),
        ("train.batch_size", "1", "train.batch_size is unknown: batch_size belongs to data. Use data.batch_size."),
        ("train.bs", "1", "train.bs is unknown. Did you mean data.batch_size?"),
        ("train.monitr", "1", "train.monitr is unknown. Did you mean train.monitor?"),
        ("data.batchSize", "1", "data.batchSize is unknown. Did you mean data.batch_size?"),
        ("data.train", "x", "data.train is unknown. Did you mean data.root?"),
        ("data.augment", "x", "data.augment is unknown: augment belongs to the top of the recipe, "
         "beside the sections. Move it there."),
        ("data.num_classes", "2", "data.num_classes is unknown. The classes are the names of the image folders. "
         "Remove it."),
        ("data.mean", "[1]", "data.mean is unknown. It belongs to the backbone's weights and comes with them. "
         "Remove it."),
        ("model.pretrained", "true", "model.pretrained is unknown. Did you mean model.weights?"),
        ("audit.groups", "[a]", "audit.groups is unknown. Did you mean audit.by?"),
        ("evaluate.xyzzy", "1", "evaluate.xyzzy is unknown. evaluate takes top_k, confidence, tta."),
        ("trian", "{}", "trian is unknown. Did you mean train?"),
        ("optimizer", "adam", "optimizer is unknown: optimizer belongs to train. Use train.optimizer."),
        ("lr", "1", "lr is unknown. Did you mean train.learning_rate?"),
        ("wandb", "true", "wandb is unknown. Did you mean tracking?"),
        ("output_dir", "x", "output_dir is unknown. A run goes to runs/<name>. Remove it, and set name."),
        ("resume", "true", "resume is unknown. Remove it, and continue a run with `tlkit fit RECIPE --resume`."),
        ("qqqqqq", "1", "qqqqqq is unknown. A recipe takes recipe_version, name, seed, data, augment, model, "
         "strategy, features, train, evaluate, audit, report, tracking."),
    ],
)  # fmt: skip
def test_a_mistake_is_answered_with_what_was_seen_and_what_to_do(
    key: str, written: str, expected: str, tmp_path: Path
) -> None:
    assert told(key, written, tmp_path) == expected


LEAVES = sorted(key for key, field in all_keys().items() if not sections_in(field.annotation))


def test_every_field_says_what_it_wants_and_what_it_means() -> None:
    for key, field in all_keys().items():
        assert isinstance(field, FieldInfo)
        assert wanted(field).phrase, key
        if not sections_in(field.annotation):
            assert field.description and field.description.endswith("."), key


def test_the_range_in_words_is_the_range_that_is_checked() -> None:
    checked = 0
    for key in LEAVES:
        field = all_keys()[key]
        for bound in (item for item in field.metadata if isinstance(item, Ge | Gt | Le | Lt)):
            (number,) = dataclasses.astuple(bound)
            phrase = wanted(field).phrase
            assert re.search(rf"(?<![\d.]){re.escape(str(number))}(?![\d.]\d)", phrase), (key, number, phrase)
            checked += 1
    assert checked > 20


def test_the_words_of_other_tools_lead_to_keys_that_exist() -> None:
    for word, target in {**ALIASES, **ALIASES_IN_SECTION}.items():
        assert target in all_keys(), word
        assert word not in all_keys(), word
    for key, words in WORDS_OF_OTHERS.items():
        assert key in all_keys()
        assert not {word for text in words.values() for word in text.split()} & set(words), key
    assert not set(ELSEWHERE) & set(ALIASES)


@pytest.mark.parametrize("word", ["lr", "bs", "arch", "backbone", "wd", "n_epochs", "num_epochs", "max_epochs"])
def test_words_of_the_field_are_known_wherever_they_stand(word: str) -> None:
    target = ALIASES[word]
    for section in ("", "data", "train", "model"):
        path = (section, word) if section else (word,)
        assert unknown_key(path).endswith(f"Did you mean {target}?")


@pytest.mark.parametrize("key", sorted({target for words in WORDS_OF_OTHERS for target in [words]}))
def test_the_choice_that_other_words_mean_is_accepted(key: str, tmp_path: Path) -> None:
    for ours in WORDS_OF_OTHERS[key]:
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
def test_whatever_a_key_holds_is_accepted_or_answered_in_our_words(
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


def test_a_recipe_built_in_python_is_held_to_the_same_rules() -> None:
    with pytest.raises(ValueError, match=r"data\.val is 0\.5 and data\.test is 0\.5, which leaves nothing to train on"):
        Recipe(recipe_version=1, name="a", data={"root": "b", "val": 0.5, "test": 0.5}, model={"name": "c"})
    with pytest.raises(ValueError, match="names 'a' twice"):
        Recipe(recipe_version=1, name="a", data={"root": "b"}, model={"name": "c"}, tracking={"tags": ["a", "a"]})


def test_fields_are_found_through_sections_and_choices() -> None:
    field, depth = field_at(("strategy", "backbone_lr_factor"))
    assert (wanted(field).phrase if field else None, depth) == ("a number above 0 and up to 1", 2)
    assert field_at(("train", "early_stopping", "patience"))[1] == 3
    assert field_at(("augment", "transforms", 0, "name"))[1] == 4
    assert field_at(("train", "lr"))[1] == 1
    assert field_at(("nowhere",)) == (None, 0)
