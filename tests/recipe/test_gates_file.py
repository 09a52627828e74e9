"""Files of gates: what they take, and every mistake with its line and its remedy at once."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
import yaml

from tlkit.errors import RecipeError
from tlkit.recipe.gates import gates_schema, load_gates

RECIPES = Path(__file__).parents[2] / "recipes"
METRICS = ("accuracy", "recall", "false_positive_rate")


@pytest.fixture
def problems(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def read(text):
        Path("gates.yaml").write_text(text)
        with pytest.raises(RecipeError) as error:
            load_gates("gates.yaml", metrics=METRICS)
        return list(error.value.problems)

    return read


def test_the_example_is_right_and_matches_the_committed_schema():
    file = load_gates(RECIPES / "gates.yaml", metrics=METRICS)
    assert file.gates.columns == ("presentation", "skin_tone")
    committed = json.loads((RECIPES / "gates.schema.json").read_text())
    assert committed == gates_schema(), "write it anew with: tlkit recipe schema --gates > recipes/gates.schema.json"
    jsonschema.Draft202012Validator(committed).validate(yaml.safe_load((RECIPES / "gates.yaml").read_text()))


def test_columns_are_one_name_or_a_list_to_cross(tmp_path):
    (tmp_path / "g.yaml").write_text(
        "gates_version: 1\ntolerances:\n  - {by: age, tolerance: 0.1}\nlimits:\n"
        "  - {by: [age, sex], metric: recall, class_name: cat, at_least: 0.5, at_most: 0.9}\n"
    )
    file = load_gates(tmp_path / "g.yaml", metrics=METRICS)
    assert [gate.by for gate in (*file.gates.tolerances, *file.gates.limits)] == [("age",), ("age", "sex")]
    assert file.where("limits", 0, "at_least").endswith("g.yaml:5")


def test_every_mistake_is_reported_at_once_with_its_line(problems):
    found = problems(
        "gates_version: 1\n"
        "alpha: 5\n"
        "tolerences:\n"
        "tolerances:\n"
        "  - by: tone\n"
        "    tolerance: 1e-2\n"
        "  - {by: tone, tolerance: five, metric: acuracy}\n"
        "  - {tolerance: 0.1}\n"
        "limits:\n"
        "  - {by: tone}\n"
        "  - {by: tone, at_least: 0.9, at_most: 0.1}\n"
        "  - {by: tone, atleast: 0.9}\n"
        "no_worse_than: runs/a\n"
    )
    assert found == [
        "gates.yaml:2  alpha is 5. Use a number between 0 and 1; 5 % is 0.05.",
        "gates.yaml:3  tolerences is unknown. Did you mean tolerances?",
        "gates.yaml:6  tolerances[0].tolerance is `1e-2`, which YAML 1.1 reads as text. Write 1.0e-2 for the number, "
        "or '1e-2' for the text.",
        "gates.yaml:7  tolerances[1].tolerance is 'five'. Use a number from 0 to below 1.",
        "gates.yaml:7  tolerances[1].metric is 'acuracy', which is no rate of an audit. Did you mean 'accuracy'?",
        "gates.yaml:8  tolerances[2].by is missing. Add by: the name of a group column, or a list of columns to cross, "
        "such as [age, sex].",
        "gates.yaml:10  limits[0] sets no limit. Add at_least: 0.8, or at_most.",
        "gates.yaml:11  limits[1] asks for at least 0.9 and at most 0.1. Swap them.",
        "gates.yaml:12  limits[2].atleast is unknown. Did you mean limits[2].at_least?",
        "gates.yaml:13  no_worse_than is 'runs/a', not a section. Write its keys below it, indented, such as "
        "baseline: runs/a.",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("gates_version: 1\n", "gates.yaml:1  the file holds no gate. Add tolerances, limits or no_worse_than."),
        ("", "gates.yaml  holds no gates. Begin with gates_version: 1"),
        ("- a\n", "gates.yaml  holds no gates. Begin with gates_version: 1"),
        ("tolerances:\n  - {by: a, tolerance: 0.1}\n", "gates.yaml:1  gates_version is missing. Add gates_version: 1."),
        ("gates_version: 2\ntolerances:\n  - {by: a, tolerance: 0.1}\n", "gates.yaml:1  gates_version is 2. Use 1."),
        (
            "gates_version: 1\nlimits:\n  - {by: a, class_name: cat, at_least: 0.5}\n",
            "gates.yaml:3  limits[0] names a class, but accuracy is about all classes.",
        ),
        (
            "gates_version: 1\nlimits: {by: a, at_least: 0.5}\n",
            "Use a list of gates such as {by: skin_tone, at_least: 0.8}.",
        ),
        ("gates_version: 1\nlimits:\n  - tone\n", "gates.yaml:3  limits[0] is 'tone'"),
        ("gates_version: 1\ngates: []\n", "gates is unknown. The file takes gates_version, confidence, alpha"),
    ],
)
def test_a_mistake_is_explained(problems, text, message):
    assert any(message in problem for problem in problems(text)), problems(text)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(RecipeError, match=r"nothing\.yaml  does not exist"):
        load_gates(tmp_path / "nothing.yaml", metrics=METRICS)
