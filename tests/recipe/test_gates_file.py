"""Files of gates: what they take, and every mistake with its line and its remedy at once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from messages import saying, says

from tlkit.errors import RecipeError
from tlkit.recipe.gates_file import gates_schema, load_gates

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


def test_the_example_is_valid_and_matches_the_committed_schema(schema_validator):
    file = load_gates(RECIPES / "gates.yaml", metrics=METRICS)
    assert file.gates.columns == ("presentation", "skin_tone")
    committed = json.loads((RECIPES / "gates.schema.json").read_text())
    assert committed == gates_schema(), "write it anew with: tlkit recipe schema --gates > recipes/gates.schema.json"
    schema_validator(committed).validate(yaml.safe_load((RECIPES / "gates.yaml").read_text()))


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
        saying("gates.yaml:2", "alpha", "5", "0.0001", "0.9999", "0.05"),
        saying("gates.yaml:3", "tolerences", "tolerances"),
        saying("gates.yaml:6", "tolerances[0].tolerance", "1e-2", "YAML", "1.1", "1.0e-2", "'1e-2'"),
        saying("gates.yaml:7", "tolerances[1].tolerance", "'five'", "0", "1"),
        saying("gates.yaml:7", "tolerances[1].metric", "'acuracy'", "'accuracy'"),
        saying("gates.yaml:8", "tolerances[2].by"),
        saying("gates.yaml:10", "limits[0]", "at_least", "0.8", "at_most"),
        saying("gates.yaml:11", "limits[1]", "0.9", "0.1"),
        saying("gates.yaml:12", "limits[2].atleast", "limits[2].at_least"),
        saying("gates.yaml:13", "no_worse_than", "'runs/a'", "runs/a"),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("gates_version: 1\n", saying("gates.yaml:1", "tolerances", "no_worse_than")),
        ("", saying("gates.yaml", "gates_version", "1")),
        ("- a\n", saying("gates.yaml", "gates_version", "1")),
        ("tolerances:\n  - {by: a, tolerance: 0.1}\n", saying("gates.yaml:1", "gates_version", "1")),
        ("gates_version: 2\nlimits: []\n", saying("gates.yaml:1", "gates_version", "2", "1")),
        ("gates_version: 1\nlimits:\n  - {by: a, class_name: c, at_least: 0.5}\n", saying("gates.yaml:3", "limits[0]")),
        ("gates_version: 1\nlimits: {by: a, at_least: 0.5}\n", saying("skin_tone", "at_least", "0.8")),
        ("gates_version: 1\nlimits:\n  - tone\n", saying("gates.yaml:3", "limits[0]", "'tone'")),
        ("gates_version: 1\ngates: []\n", saying("gates", "gates_version")),
    ],
)
def test_a_mistake_is_explained(problems, text, message):
    assert any(says(problem, message) for problem in problems(text)), problems(text)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(RecipeError, match=saying("nothing.yaml", "exist").pattern):
        load_gates(tmp_path / "nothing.yaml", metrics=METRICS)
