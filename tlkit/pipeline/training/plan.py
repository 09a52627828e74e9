"""What a recipe would do, without doing it."""

from __future__ import annotations

from tlkit.audit.tables import CROSS
from tlkit.audit.words import image_count
from tlkit.models.losses import GroupDROLoss
from tlkit.models.phases import Table, layer_rows
from tlkit.pipeline.starting.asked import head_word
from tlkit.pipeline.training.heads import head_plan
from tlkit.pipeline.training.prepare import Prepared
from tlkit.samples import SPLITS


def plan_rows(prepared: Prepared) -> tuple[Table, Table, list[tuple[str, Table]]]:
    """Return tables: images per class and split, the settings that follow from them, and each phase's blocks by title.

    Example:
        >>> images, settings, phases = plan_rows(prepared)  # doctest: +SKIP
        >>> [title for title, blocks in phases]  # doctest: +SKIP
        ['epochs 1 to 2: the classifier', 'epochs 3 to 5: everything']
    """
    samples = prepared.data.samples
    counts = samples.counts()
    images: Table = [("class", *SPLITS)]
    images += [(name, *(str(counts.loc[name, split]) for split in SPLITS)) for name in samples.classes]
    images.append(("all", *(str(counts[split].sum()) for split in SPLITS)))
    recipe, preprocess = prepared.recipe, prepared.classifier.preprocess
    weights = prepared.classifier.source.weights
    settings: Table = [
        ("run", f"runs/{recipe.name}"),
        ("backbone", f"{prepared.classifier.source.name}, weights {weights.source} ({weights.origin})"),
        ("licence", weights.license),
        (
            "preprocessing",
            f"{preprocess.image_size[0]}x{preprocess.image_size[1]} px, {preprocess.resize}"
            + (f" {preprocess.crop_pct:g}" if preprocess.resize == "crop" else "")
            + f", {preprocess.interpolation}, mean {preprocess.mean}, std {preprocess.std}"
            + (", large JPEGs decoded at a reduced scale" if preprocess.decode == "reduced" else ""),
        ),
        ("augmentation", "the recipe's list" if recipe.augment.transforms else recipe.augment.preset),
        ("strategy", recipe.strategy.kind),
        *_learning_rows(prepared),
        ("set aside", f"{image_count(len(prepared.data.set_aside))} that cannot be read"),
    ]
    return images, settings, _phase_tables(prepared)


def _learning_rows(prepared: Prepared) -> Table:
    """Return how the classifier comes about: by training, or fitted at once to the features of one pass."""
    recipe, train = prepared.recipe, prepared.recipe.train
    word = head_word(recipe)
    if word != "linear":
        count = len(prepared.data.samples.split("train"))
        return [
            ("head", head_plan(word)),
            ("features", f"one pass over {count} training images, or from the cache where they are known"),
            ("device", prepared.device),
        ]
    steps = prepared.steps_per_epoch
    return [
        ("optimizer", f"{train.optimizer}, learning rate {train.learning_rate:g}, {train.schedule}"),
        *_group_loss(prepared),
        (
            "steps",
            f"{train.epochs} epochs x {steps} = {train.epochs * steps}, batches of {recipe.data.batch_size}"
            + (f", {train.accumulate_batches} a step" if train.accumulate_batches > 1 else ""),
        ),
        (
            "device",
            f"{prepared.device}, precision {prepared.precision}"
            + (f", {prepared.world.size} processes with a batch each" if prepared.world.size > 1 else ""),
        ),
    ]


def _group_loss(prepared: Prepared) -> Table:
    """Return what a loss that weights groups does, where the recipe names one."""
    recipe, loss = prepared.recipe, prepared.classifier.loss
    if not isinstance(loss, GroupDROLoss):
        return []
    crossed = CROSS.join(("class", *recipe.audit.columns))
    return [("loss", f"group_dro, {len(loss.q)} groups by {crossed}, step {loss.step:g}")]


def _phase_tables(prepared: Prepared) -> list[tuple[str, Table]]:
    classifier, tables = prepared.classifier, []
    if head_word(prepared.recipe) != "linear":
        blocks = [row for row in layer_rows(classifier.layers()) if row[0] not in ("head", "all")]
        return [("at once: the head", [*blocks, ("head", "fitted", "-", "-", "-")])]
    for phase in classifier.phases:
        first, last = phase.first_epoch + 1, phase.first_epoch + phase.epochs
        epochs = f"epochs {first} to {last}" if last > first else f"epoch {first}"
        tables.append((f"{epochs}: {phase.name}", layer_rows(classifier.layers(phase))))
    return tables
