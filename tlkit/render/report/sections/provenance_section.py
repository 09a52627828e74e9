"""How to repeat the run: recipe, versions, device, data fingerprint and licences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tlkit.errors import RecipeError
from tlkit.recipe.yaml_nodes import read_yaml
from tlkit.render.report.page_section import Code, Fold, PageSection, Words
from tlkit.tables import Column, Table

if TYPE_CHECKING:
    from tlkit.render.report.run_contents import RunContents


def provenance_section(run: RunContents) -> PageSection:
    """Return notes on weights and licences, the recipe and the environment."""
    return environment_section(run.notes, run.recipe_text, run.environment)


def environment_section(notes: Sequence[str], recipe_text: str, environment: Mapping[str, Any]) -> PageSection:
    """Return sentences for the reader, the recipe and the environment as a section."""
    claim = "The recipe below repeats this run; the environment names versions, device, data and weights."
    recipe, table = Code("Recipe", recipe_text.strip()), environment_table(environment)
    return PageSection(
        "repeat", "How to reproduce it", claim, (*map(Words, notes), recipe, Fold("Environment", (table,)))
    )


def environment_table(environment: Mapping[str, Any]) -> Table:
    """Return the environment of the run; nested values have dotted names."""
    columns = (Column("name", "name"), Column("value", "value"))
    return Table("environment", "Environment", columns, tuple(_flat(environment)))


def model_sentence(recipe_text: str) -> str:
    """Return model, weights and strategy of a recipe as a sentence; "" where the text is not a recipe."""
    try:
        recipe = read_yaml(recipe_text, source="recipe.yaml").value
        model, strategy = recipe["model"], recipe["strategy"]["kind"]
        weights = model.get("weights", "hub")
        start = "from random weights" if weights == "none" else f"with pretrained weights ({weights})"
        kind = {"frozen": "frozen backbone, new head", "full": "all layers trained"}.get(strategy, strategy)
        return f"{model['name']} {start}, {kind}."
    except (RecipeError, KeyError, TypeError, AttributeError):
        return ""


def _flat(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    flat = []
    for name, value in values.items():
        if isinstance(value, Mapping):
            flat += _flat(value, f"{prefix}{name}.")
        elif value is not None:
            text = ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
            flat.append((f"{prefix}{name}", text))
    return flat
