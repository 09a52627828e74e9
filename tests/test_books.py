"""The books are true: the modules that CONTRIBUTING names exist, and the README knows every verb and section."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tlkit.recipe import Recipe

ROOT = Path(__file__).parents[1]
LIBRARY = ROOT / "tlkit"


def commands(group, before=()):
    for name, command in group.commands.items():
        yield from commands(command, (*before, name)) if hasattr(command, "commands") else [" ".join((*before, name))]


def test_every_file_and_folder_that_contributing_names_is_there():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    named = re.findall(r"`([a-z_]+(?:/[a-z_.0-9]+)+|[a-z_]+\.(?:py|md|toml))`", text)
    known = {path.name for folder in (LIBRARY, ROOT / "tests") for path in folder.rglob("*.py")}
    there = [
        name
        for name in dict.fromkeys(named)
        if not any((folder / name).exists() or (folder / f"{name}.py").exists() for folder in (ROOT, LIBRARY))
        and name not in known
    ]
    assert len(named) > 80
    assert there == []


@pytest.mark.parametrize("folder", ["training", "inference", "questions", "judging"])
def test_the_table_of_the_pipeline_names_every_module(folder):
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    (row,) = [line for line in text.splitlines() if re.match(rf"\| \d \| `{folder}` \|", line)]
    modules = {path.stem for path in (LIBRARY / "pipeline" / folder).glob("[a-z]*.py")}
    assert modules - set(re.findall(r"`(\w+)`", row)) == set()


def test_the_readme_names_every_verb_and_every_section_of_a_recipe():
    from typer.main import get_command

    from tlkit.cli.app import app

    text = (ROOT / "README.md").read_text(encoding="utf-8")
    verbs = list(commands(get_command(app)))
    assert "recipe plan" in verbs
    assert [verb for verb in verbs if f"`{verb}`" not in text] == []
    sections = [name for name in Recipe.model_fields if name not in ("recipe_version", "name", "seed")]
    assert [name for name in sections if f"`{name}`" not in text] == []
