"""`tlkit recipe`: check, plan, show, schema."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tlkit.cli.output import print_json, print_lines, print_table

app = typer.Typer(help="Check a recipe, plan it, show it whole, or print its JSON Schema.", no_args_is_help=True)

PASS_ON = {"allow_extra_args": True, "ignore_unknown_options": True}
RecipePath = Annotated[Path, typer.Argument(help="A recipe, such as recipes/quickstart.yaml.")]
Overrides = Annotated[list[str] | None, typer.Argument(help="Changes to the recipe, such as train.epochs=3.")]


@app.command(context_settings=PASS_ON)
def check(recipe: RecipePath, overrides: Overrides = None) -> None:
    """Say everything that is wrong with a recipe, at once."""
    from tlkit.recipe import load_recipe

    load_recipe(recipe, overrides or [])
    print_lines([f"{recipe} is a valid recipe."])


@app.command(context_settings=PASS_ON)
def plan(recipe: RecipePath, overrides: Overrides = None) -> None:
    """Print what a fit would do, without training: classes, images, preprocessing, what trains, steps."""
    from tlkit.cli.output import check_progress
    from tlkit.pipeline.plan import plan_rows
    from tlkit.pipeline.prepare import prepare
    from tlkit.recipe import load_recipe

    with check_progress() as on_check:
        prepared = prepare(load_recipe(recipe, overrides or []), progress=on_check)
    images, settings, phases = plan_rows(prepared)
    print_table(images)
    print_lines([""])
    print_table(settings, header=False)
    for title, blocks in phases:
        print_lines(["", title])
        print_table(blocks)


@app.command(context_settings=PASS_ON)
def show(recipe: RecipePath, overrides: Overrides = None) -> None:
    """Print the resolved recipe: every key, with its value or default."""
    from tlkit.recipe import dump_recipe, load_recipe

    print_lines([dump_recipe(load_recipe(recipe, overrides or [])).rstrip()])


@app.command()
def schema(
    gates: Annotated[bool, typer.Option("--gates", help="That of a file of gates, for `tlkit audit --gate`.")] = False,
) -> None:
    """Print the recipe's JSON Schema, for editors."""
    from tlkit.recipe import json_schema
    from tlkit.recipe.gates import gates_schema

    print_json(gates_schema() if gates else json_schema())
