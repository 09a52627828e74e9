"""The command line: its output on stdout and stderr, its exit codes, and the packages that it does not load."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from command import tlkit
from messages import saying, says
from options import parameters

from tlkit import __version__

TORCH_SIDE = ("torch", "timm", "pytorch_lightning", "albumentations", "wandb", "torchvision")
HEAVY = (*TORCH_SIDE, "sklearn", "pandas", "matplotlib", "scipy", "numpy")
RECIPE = """\
recipe_version: 1
name: tiny
data: {{root: {root}, batch_size: 8, num_workers: 0, image_size: 32, val: 0.25}}
augment: none
model: {{name: test_resnet, weights: none}}
train: {{epochs: 1}}
"""


@pytest.fixture
def recipe(tmp_path, image_folder):
    path = tmp_path / "tiny.yaml"
    path.write_text(RECIPE.format(root=image_folder(**{"": 8})))
    return path


@pytest.fixture
def predictions_csv(tmp_path):
    rows = [(f"{i}.png", "cat" if i % 2 else "dog", "cat", "day" if i < 40 else "night") for i in range(60)]
    path = tmp_path / "predictions.csv"
    pd.DataFrame(rows, columns=["path", "y_true", "y_pred", "light"]).to_csv(path, index=False)
    return path


def loaded_by(code, *, cwd):
    """Return which heavy packages a piece of code loads."""
    text = f"import sys\n{code}\nprint('LOADED', *[name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", text], capture_output=True, text=True, cwd=cwd, check=True, timeout=120
    )
    return set(done.stdout.rpartition("LOADED")[2].split())


def run_main(*arguments, code=0):
    return f"""
from tlkit.cli.app import main
sys.argv = ["tlkit", *{[str(a) for a in arguments]!r}]
try:
    main()
except SystemExit as error:
    assert (error.code or 0) == {code}, error.code
"""


def loaded_by_commands(commands, *, cwd, codes=(0,)):
    """Return the heavy packages that one process has loaded after each command, by command."""
    code = f"""
from tlkit.cli.app import main
for command in {commands!r}:
    sys.argv = ["tlkit", *command]
    try:
        main()
    except SystemExit as stop:
        assert (stop.code or 0) in {codes!r}, (command, stop.code)
    print("AFTER", command[0], *[name for name in {HEAVY!r} if name in sys.modules])
"""
    text = f"import sys\n{code}"
    done = subprocess.run(
        [sys.executable, "-c", text], capture_output=True, text=True, cwd=cwd, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    found = [line.split()[2:] for line in done.stdout.splitlines() if line.startswith("AFTER")]
    return {" ".join(command): set(names) for command, names in zip(commands, found, strict=True)}


def test_importing_tlkit_loads_nothing_heavy(tmp_path):
    assert loaded_by("import tlkit; tlkit.TlkitError; tlkit.load_recipe", cwd=tmp_path) == set()


def test_help_and_recipe_checks_load_nothing_heavy(recipe, tmp_path):
    verbs = sorted({tuple(command.split()) for command, *_ in parameters()})
    assert len(verbs) > 30
    commands = [[*verb, "--help"] for verb in verbs]
    commands += [["recipe", "check", "tiny.yaml"], ["recipe", "schema"]]
    assert {name: heavy for name, heavy in loaded_by_commands(commands, cwd=tmp_path).items() if heavy} == {}


def test_verbs_that_need_no_network_load_no_torch(recipe, predictions_csv, tmp_path):
    commands = [
        ["predict", "nowhere", "colours"],
        ["track", "nowhere"],
        ["gate", "nowhere"],
        ["init", "colours"],
        ["evaluate", str(predictions_csv)],
        ["audit", str(predictions_csv)],
        ["data", "split", "colours", "--out", "split.csv"],
        ["data", "summary", "colours"],
        ["data", "doctor", "colours"],
    ]
    loaded = loaded_by_commands(commands, cwd=tmp_path, codes=(0, 2))
    assert {name: heavy & {*TORCH_SIDE} for name, heavy in loaded.items() if heavy & {*TORCH_SIDE}} == {}


def test_commands_of_the_feature_cache_load_no_torch(tmp_path):
    assert loaded_by(run_main("features", "info"), cwd=tmp_path) <= {"numpy"}


def test_judging_works_where_torch_cannot_be_imported(predictions_csv, tmp_path):
    block = f"""
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.partition('.')[0] in {TORCH_SIDE!r}:
            raise ImportError(f'{{name}} is blocked')
sys.meta_path.insert(0, Block())
"""
    assert not loaded_by(block + run_main("audit", predictions_csv, "--by", "light"), cwd=tmp_path) & set(TORCH_SIDE)


MISTYPED = [
    (("fit",), ["data.root=color", "model.name=resnet50", "model.weights=hub"], saying("color", "'colours'")),
    (("recipe", "plan"), ["data.root=color", "model.weights=hub"], saying("color", "'colours'")),
    (("recipe", "check"), ["model.name=test_resnett"], saying("'test_resnet'", "mean")),
    (("fit",), ["model.name=test_resnett"], saying("'test_resnet'", "mean")),
    (("recipe", "plan"), ["model.weights=pip:no-such-weights"], saying("'no-such-weights'", "installed")),
    (("recipe", "tune"), ["model.weights=file:nowhere.pt"], saying("nowhere.pt", "file")),
]
MISSING = [
    (("predict", "runs/none", "colours"), saying("error: ", "runs/none")),
    (("predict", "model", "nowhere.png", "nowhere"), saying("error: nowhere.png", "error: nowhere does not")),
    (("predict", "model", "colours", "--out", "p.xlsx"), saying(".csv, .parquet or .jsonl")),
    (("advise", "color"), saying("'colours'")),
    (("advise", "colours", "--plot", "advice.png"), saying("--plot", "advice.png", ".svg")),
]


@pytest.mark.parametrize(("verb", "changes", "said"), MISTYPED)
def test_a_mistyped_folder_or_model_is_reported_before_images_are_checked(recipe, tmp_path, verb, changes, said, run):
    errors = run(*verb, recipe, *changes).stderr
    assert says(errors, said) and errors.count("error: ") == 1
    assert "Checked" not in errors
    assert not (tmp_path / "runs" / "tiny" / "run.json").exists()


@pytest.fixture
def empty_model(tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "model.json").write_text("{}")


@pytest.mark.parametrize(("arguments", "said"), MISSING)
def test_missing_inputs_are_reported(recipe, empty_model, arguments, said, run):
    assert says(run(*arguments).stderr, said)


def test_wrong_names_are_reported_before_torch_is_loaded(recipe, empty_model, tmp_path):
    commands = [[*verb, str(recipe), *changes] for verb, changes, _ in MISTYPED]
    commands += [[*arguments] for arguments, _ in MISSING]
    loaded = loaded_by_commands(commands, cwd=tmp_path, codes=(2,))
    assert {name: heavy & {*TORCH_SIDE} for name, heavy in loaded.items() if heavy & {*TORCH_SIDE}} == {}


def test_help_lists_every_command(run):
    text = run("--help").stdout
    commands = "fit predict evaluate audit report learning-curve recipe data features models"
    for command in commands.split():
        assert re.search(rf"\b{command}\b", text), command


@pytest.mark.slow
def test_the_main_job_from_recipe_to_prediction(run, recipe, tmp_path):
    plan = run("recipe", "plan", recipe, "--details")
    assert plan.returncode == 0, plan.stderr
    assert re.search(r"^all +12 +4 +0 +16$", plan.stdout, re.MULTILINE)
    stated = json.loads(run("recipe", "plan", recipe, "--json").stdout)["tables"]
    assert stated[0]["rows"][-1] == {"name": "all", "train": 12, "val": 4, "test": 0, "all": 16}
    done = run("fit", recipe, "train.epochs=2", "--data.batch_size=4")
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert re.search(r"^Accuracy \d+\.\d% \[\d+\.\d, \d+\.\d\] on 4 val images", done.stdout, re.MULTILINE)
    assert len(done.stdout.splitlines()) <= 25
    assert max(len(line) for line in done.stdout.splitlines() if " " in line) <= 80  # a long path has a line of its own
    assert "runs/tiny/report.html" in done.stdout
    assert "Epoch 2 of 2" in done.stderr
    assert "Epoch" not in done.stdout
    again = run("fit", recipe)
    assert again.returncode == 2
    assert says(again.stderr, "error", "runs/tiny", "--overwrite")

    out = run("predict", "runs/tiny", "colours", "--out", "out/p.csv")
    assert out.returncode == 0, out.stderr
    table = pd.read_csv(tmp_path / "out" / "p.csv")
    assert len(table) == 16
    assert {"path", "y_pred", "proba_blue", "proba_red"} <= set(table.columns)
    for suffix in ("parquet", "jsonl"):
        assert run("predict", "runs/tiny", "colours/red", "--out", f"p.{suffix}").returncode == 0
        assert (tmp_path / f"p.{suffix}").stat().st_size > 0
    lines = [json.loads(line) for line in (tmp_path / "p.jsonl").read_text().splitlines()]
    whole = pd.read_parquet(tmp_path / "p.parquet")
    assert [line["path"] for line in lines] == list(whole["path"]) and "colours/red/000.png" in whole["path"].values
    assert [line["proba_red"] for line in lines] == [float(value) for value in whole["proba_red"]], "to the last bit"
    assert lines[0]["y_true"] is None and "\\/" not in (tmp_path / "p.jsonl").read_text()
    shown = run("predict", "runs/tiny", "colours/red/000.png")
    assert re.search(r"^colours/red/000.png +(red|blue) +0\.\d{4}$", shown.stdout, re.MULTILINE)
    report = run("report", "runs/tiny")
    assert report.stdout.strip() == "runs/tiny/report.html"
    evaluation = run("evaluate", "runs/tiny", "--json")
    assert json.loads(evaluation.stdout)["n"] == 4
    said = run("evaluate", "runs/tiny").stdout
    assert says(said, "tiny", "finished", "val")


def test_the_audit_of_another_tools_csv(run, predictions_csv):
    done = run("audit", predictions_csv, "--by", "light")
    assert done.returncode == 0, done.stderr
    assert re.search(r"day +40", done.stdout)
    values = json.loads(run("audit", predictions_csv, "--by", "light", "--json").stdout)
    assert (values["images"], values["complete"], values["explanation"]["complete"]) == (60, False, False)


def test_columns_of_other_names_can_be_stated(run, predictions_csv):
    table = pd.read_csv(predictions_csv).rename(columns={"y_true": "label", "y_pred": "guess"})
    table.to_csv(predictions_csv, index=False)
    wrong = run("evaluate", predictions_csv)
    assert wrong.returncode == 2
    assert "--y-pred COLUMN" in wrong.stderr
    right = run("evaluate", predictions_csv, "--y-true", "label", "--y-pred", "guess")
    assert right.returncode == 0, right.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("fit", "no.yaml"), saying("no.yaml")),
        (("fit", "tiny.yaml", "data.root=nowhere"), saying("nowhere")),
        (("fit", "tiny.yaml", "model.name=resnett18"), saying("'resnet18'", "mean")),
        (("fit", "tiny.yaml", "train.epoch=3"), saying("train.epochs")),
        (("evaluate", "runs/none"), saying("runs/none", "exist")),
        (("audit", "predictions.csv", "--by", "lihgt"), saying("'light'", "mean")),
        (("audit", "missing.csv"), saying("missing.csv")),
        (("models", "resnett18"), saying("'resnet18'", "mean")),
        (("predict", "runs/none", "x.png"), saying("runs/none", "exist")),
        (("data", "sample", "flowers", "x"), saying("occupations")),
    ],
)
def test_wrong_input_is_explained_with_exit_code_2(run, arguments, message, recipe, predictions_csv):
    done = run(*arguments)
    assert done.returncode == 2, done.stderr
    assert says(done.stderr, message)
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_names_of_models_and_the_version_need_no_torch(tmp_path):
    assert loaded_by(run_main("models", "resnet18"), cwd=tmp_path) == set()
    assert "resnet18" in tlkit("models", "resnet18", cwd=tmp_path).stdout.splitlines()
    assert tlkit("--version", cwd=tmp_path).stdout == f"tlkit {__version__}\n"


def test_show_prints_a_recipe_that_checks(run, recipe, tmp_path):
    shown = run("recipe", "show", recipe, "train.epochs=7").stdout
    (tmp_path / "shown.yaml").write_text(shown)
    assert "epochs: 7" in shown
    assert run("recipe", "check", "shown.yaml").stdout == "shown.yaml is a valid recipe.\n"
    committed = (Path(__file__).parents[2] / "recipes" / "recipe.schema.json").read_text()
    assert run("recipe", "schema").stdout == committed
    listed = run("models", "resnet18", "--pretrained").stdout
    assert ["resnet18.a1_in1k", "apache-2.0"] in [line.split() for line in listed.splitlines()]


def test_data_split_writes_a_list_by_group_and_never_overwrites_one(run, tmp_path, image_folder):
    root = image_folder(**{"": 12})
    paths = sorted(path.relative_to(root).as_posix() for path in root.rglob("*.png"))
    rows = [f"{path},p{number // 3}" for number, path in enumerate(paths)]
    (root / "people.csv").write_text("\n".join(["path,patient", *rows]))
    command = ["data", "split", str(root), "--out", str(tmp_path / "s.csv"), "--by", "patient", "--metadata"]
    done = run(*command, "people.csv", "--val", "0.25")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert (lines[-3].split(), lines[-1]) == (["all", "18", "6", "0", "24"], str(tmp_path / "s.csv"))
    assert says(done.stderr, "by patient", "no value in two splits")
    again = run(*command, "people.csv")
    assert again.returncode == 2
    assert says(again.stderr, "exists", "another name")
