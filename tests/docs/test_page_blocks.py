"""Commands, recipes and code of the README and of the pages, taken from the pages themselves."""

from __future__ import annotations

import ast
import re
import shlex
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from command import invoke
from image_folders import write_image_folder
from image_text_models import TIMM, write_model
from page_blocks import blocks_of, run_python
from typer.main import get_command

import tlkit
from tlkit.cli.app import app
from tlkit.recipe import load_recipe

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md"), *(ROOT / "docs" / "guides").glob("*.md")])
HOWS = ("", "run", "recipe", "gates", "names")


def pages_with(condition):
    return pytest.mark.parametrize(
        "page", [page for page in PAGES if any(map(condition, blocks_of(page)))], ids=lambda page: page.stem
    )


def test_every_fenced_block_of_a_page_is_found_and_says_how_it_is_tested():
    for page in PAGES:
        blocks = blocks_of(page)
        assert len(blocks) == len(re.findall(r"^ *```", page.read_text(encoding="utf-8"), re.MULTILINE)) / 2, page
        assert {block.how.split(";")[0].split(" ")[0] for block in blocks} <= set(HOWS), page
    assert sum(block.runs for page in PAGES for block in blocks_of(page)) > 12


@pages_with(lambda block: block.commands())
def test_every_command_of_a_page_exists_with_its_options(page):
    wrong, group = [], get_command(app)
    for line in (line for block in blocks_of(page) for line in block.commands()):
        words, command = shlex.split(line)[1:], group
        while words and words[0] in getattr(command, "commands", {}):
            command = command.commands[words.pop(0)]
        known = {name for part in command.params for name in (*part.opts, *part.secondary_opts)} | {"--help"}
        options = {word.split("=")[0] for word in words if word.startswith("-")}
        if hasattr(command, "commands") or not options <= known:
            wrong.append(line)
    assert wrong == []


@pages_with(lambda block: block.language == "yaml")
def test_every_recipe_of_a_page_can_be_loaded(page, tmp_path):
    for block in blocks_of(page):
        path = tmp_path / "block.yaml"
        path.write_text(block.text, encoding="utf-8")
        if "recipe_version" in block.text:
            load_recipe(path)
        else:  # gates are read where a command of the page uses them
            assert "gates_version" in block.text or "recipe" not in block.how


@pages_with(lambda block: block.language == "python")
def test_python_of_a_page_compiles_and_names_what_exists(page):
    for block in blocks_of(page):
        if block.language != "python":
            continue
        for node in ast.walk(ast.parse(block.text)):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "tlkit":
                assert node.attr in (*tlkit.__all__, "torchvision_cure"), node.attr


@pytest.fixture
def desk(tmp_path, monkeypatch):
    """A folder with what the pages speak of: photos, columns of groups, and predictions of other tools."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    write_image_folder(tmp_path / "photos", classes=("blue", "red"), **{"": 24})
    paths = sorted(path.relative_to(tmp_path / "photos").as_posix() for path in (tmp_path / "photos").rglob("*.png"))
    patients = [f"p{i // 3}" for i in range(len(paths))]
    pd.DataFrame({"path": paths, "patient": patients}).to_csv(tmp_path / "patients.csv", index=False)
    write_model(tmp_path / "clip", vision=TIMM)
    (tmp_path / "classes.txt").write_text("blue = sky\nred = blood\n", encoding="utf-8")
    (tmp_path / "synonyms.txt").write_text("blue = navy\n", encoding="utf-8")
    rng, n = np.random.default_rng(0), 400
    truth = rng.choice(["ant", "bee"], n)
    theirs = {
        "path": [f"{i}.jpg" for i in range(n)],
        "y_true": truth,
        "y_pred": np.where(rng.random(n) < 0.1, np.where(truth == "ant", "bee", "ant"), truth),
        "skin_tone": rng.choice(["light", "dark"], n),
        "scanner": rng.choice(["A", "B"], n),
        "age": rng.integers(18, 90, n),
    }
    for name in ("theirs.csv", "old.csv", "new.csv"):
        pd.DataFrame(theirs).to_csv(tmp_path / name, index=False)
    return tmp_path


@pages_with(lambda block: block.runs and block.commands())
def test_the_commands_of_a_page_run(page, desk):
    for block in blocks_of(page):
        if block.how.startswith("gates"):
            (desk / "gates.yaml").write_text(block.text, encoding="utf-8")
        if not block.runs:
            continue
        for line in (lines := block.commands()):
            done = invoke(shlex.split(line)[1:])
            assert done.exit_code == (block.exit_code if line == lines[-1] else 0), (line, done.output, done.exception)
            assert done.output.strip(), line


@pages_with(lambda block: block.runs and block.language == "python")
def test_the_python_of_a_page_runs_and_what_it_shows_is_not_empty(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {}
    for block in (block for block in blocks_of(page) if block.runs and block.language == "python"):
        printed, again = run_python(block, names)
        assert bool(printed.strip()) == block.shows
        if block.picture:
            assert len(again().get_yticklabels()) > 1
    if page.stem == "published_audits":
        published_audits_hold(names, page.read_text(encoding="utf-8"))
    if page.stem == "reading_an_audit":
        verdicts = dict(names["audit"].table("camera")[["group", "verdict"]].itertuples(index=False))
        assert (verdicts["old"], verdicts["indoor"], verdicts["drone"]) == ("FAIL", "PASS", "NOT ENOUGH DATA")


def published_audits_hold(names, text):
    """The counts give back the printed rates; intervals agree with statsmodels; the text says the verdicts."""
    from statsmodels.stats.proportion import confint_proportions_2indep

    cells = {name: audit.table(["gender", "skin"]).set_index("group") for name, audit in names["audits"].items()}
    for name, table in cells.items():
        rates = [100 * (1 - table.loc[f"{gender} × {skin}", "rate"]) for gender, skin in names["faces"]]
        allowed = 0.06 if name == "IBM" else 0.4
        assert np.abs(np.array(rates) - names["printed"][name]).max() < allowed, name
        assert table.loc["female × darker", "verdict"] == "FAIL"
        assert table.loc["female × lighter", "verdict"] == "NOT ENOUGH DATA"
    assert sum(names["faces"].values()) == 1270
    published = {"gender": {"female": 20.3, "male": 5.6}, "skin": {"darker": 22.4, "lighter": 3.2}}  # IBM, table 4
    for by, rates in published.items():
        table = names["audits"]["IBM"].table(by).set_index("group")
        for group, rate in rates.items():
            assert abs(100 * (1 - table.loc[group, "rate"]) - rate) < 0.1
    assert [cells[name].loc["male × darker", "verdict"] for name in ("IBM", "Microsoft")] == ["PASS", "PASS"]

    compas = names["compas"]
    for metric, (k1, n1, k2, n2), verdict in (
        ("false_positive_rate", (805, 1795, 349, 1488), "FAIL"),
        ("recall", (1369, 1901, 505, 966), "FAIL"),
        ("precision", (1369, 2174, 505, 854), "NOT ENOUGH DATA"),
    ):
        row = compas.table("race", metric=metric, class_name="yes").set_index("group").loc["African-American"]
        low, high = confint_proportions_2indep(k1, n1, k2, n2, method="newcomb", compare="diff")
        assert row["rate"] == k1 / n1 and row["verdict"] == verdict
        assert (row["difference_low"], row["difference_high"]) == pytest.approx((low, high), abs=1e-9)
        assert f"{100 * k1 / n1:.1f}" in text or metric == "recall"
