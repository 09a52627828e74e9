"""Loading a recipe from a file: what is accepted, and the message for every kind of mistake."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from messages import saying, says
from recipe_problems import recipe_problems

from tlkit.recipe import AugmentSection, FullStrategy, Recipe, load_recipe
from tlkit.recipe.value_types import OWN_COLUMNS
from tlkit.samples import RESERVED_COLUMNS

RESERVED = ("label", "y_true", "proba_cat")

HEAD = "recipe_version: 1\nname: pets\ndata: {root: data/pets}\nmodel: {name: resnet18}\n"  # that of `load`
Load = Callable[..., Recipe]
Problems = Callable[..., Sequence[str]]


def test_a_recipe_of_four_keys_has_every_default(load: Load) -> None:
    """The committed JSON Schema holds what they are."""
    model = {"name": "resnet18", "weights": "hub"}
    assert load() == Recipe(recipe_version=1, name="pets", data={"root": "data/pets"}, model=model)


def test_one_word_stands_for_three_sections_and_no_other(load: Load, problems: Problems) -> None:
    recipe = load("augment: heavy\nstrategy: full\ntracking: wandb\n")
    assert recipe.augment == AugmentSection(preset="heavy")
    assert recipe.strategy == FullStrategy(backbone_lr_factor=0.1)
    assert recipe.tracking.kind == "wandb"
    with pytest.raises(ValueError, match="frozen"):
        recipe.train.epochs = 3  # type: ignore[misc]
    head = "recipe_version: 1\nname: a\ndata: {root: b}\nmodel: resnet18\n"
    assert problems(head=head) == (saying("r.yaml:4", "model", "'resnet18'", "resnet18"),)


def test_transforms_class_names_and_anchors_keep_what_is_written(load: Load) -> None:
    text = "augment:\n  transforms:\n    - {name: Affine, scale: [0.9, 1.1], p: 0.5}\n"
    text += "train:\n  class_weights: {'no': 2, \"1e3\": 1, 'null': 0.5, été: 1}\naudit: {by: *columns}\n"
    data = "data: {root: c, metadata: m.csv, groups: &columns [age, sex]}\n"
    recipe = load(text, head=f"recipe_version: 1\nname: a\nmodel: {{name: b}}\n{data}")
    (first,) = recipe.augment.transforms or ()
    assert (first.name, first.arguments) == ("Affine", {"scale": [0.9, 1.1], "p": 0.5})
    assert recipe.train.class_weights == {"no": 2.0, "1e3": 1.0, "null": 0.5, "été": 1.0}
    assert recipe.audit.by == recipe.data.groups == ("age", "sex")


def test_a_byte_order_mark_and_windows_line_ends_are_read(tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + HEAD.replace("\n", "\r\n").encode())
    assert load_recipe(path).name == "pets"
    assert recipe_problems(path) == ()


def test_all_problems_are_reported_at_once(problems: Problems) -> None:
    text = """\
train:
  lr: 0.1
  epochs: '5'
  learning_rate: 1e-3
  batch_size: 64
  optimizer: AdamW
  momentum: 0.9
  warmup_epochs: 9
strategy:
  kind: frozen
  backbone_lr_factor: 0.1
seed: 3
seed: 4
"""
    assert problems(text, ["data.batch_sise=64"]) == (
        saying("r.yaml:6", "train.lr", "train.learning_rate"),
        saying("r.yaml:7", "train.epochs", "'5'", "1", "5"),
        saying("r.yaml:8", "train.learning_rate", "1e-3", "YAML", "1.1", "1.0e-3", "'1e-3'"),
        saying("r.yaml:9", "train.batch_size", "batch_size", "data.batch_size"),
        saying("r.yaml:10", "train.optimizer", "'AdamW'", "sgd", "adamw"),
        saying("r.yaml:15", "strategy.backbone_lr_factor", "kind", "last_n", "norm_only", "bias_only"),
        saying("r.yaml:17", "seed", "16", "17"),
        saying("data.batch_sise=64", "data.batch_sise", "data.batch_size"),
    )


def test_contradictions_are_reported_with_other_mistakes(problems: Problems) -> None:
    text = "train:\n  epochs: 3\n  warmup_epochs: 3\n  device: tpu\n"
    assert problems(text + "augment:\n  preset: light\n  transforms: [{name: A}]\n") == (
        saying("r.yaml:7", "train.warmup_epochs", "3", "train.epochs", "0"),
        saying("r.yaml:8", "train.device", "'tpu'", "auto", "cpu"),
        saying("r.yaml:11", "augment.preset", "augment.transforms"),
    )
    wrong = problems("train:\n  epochs: many\n  warmup_epochs: 8\n")  # a wrong value contradicts nothing
    assert wrong == (saying("r.yaml:6", "train.epochs", "'many'", "1"),)


NOTHING_YET = saying("r.yaml", "empty", "recipe_version: 1", "name", "data", "root", "model")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", [NOTHING_YET]),
        ("# only a comment\n", [NOTHING_YET]),
        ("- a\n- b\n", [saying("r.yaml:1", "recipe_version", "1")]),
        ("hello\n", [saying("r.yaml:1", "'hello'", "recipe_version", "1")]),
        (
            "seed: 1\n",
            [
                saying("r.yaml:1", "recipe_version", "1"),
                saying("r.yaml:1", "name", "100", "'.'", "'_'", "'-'"),
                saying("r.yaml:1", "data", "missing", "root"),
                saying("r.yaml:1", "model", "missing", "name"),
            ],
        ),
        (
            "recipe_version: 1\nname: a\nmodel: {arch: b}\ndata:\n  path: c\n",  # one mistake each, not two
            [saying("r.yaml:3", "model.arch", "model.name"), saying("r.yaml:5", "data.path", "data.root")],
        ),
        (
            "recipe_version: 2\nname: my run!\nmodel:\ndata: data/pets\n",
            [
                saying("r.yaml:1", "recipe_version", "2", "1"),
                saying("r.yaml:2", "name", "'my run!'", "up", "100", "'.'", "'_'", "'-'"),
                saying("r.yaml:3", "model", "resnet18"),
                saying("r.yaml:4", "data", "'data/pets'", "data/pets"),
            ],
        ),
        (
            "recipe_version: true\nname: 42\nmodel: {name: no}\ndata: {root: ~}\n",
            [
                saying("r.yaml:1", "recipe_version", "1"),
                saying("r.yaml:2", "name", "42", "YAML", "1.1", "'42'"),
                saying("r.yaml:3", "model.name", "no", "YAML", "1.1", "'no'"),
                saying("r.yaml:4", "data.root", "~", "data/pets"),
            ],
        ),
    ],
)
def test_a_file_that_is_no_recipe_gets_the_keys_to_begin_with(
    problems: Problems, text: str, expected: list[object]
) -> None:
    assert list(problems(head=text)) == expected


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ("root: c, val: 0.9, test: 0.1", saying("data.val", "0.9", "data.test", "0.1", "shares", "1")),
        ("root: c, groups: [sex]", saying("data.groups", "data.metadata", "CSV")),
        ("root: c, group_by: patient", saying("data.group_by", "data.metadata", "CSV")),
        ("root: c, metadata: m.csv, group_by: p, time_column: t", saying("data.group_by", "data.time_column")),
        ("root: c, folds: 5, fold: 5", saying("data.fold", "5", "data.folds", "0", "4")),
        ("root: c, fold: 1", saying("data.fold", "1", "data.folds")),
        ("root: c, folds: 5, test: 0.2", saying("data.test", "0.2", "data.folds")),
        ("root: c, folds: 5, split: s.csv", saying("data.split", "data.folds")),
        ("root: c, folds: 5, time_column: t, metadata: m.csv", saying("data.folds", "data.time_column")),
        ("root: c, resize: squash, crop_pct: 0.9", saying("data.crop_pct", "0.9", "resize")),
        ("val: 0.1", saying("data.root", "root", "data/pets", "manifest", "CSV", "shards")),
        ("root: [a, b], manifest: m.csv", saying("data.root", "2", "data.manifest")),
        ("root: []", saying("data.root", "root", "data/pets", "manifest", "CSV", "shards")),
        ("root: a, shards: b.tar", saying("data.shards", "data.root")),
        ("root: a, shuffle_buffer: 9", saying("data.shuffle_buffer", "9", "data.shards")),
        ("shards: b.tar, shuffle_buffer: 0", saying("data.shuffle_buffer", "0", "1")),
        ("root: a, folds: 1", saying("data.folds", "1", "2")),
        *((f"root: c, metadata: m.csv, groups: [{own}]", saying("data.groups", f"'{own}'")) for own in RESERVED),
    ],
)
def test_data_that_contradicts_itself_is_refused(problems: Problems, data: str, expected: object) -> None:
    head = f"recipe_version: 1\nname: a\nmodel: {{name: b}}\ndata: {{{data}}}\n"
    assert problems(head=head) == (saying("r.yaml:4", expected),)


@pytest.mark.parametrize(
    ("train", "expected"),
    [
        ("momentum: 0.9", saying("train.momentum", "0.9", "optimizer")),
        ("schedule: one_cycle, warmup_epochs: 1", saying("train.warmup_epochs", "1", "one_cycle", "schedule")),
        ("warmup_epochs: 5", saying("train.warmup_epochs", "5", "train.epochs", "0")),
        ("precision: 16, device: cpu", saying("train.precision", "16", "train.device", "float16", "bf16")),
    ],
)
def test_training_that_contradicts_itself_is_refused(problems: Problems, train: str, expected: object) -> None:
    assert problems(f"train: {{{train}}}\n") == (saying("r.yaml:5", expected),)


@pytest.mark.parametrize(
    ("tail", "expected"),
    [
        ("train: {sampling: balanced}", saying("data.shuffle_buffer", "9", "train.sampling", "train.class_weights")),
        ("strategy: {kind: frozen, head: logistic}\naugment: none", saying("data.shuffle_buffer", "9")),
    ],
)
def test_a_shuffle_buffer_without_effect_is_refused(problems: Problems, tail: str, expected: object) -> None:
    head = f"recipe_version: 1\nname: a\nmodel: {{name: b}}\ndata: {{shards: c.tar, shuffle_buffer: 9}}\n{tail}\n"
    found = problems(head=head)
    assert [text.split("  ", 1)[1] for text in found] == [expected]


def test_apparent_contradictions_are_accepted(load: Load) -> None:
    assert load("train: {optimizer: sgd, momentum: 0.5}\n").train.momentum == 0.5
    assert load("train: {optimizer: rmsprop, momentum: 0.0}\n").train.momentum == 0.0
    assert load("train: {schedule: one_cycle, warmup_epochs: 0}\n").train.schedule == "one_cycle"
    assert load("train: {warmup_epochs: 4.5}\n").train.warmup_epochs == 4.5
    assert load("tracking: {kind: none, project: mine, tags: [a]}\n").tracking.project == "mine"
    assert load("augment: {preset: none, transforms: null}\n").augment.preset == "none"


def test_an_audit_by_a_column_that_is_not_carried_is_refused(problems: Problems) -> None:
    assert problems("audit: {by: [sex]}\n") == (saying("r.yaml:5", "audit.by", "'sex'", "data.groups"),)
    head = "recipe_version: 1\nname: a\nmodel: {name: b}\ndata: {root: c, metadata: m.csv, groups: [age, gender]}\n"
    assert problems("audit:\n  by: [age, gendre, race]\n", head=head) == (
        saying("r.yaml:6", "audit.by", "'gendre'", "data.groups", "'gender'"),
        saying("r.yaml:6", "audit.by", "'race'", "data.groups"),
    )


def test_the_reserved_columns_are_those_of_the_samples() -> None:
    assert set(RESERVED_COLUMNS) <= set(OWN_COLUMNS)


def test_a_missing_file_gets_the_nearest_recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("recipes").mkdir()
    Path("recipes/quickstart.yaml").write_text(HEAD)
    Path("recipes/vit_frozen.yaml").write_text(HEAD)
    for wrong in ("recipes/quikstart.yaml", "recipes/quickstart", "recipes/Quickstart.yml", "quickstart.yaml"):
        assert recipe_problems(wrong) == (saying(wrong, "recipes/quickstart.yaml"),)
    assert recipe_problems("recipe/quickstart.yaml") == (saying("recipe/quickstart.yaml", "recipes/quickstart.yaml"),)
    assert recipe_problems("recipes/zzz.yaml") == (saying("recipes/zzz.yaml", "quickstart.yaml", "vit_frozen.yaml"),)


def test_a_folder_and_a_file_without_utf_8_text_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("r.yaml").write_bytes(b"name: a\ndata: {root: caf\xe9}\n")
    assert recipe_problems("r.yaml") == (saying("r.yaml:2", "UTF-8", "0xe9"),)
    Path("r.yaml").write_bytes(b"a" * (2**20 + 1))
    assert recipe_problems("r.yaml") == (saying("r.yaml", "1", "YAML"),)
    Path("runs/x").mkdir(parents=True)
    assert recipe_problems("runs/x") == (saying("runs/x", "YAML"),)
    Path("runs/x/recipe.yaml").write_text(HEAD)
    assert recipe_problems("runs/x") == (saying("runs/x", "runs/x/recipe.yaml"),)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(text=st.text(alphabet="[]{}:,'\"#&*!|>%@`-?~ \n\tae19.no<=") | st.text())
def test_any_text_is_a_recipe_or_a_clear_problem(text: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_text(text, encoding="utf-8")
    for problem in recipe_problems(path):
        assert problem.startswith(str(path))
        assert "  " in problem and problem[-1] in ".?"


def test_a_group_column_may_state_how_it_is_cut(load: Load) -> None:
    head = HEAD.replace("data/pets", "data/pets, metadata: m.csv, groups: [age, sex, burst]")
    text = "audit:\n  by: [sex, {column: age, bins: [18, 65.5]}]\n  cluster_by: burst\n  criteria: [equalized_odds]\n"
    section = load(text, ["audit.tolerance=0.1"], head=head).audit
    assert (section.columns, section.tolerance) == (("sex", "age"), 0.1)
    assert section.plain[1]["bins"] == (18, 65.5)


@pytest.mark.parametrize(
    ("audit", "expected"),
    [
        ("by: [{column: age, bins: [65, 18]}]", saying("bins")),
        ("by: [{column: age, quantile: 4}]", saying("quantile")),
        ("by: [age], criteria: [equal_odds]", saying("criteria")),
        ("by: [age], cluster_by: burst", saying("audit.cluster_by", "'burst'", "data.groups")),
        ("by: [age], pair_by: age, weights: age", saying("audit.pair_by", "compares")),
    ],
)
def test_wrong_audit_options_are_reported(problems: Problems, audit: str, expected: object) -> None:
    head = HEAD.replace("data/pets", "data/pets, metadata: m.csv, groups: [age]")
    (found, *_) = problems(f"audit: {{{audit}}}\n", head=head)
    assert says(found, expected)


def test_a_column_is_cut_as_on_the_command_line(load: Load, problems: Problems) -> None:
    data = "recipe_version: 1\nname: a\nmodel: {name: b}\ndata: {root: c, metadata: m.csv, groups: [width, tags]}\n"
    short = load("audit: {by: ['width:quantiles=3', 'tags:separator=;']}\n", head=data)
    long = load("audit: {by: [{column: width, quantiles: 3}, {column: tags, separator: ;}]}\n", head=data)
    assert short == long
    assert load("audit: {by: 'width:bins=2,5'}\n", head=data).audit.plain[0]["bins"] == (2.0, 5.0)
    for text, parts in (
        ("width:quantiles=x", ["audit.by[0]", "'width:quantiles=x'", "width:quantiles=4"]),
        ("width:quantiles=1", ["audit.by[0]", "'width:quantiles=1'", "2 to 50"]),
        ("width:order=low,low", ["audit.by[0]", "'width:order=low,low'", "order", "once"]),
        ("height:quantiles=3", ["audit.by", "'height'", "width, tags"]),
    ):
        assert says(problems(f"audit: {{by: ['{text}']}}\n", head=data), *parts)


def test_columns_and_annotations_need_a_file_that_has_them(load: Load, problems: Problems) -> None:
    found = problems("", ["data.columns.path=image", "data.annotations=majority"])
    assert says(found, "data.columns", "image", "data.manifest")
    assert says(found, "data.annotations", "majority", "data.manifest")
    section = load("", ["data.root=photos.csv", "data.columns.label=emotion", "data.merge_classes.anger=[ANGER]"]).data
    assert (section.columns, section.merge_classes) == ({"label": "emotion"}, {"anger": ("ANGER",)})
