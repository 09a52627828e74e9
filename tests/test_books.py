"""The books are true: links lead somewhere, and the README names every verb and every section of a recipe."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from references import public_names

from tlkit.recipe import Recipe

ROOT = Path(__file__).parents[1]
BOOKS = sorted(
    [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "benchmarks" / "README.md"],
    key=lambda path: path.relative_to(ROOT).as_posix(),
)


def commands(group, before=()):
    for name, command in group.commands.items():
        yield from commands(command, (*before, name)) if hasattr(command, "commands") else [" ".join((*before, name))]


def anchors(path):
    """Return the anchors that GitHub makes of the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("book", BOOKS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_link_of_a_book_leads_to_a_file_and_a_heading(book):
    text = re.sub(r"```.*?```", "", book.read_text(encoding="utf-8"), flags=re.DOTALL)
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, heading = link.partition("#")
        page = book.parent / name if name else book
        if not page.exists() or (heading and heading not in anchors(page)):
            broken.append(link)
    assert broken == []


def test_the_readme_is_short_and_names_every_verb_and_every_section_of_a_recipe():
    from typer.main import get_command

    from tlkit.cli.app import app

    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 150 and text.count("![") == 1
    verbs = list(commands(get_command(app)))
    assert "recipe plan" in verbs
    assert [verb for verb in verbs if f"`{verb}`" not in text] == []
    sections = [name for name in Recipe.model_fields if name not in ("recipe_version", "name", "seed")]
    assert [name for name in sections if f"`{name}`" not in text] == []


def test_the_readmes_first_recipe_takes_the_fast_path(tmp_path):
    from tlkit.preflight.recipe_queries import can_use_cache
    from tlkit.recipe import load_recipe

    text = (ROOT / "README.md").read_text(encoding="utf-8")
    block = next(block for block in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL) if "recipe_version" in block)
    (tmp_path / "insects.yaml").write_text(block, encoding="utf-8")
    assert can_use_cache(load_recipe(tmp_path / "insects.yaml"))


def test_every_measured_recipe_of_the_readme_runs_in_a_clone_on_data_that_it_says_how_to_get():
    from tlkit.recipe import load_recipe

    text = (ROOT / "README.md").read_text(encoding="utf-8")
    measured = text[text.index("## What is measured") : text.index("## More")]
    recipes = set(re.findall(r"recipes/(\w+)\.yaml", measured))
    assert {"ants_bees_frozen", "digits_full", "cifar10_resnet"} <= recipes
    for name in recipes:
        root = load_recipe(ROOT / "recipes" / f"{name}.yaml").data.root
        assert str(root).startswith("data/") and f"{root}`" in measured, name


def test_every_command_option_key_and_name_of_the_features_exists():
    import tlkit
    from tlkit.cli.app import app
    from tlkit.recipe.unknown_keys import all_keys

    text = (ROOT / "docs" / "features.md").read_text(encoding="utf-8")
    quoted = re.findall(r"`([^`]+)`", text)
    verbs = {verb: {option for part in command.params for option in part.opts} for verb, command in options_of(app)}
    assert {verb for verb in verbs if f"`tlkit {verb}" not in text} == set()
    unknown = []
    for name in quoted:
        if name.startswith("tlkit "):
            verb = next(
                (verb for verb in sorted(verbs, key=len, reverse=True) if f"{name[6:]} ".startswith(f"{verb} ")), ""
            )
            known = verb and all(option in verbs[verb] for option in re.findall(r"--[a-z0-9-]+", name))
        elif name.startswith("tlkit."):
            known = name in public_names()
        elif name.startswith("Run."):
            known = hasattr(tlkit.Run, name[4:])
        else:
            known = "." not in name or name in all_keys() or (ROOT / name).is_file()
        if not known:
            unknown.append(name)
    assert unknown == []
    sections = {key for key in all_keys() if "." in key}
    named = [key for key in sections if f"`{key}`" in text]
    assert len(quoted) > 100 and len(named) > 60


def options_of(app):
    from typer.main import get_command

    group = get_command(app)
    for verb in commands(group):
        command = group
        for part in verb.split():
            command = command.commands[part]
        yield verb, command


def test_every_decision_has_a_number_a_status_and_a_line_in_the_index():
    folder = ROOT / "docs" / "decisions"
    index = (folder / "README.md").read_text(encoding="utf-8")
    files = sorted(path for path in folder.glob("*.md") if path.name != "README.md")
    numbers = {path.name[:3] for path in files}
    assert len(numbers) == len(files) and all(number.isdecimal() for number in numbers)
    for path in files:
        text = path.read_text(encoding="utf-8")
        status = re.search(r"^Status: (accepted|retired|reversed(?: by (\d{3}))?)\b", text, re.MULTILINE)
        assert status is not None, path.name
        assert status[2] is None or status[2] in numbers, path.name
        assert re.search(r"^Date: \d{4}-\d\d-\d\d$", text, re.MULTILINE), path.name
        assert all(f"\n## {part}\n" in text for part in ("Context", "Choice", "Price")), path.name
        assert f"({path.name})" in index, path.name


def test_contributing_stays_short():
    assert len((ROOT / "CONTRIBUTING.md").read_bytes()) <= 8192
