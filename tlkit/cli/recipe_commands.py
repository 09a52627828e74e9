"""`tlkit recipe`: check, plan, show, tune, example, schema."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from time import monotonic
from typing import Annotated, Literal

import typer

from tlkit.choices import RATE_STEPS
from tlkit.cli.arguments import MOST, PASS_ON, AsJson, Details, OverrideArguments, RecipePath
from tlkit.cli.output import (
    image_progress,
    print_json,
    print_lines,
    print_paragraphs,
    print_result,
    print_tables,
    require_svg,
    wants_details,
    write_svg,
)
from tlkit.errors import RecipeError
from tlkit.tables import to_json

app = typer.Typer(
    help="Check, plan, show or tune a recipe; print an example, or the JSON Schema.", no_args_is_help=True
)

MOST_STEPS = 100_000


@app.command(context_settings=PASS_ON)
def check(recipe: RecipePath, overrides: OverrideArguments = None) -> None:
    """Check a recipe, and report all its problems at once."""
    from tlkit.models.model_names import require_name
    from tlkit.recipe import load_recipe
    from tlkit.recipe.table_paths import require_tables
    from tlkit.recipe.unusual_values import warn_of_unusual

    read = load_recipe(recipe, overrides or [])
    require_name(read.model.name)
    require_tables(read)
    warn_of_unusual(read)
    print_lines([f"{recipe} is a valid recipe."])


@app.command(context_settings=PASS_ON)
def plan(
    recipe: RecipePath,
    overrides: OverrideArguments = None,
    time: Annotated[bool, typer.Option(help="Estimate the time of a fit; a large model takes a while to time.")] = True,
    details: Details = False,
    json: AsJson = False,
) -> None:
    """Print what a fit would do, without training: classes, images, preprocessing, trained layers, steps, time.

    The time is an estimate for this machine, from a few batches of the images.
    """
    begun, shown = monotonic(), wants_details(details)
    from tlkit.recipe import load_recipe
    from tlkit.training.load_with_model import load_with_model

    read = load_recipe(recipe, overrides or [])
    with image_progress() as on_check:
        dataset, model = load_with_model(read, tracked=True, progress=on_check)
    # after all checks of the recipe and the images, since torch takes seconds to load
    from tlkit.training.plan import plan_sentence, plan_tables
    from tlkit.training.prepare import prepare
    from tlkit.training.time_estimate import estimate_time

    prepared = prepare(read, dataset=dataset, model=model)
    tables = plan_tables(prepared)
    if time:
        tables = (*tables, estimate_time(prepared, started_s=monotonic() - begun).table())
    if json:
        print_json({"tables": to_json(tables)})
        return
    print_paragraphs([plan_sentence(prepared)])
    print_lines([""])
    print_tables(one for one in tables if shown or one.name in ("settings", "time"))
    if not shown:
        print_lines(["", "Images of each class, and what trains block by block: --details"])


@app.command(context_settings=PASS_ON)
def show(recipe: RecipePath, overrides: OverrideArguments = None) -> None:
    """Print the resolved recipe: every key, with its value or default.

    Editors complete and check it with `recipe.schema.json` beside it: tlkit recipe schema > recipe.schema.json
    """
    from tlkit.recipe import SCHEMA_LINE, dump_recipe, load_recipe

    print_lines([SCHEMA_LINE, dump_recipe(load_recipe(recipe, overrides or [])).rstrip()])


@app.command(context_settings=PASS_ON)
def tune(
    recipe: RecipePath,
    overrides: OverrideArguments = None,
    what: Annotated[Literal["lr", "batch"], typer.Option(help="Find a learning rate or a batch size.")] = "lr",
    steps: Annotated[
        int, typer.Option(min=10, max=MOST_STEPS, help="Training steps over which the learning rate rises.")
    ] = RATE_STEPS,
    memory_mb: Annotated[
        float | None,
        typer.Option("--memory-mb", min=1, max=MOST, help="Memory for --what batch on a CPU; default: 80 % of it."),
    ] = None,
    plot: Annotated[Path | None, typer.Option(help="Draw the trials into this .svg file.")] = None,
    json: AsJson = False,
) -> None:
    """Suggest a learning rate or a batch size, by trying them on a copy of the model."""
    from tlkit.cli.allocator import keep_freed_memory
    from tlkit.preflight.recipe_queries import require_steps
    from tlkit.recipe import load_recipe
    from tlkit.training.load_with_model import load_with_model

    require_svg(plot)
    read = load_recipe(recipe, overrides or [])
    require_steps(read)
    with image_progress() as on_check:
        dataset, model = load_with_model(read, progress=on_check)
    from tlkit.render.plots import plot_batch_sizes, plot_rates
    from tlkit.training.prepare import prepare
    from tlkit.training.tune import find_batch_size, find_learning_rate

    keep_freed_memory()
    prepared = prepare(read, dataset=dataset, model=model)
    if what == "lr":
        sweep = find_learning_rate(prepared, steps=steps)
        print_result(sweep, as_json=json)
        draw = partial(plot_rates, sweep)
    else:
        sizes = find_batch_size(prepared, memory_mb=memory_mb)
        print_result(sizes, as_json=json)
        draw = partial(plot_batch_sizes, sizes)
    if plot is not None:
        write_svg(plot, draw)


@app.command()
def schema(
    gates: Annotated[
        bool, typer.Option("--gates", help="Schema of a file of gates, for `tlkit audit --gate`.")
    ] = False,
) -> None:
    """Print the recipe's JSON Schema, for editors."""
    from tlkit.recipe import json_schema
    from tlkit.recipe.gates_file import gates_schema

    print_json(gates_schema() if gates else json_schema())


@app.command()
def example(
    name: Annotated[str, typer.Argument(help="Which one; without a name all are listed.")] = "",
    out: Annotated[Path | None, typer.Option(help="Write it to this file, which must not exist.")] = None,
) -> None:
    """List the example recipes, or print one; its leading comment says what it attains, on what."""
    from tlkit.disk import write_text
    from tlkit.output_files import require_writable
    from tlkit.recipe.example_recipes import example_recipes, read_example, summary_of_example
    from tlkit.tables import Column, Table

    if not name:
        rows = [(each, summary_of_example(read_example(each))) for each in example_recipes()]
        columns = Column("name", "name", "word"), Column("summary", "what it shows")
        print_tables([Table("examples", "Example recipes", columns, tuple(rows))])
        return
    text = read_example(name)
    if out is None:
        print_lines([text.rstrip()])
        return
    if out.exists():
        raise RecipeError(f"{out} exists. State another --out, or delete it.")
    require_writable({"--out": out})
    out.parent.mkdir(parents=True, exist_ok=True)
    write_text(out, text)
    print_lines([f"Wrote {out}. Check it: tlkit recipe check {out}"])
