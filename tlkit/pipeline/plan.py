"""What a recipe would do, without doing it."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from tlkit.models.strategy import LayerRow
from tlkit.pipeline.prepare import Prepared
from tlkit.samples import SPLITS

logger = logging.getLogger(__name__)

Table = list[tuple[str, ...]]


def layer_rows(layers: Sequence[LayerRow]) -> Table:
    """Return the table of blocks as text, with its header and a line of totals."""
    rows: Table = [("block", "trains", "mode", "learning rate", "parameters")]
    for row in layers:
        rate = f"{row.learning_rate:.2g}" if row.trains else "-"
        rows.append((row.block, "yes" if row.trains else "no", row.mode, rate, f"{row.parameters:,}"))
    training = sum(row.parameters for row in layers if row.trains)
    total = sum(row.parameters for row in layers)
    rows.append(("all", "", "", "", f"{training:,} of {total:,} train"))
    return rows


def log_layers(layers: Sequence[LayerRow]) -> None:
    """Write the table of blocks to the log."""
    rows = layer_rows(layers)
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    logger.info("What trains:\n%s", "\n".join(f"  {line}" for line in lines))


def plan_rows(prepared: Prepared) -> tuple[Table, Table, Table]:
    """Return three tables: images per class and split, the settings that follow from them, and the blocks."""
    samples = prepared.data.samples
    counts = samples.counts()
    images: Table = [("class", *SPLITS)]
    images += [(name, *(str(counts.loc[name, split]) for split in SPLITS)) for name in samples.classes]
    images.append(("all", *(str(counts[split].sum()) for split in SPLITS)))
    recipe, preprocess = prepared.recipe, prepared.classifier.preprocess
    weights = prepared.classifier.source.weights
    train = recipe.train
    settings: Table = [
        ("run", f"runs/{recipe.name}"),
        ("backbone", f"{prepared.classifier.source.name}, weights {weights.source} ({weights.origin})"),
        ("licence", weights.license),
        (
            "preprocessing",
            f"{preprocess.image_size[0]}x{preprocess.image_size[1]} px, {preprocess.resize}"
            + (f" {preprocess.crop_pct:g}" if preprocess.resize == "crop" else "")
            + f", {preprocess.interpolation}, mean {preprocess.mean}, std {preprocess.std}",
        ),
        ("augmentation", "the recipe's list" if recipe.augment.transforms else recipe.augment.preset),
        ("strategy", recipe.strategy.kind),
        ("optimizer", f"{train.optimizer}, learning rate {train.learning_rate:g}, {train.schedule}"),
        (
            "steps",
            f"{train.epochs} epochs x {prepared.steps_per_epoch} = {train.epochs * prepared.steps_per_epoch}, "
            f"batches of {recipe.data.batch_size}",
        ),
        ("device", f"{prepared.device}, precision {prepared.precision}"),
        ("set aside", f"{len(prepared.data.set_aside)} unreadable images"),
    ]
    return images, settings, layer_rows(prepared.classifier.layers())
