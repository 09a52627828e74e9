"""Report sections on the origin of the model: images, training, recipe, environment."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tlkit.data.checks.leak_tables import leak_table
from tlkit.data.checks.summary_tables import class_count_table
from tlkit.errors import RecipeError
from tlkit.evaluation.evaluation_tables import TRAINED_ON
from tlkit.recipe.yaml_nodes import read_yaml
from tlkit.render.plots import plot_history
from tlkit.render.report.report_page import Figure, Illustrated
from tlkit.tables import Column, Table, counted

if TYPE_CHECKING:
    import pandas as pd

    from tlkit.render.report.run_contents import RunContents

MOST_CLASSES = 200  # rows of the table of images per class
MOST_ROWS = 200  # of the tables of files
_SERIES = (  # columns of metrics.csv
    Column("epoch", "epoch", "number", digits=0),
    Column("train_loss", "training loss", "number", digits=4),
    Column("val_loss", "validation loss", "number", digits=4),
    Column("val_accuracy", "validation accuracy", "number", digits=4),
    Column("val_worst_group_accuracy", "accuracy of the worst group", "number", digits=4),
    Column("learning_rate", "learning rate", "significant"),
)


def lead(run: RunContents) -> tuple[str, ...]:
    """Return the opening lines: the model, the assessed images, and whether they selected the epoch."""
    judged = f"Assessed on {run.evaluation.n:,} images of the {run.split} split, {len(run.evaluation.classes)} classes."
    if run.chose_epoch:
        judged += (
            " That split also selected the epoch whose weights are kept, so its figures are slightly optimistic; "
            "a test split (data.test) avoids that."
        )
    if run.evaluation.trained_on:
        judged += f" {TRAINED_ON}"
    trained = _trained(run.recipe_text)
    return (trained, judged) if trained else (judged,)


def counts_table(counts: pd.DataFrame) -> Table:
    """Return the number of images per class and split, with totals; above 200 classes those with the fewest images."""
    table = class_count_table(counts.loc[:, counts.sum() > 0])
    if len(counts) <= MOST_CLASSES:
        return table
    *classes, total = table.rows
    smallest = counts.sum(axis=1).to_numpy().argsort(kind="stable")[:MOST_CLASSES]
    note = f"The {MOST_CLASSES} classes with the fewest images, of {len(counts)}. All are in split.csv."
    rows = (*(classes[at] for at in sorted(smallest.tolist())), total)
    return replace(table, rows=rows, notes=(note,), marks={MOST_CLASSES: "total"})


def data_sentence(counts: pd.DataFrame) -> str:
    """Return the number of images and classes as a sentence."""
    total = int(counts.to_numpy().sum())
    parts = [f"{int(counts[split].sum()):,} {split}" for split in counts.columns if counts[split].sum()]
    return f"{total:,} images of {len(counts)} classes: {', '.join(parts)}."


def excluded_table(excluded: Sequence[tuple[str, str]]) -> Table:
    """Return the excluded files with the reasons."""
    return Table(
        name="excluded",
        title=f"{counted(len(excluded), 'file')} excluded",
        columns=(Column("file", "file"), Column("reason", "reason")),
        rows=tuple(excluded),
    ).head(MOST_ROWS)


def leaks_table(leaks: pd.DataFrame | None) -> Table | None:
    """Return the assessed images with duplicates in an earlier split; None if there are none."""
    if leaks is None or leaks.empty:
        return None
    what = "had duplicates in an earlier split, which were excluded from it"
    dropped = (leaks["dropped"] != "").all()
    title = f"{counted(len(leaks), 'image')} {what if dropped else 'have duplicates in an earlier split'}"
    return leak_table(leaks, title=title).head(MOST_ROWS)


def training(history: pd.DataFrame | None) -> Illustrated | None:
    """Return the training history; None if it is not known."""
    if history is None or history.empty:
        return None
    columns = [column for column in _SERIES if column.name in history.columns]
    figure = Figure.draw(
        lambda: plot_history(history),
        alt=f"Loss and accuracy over {len(history)} epochs. The numbers are in the table below.",
        caption="Loss on the left axis, accuracy on the right one. A validation loss that rises while the training loss"
        " falls means overfitting.",
    )
    numbers = history[[column.name for column in columns]].to_numpy(dtype=float).tolist()
    rows = tuple(tuple(None if math.isnan(value) else value for value in row) for row in numbers)
    return Illustrated(figure, Table("epochs", "Epochs", tuple(columns), rows))


def environment_table(environment: Mapping[str, Any]) -> Table:
    """Return the environment of the run; nested values have dotted names."""
    columns = (Column("name", "name"), Column("value", "value"))
    return Table("environment", "Environment", columns, tuple(_flat(environment)))


def _trained(recipe_text: str) -> str:
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
