"""How the model came about, on the page: images, training, recipe, environment."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tlkit.plots import plot_history
from tlkit.report.page import Column, Figure, Illustrated, Row, Table

if TYPE_CHECKING:
    import pandas as pd

    from tlkit.evaluation import Evaluation

MOST_CLASSES = 200  # rows of the table of images
MOST_SET_ASIDE = 200
_SERIES = {  # column of metrics.csv → its name and format on the page
    "epoch": ("epoch", "{:.0f}"),
    "train_loss": ("training loss", "{:z.4f}"),
    "val_loss": ("validation loss", "{:z.4f}"),
    "val_accuracy": ("validation accuracy", "{:z.4f}"),
    "val_worst_group_accuracy": ("accuracy of the worst group", "{:z.4f}"),
    "learning_rate": ("learning rate", "{:.3g}"),
}


def lead(recipe_text: str, *, evaluation: Evaluation, split: str | None, chose_epoch: bool = False) -> tuple[str, ...]:
    """Return the opening lines: what was trained, what it was judged on, and whether that flatters."""
    where = f" of the {split} split" if split else ""
    judged = f"Judged on {evaluation.n:,} images{where}, {len(evaluation.classes)} classes."
    if chose_epoch:
        judged += (
            " That split also chose the epoch whose weights are kept, so its figures flatter a little; images held out "
            "as a test split (data.test) would choose nothing."
        )
    trained = _trained(recipe_text)
    return (trained, judged) if trained else (judged,)


def counts_table(counts: pd.DataFrame) -> Table:
    """Return the images per class and split, with their totals."""
    splits = [name for name in counts.columns if counts[name].sum()]
    numbers = counts[splits].to_numpy(dtype=int)
    note, shown = "", list(range(len(counts)))
    if len(counts) > MOST_CLASSES:
        shown = sorted(numbers.sum(axis=1).argsort(kind="stable")[:MOST_CLASSES].tolist())
        note = f"The {MOST_CLASSES} classes with the fewest images, of {len(counts)}. All are in split.csv."
    rows = [
        Row((str(counts.index[at]), *(f"{number:,}" for number in numbers[at]), f"{numbers[at].sum():,}"))
        for at in shown
    ]
    totals = numbers.sum(axis=0).tolist()
    rows.append(Row(("all classes", *(f"{total:,}" for total in totals), f"{sum(totals):,}"), "total"))
    columns = (Column("class", "text"), *(Column(str(split)) for split in splits), Column("all"))
    return Table("Images per class and split", columns, tuple(rows), note)


def data_sentence(counts: pd.DataFrame) -> str:
    """Return how many images there are, in a sentence."""
    total = int(counts.to_numpy().sum())
    parts = [f"{int(counts[split].sum()):,} {split}" for split in counts.columns if counts[split].sum()]
    return f"{total:,} images of {len(counts)} classes: {', '.join(parts)}."


def set_aside_table(set_aside: Sequence[tuple[str, str]]) -> Table:
    """Return the files that could not be used, with the reason."""
    shown = set_aside[:MOST_SET_ASIDE]
    more = len(set_aside) - len(shown)
    return Table(
        caption=f"{len(set_aside):,} {'file' if len(set_aside) == 1 else 'files'} set aside",
        columns=(Column("file", "text"), Column("reason", "text")),
        rows=tuple(Row((path, reason)) for path, reason in shown),
        note=f"… and {more:,} more." if more else "",
    )


def leaks_table(leaks: pd.DataFrame | None) -> Table | None:
    """Return the judged images that were in training as well; None where there are none."""
    if leaks is None or leaks.empty:
        return None
    shown = leaks.head(MOST_SET_ASIDE)
    more = len(leaks) - len(shown)
    dropped = (leaks["dropped"] != "").all()
    names = ("path", "twin", "twin_split", "how")
    return Table(
        caption=f"{len(leaks):,} {'image' if len(leaks) == 1 else 'images'} "
        + ("had copies in training, which were left out of it" if dropped else "met in training as well"),
        columns=(Column("image", "text"), Column("its twin", "text"), Column("in", "text"), Column("how", "text")),
        rows=tuple(Row(tuple(row)) for row in shown[list(names)].itertuples(index=False)),
        note=f"… and {more:,} more, in leaks.csv." if more else "",
    )


def training(history: pd.DataFrame | None) -> Illustrated | None:
    """Return how training went; None where that is not known."""
    if history is None or history.empty:
        return None
    columns = [name for name in _SERIES if name in history.columns]
    names, formats = zip(*(_SERIES[name] for name in columns), strict=True)
    figure = Figure.draw(
        lambda: plot_history(history),
        alt=f"Loss and accuracy over {len(history)} epochs. The numbers are in the table below.",
        caption="Loss on the left axis, accuracy on the right one. A validation loss that rises while the training loss"
        " falls means that the model learns its training images by heart.",
    )
    rows = []
    for values in history[columns].to_numpy(dtype=float):
        texts = ("–" if math.isnan(value) else form.format(value) for value, form in zip(values, formats, strict=True))
        rows.append(Row(tuple(texts)))
    return Illustrated(figure, Table("Epochs", tuple(map(Column, names)), tuple(rows)))


def environment_table(environment: Mapping[str, Any]) -> Table:
    """Return the environment of the run, nested values under dotted names."""
    rows = tuple(Row((name, value)) for name, value in _flat(environment))
    return Table("Environment", (Column("what", "text"), Column("value", "text")), rows)


def _trained(recipe_text: str) -> str:
    """Return what a recipe trained, in a sentence; "" where the text is not a recipe."""
    import yaml

    try:
        recipe = yaml.safe_load(recipe_text)
        model, strategy = recipe["model"], recipe["strategy"]["kind"]
        weights = model.get("weights", "hub")
        start = "from random weights" if weights == "none" else f"with pretrained weights ({weights})"
        kind = {"frozen": "frozen backbone, new head", "full": "all layers trained"}.get(strategy, strategy)
        return f"{model['name']} {start}, {kind}."
    except (yaml.YAMLError, KeyError, TypeError, AttributeError):
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
