"""The tables of `tlkit recipe plan`: images, settings and phases of a fit, without training."""

from __future__ import annotations

from tlkit.audit.group_tables import CROSS
from tlkit.choices import FOLDS, HeadWord
from tlkit.data.checks.summary_tables import COUNTED, class_count_table
from tlkit.data.dataset_source import label_words
from tlkit.data.loading.cached_rows import cache_words
from tlkit.features.heads import FACTS, QUICK_KINDS
from tlkit.models.losses import GroupDROLoss
from tlkit.models.strategies.phase_tables import phase_table
from tlkit.preflight.recipe_queries import can_use_cache, head_kind
from tlkit.samples import Samples
from tlkit.tables import Column, Table, counted
from tlkit.training.prefix_plan import input_table, plan_inputs
from tlkit.training.prepare import Prepared

Facts = list[tuple[str, str]]


def plan_tables(prepared: Prepared) -> tuple[Table, ...]:
    """Return the images per class and split, the resolved settings, and the blocks of each phase.

    Example:
        >>> images, settings, *phases = plan_tables(prepared)  # doctest: +SKIP
        >>> [phase.title for phase in phases]  # doctest: +SKIP
        ['epochs 1 to 2: the classifier', 'epochs 3 to 5: everything']
    """
    columns = (Column("setting", "setting"), Column("value", "value"))
    return (
        *_count_tables(prepared.data.samples),
        Table("settings", "Settings", columns, tuple(_settings(prepared))),
        *_phase_tables(prepared),
        *_inputs(prepared),
    )


def _count_tables(samples: Samples) -> tuple[Table, ...]:
    """Return the images per class, label or grade and split; none of numbers."""
    return () if samples.task == "regression" else (class_count_table(samples.counts(), what=COUNTED[samples.task]),)


def plan_sentence(prepared: Prepared) -> str:
    """Return what a fit would train on what, in one sentence."""
    recipe, samples = prepared.recipe, prepared.data.samples
    counts = {split: len(samples.split(split)) for split in ("train", "val", "test")}
    others = ", ".join(f"{counts[split]:,} for {split}" for split in ("val", "test") if counts[split])
    epochs = counted(recipe.train.epochs, "epoch") if head_kind(recipe) == "linear" else f"a {head_kind(recipe)} head"
    return (
        f"{recipe.name} would train {prepared.classifier.source.name} ({recipe.strategy.kind}, {epochs}) on "
        f"{counted(counts['train'], 'image')} {label_words(samples)}"
        f"{f', with {others}' if others else ''}."
    )


def _settings(prepared: Prepared) -> Facts:
    recipe, preprocess = prepared.recipe, prepared.classifier.preprocess
    weights = prepared.classifier.source.weights
    return [
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
        *_image_cache(prepared),
        ("excluded", f"{counted(len(prepared.data.dataset.excluded), 'image')} that cannot be read"),
    ]


def _image_cache(prepared: Prepared) -> Facts:
    """Return the row of the image cache; none where every image is read once, or features are trained on."""
    plans = {} if can_use_cache(prepared.recipe) else prepared.data.cache_plans()
    return [("image cache", cache_words(plans))] if plans else []


def _learning_rows(prepared: Prepared) -> Facts:
    """Return the settings of training, or of a scikit-learn head that is fitted to features."""
    recipe, train = prepared.recipe, prepared.recipe.train
    word = head_kind(recipe)
    if word != "linear":
        count = len(prepared.data.samples.split("train"))
        return [
            ("head", _head_plan(word)),
            ("features", f"one pass over {count} training images; cached features are read"),
            ("device", prepared.device),
        ]
    steps = prepared.steps_per_epoch
    return [
        ("optimizer", f"{train.optimizer}, learning rate {train.learning_rate:g}, {train.schedule}"),
        *_group_loss(prepared),
        (
            "steps",
            f"{train.epochs} epochs x {steps} = {train.epochs * steps}, batches of {recipe.data.batch_size}"
            + (f", {train.accumulate_grad_batches} a step" if train.accumulate_grad_batches > 1 else ""),
        ),
        (
            "device",
            f"{prepared.device}, precision {prepared.precision}"
            + (f", {prepared.world.size} processes with a batch each" if prepared.world.size > 1 else ""),
        ),
    ]


def _group_loss(prepared: Prepared) -> Facts:
    """Return the row of a loss that weights groups; none for another loss."""
    recipe, loss = prepared.recipe, prepared.classifier.loss
    if not isinstance(loss, GroupDROLoss):
        return []
    crossed = CROSS.join(("class", *recipe.audit.columns))
    return [("loss", f"group_dro, {len(loss.q)} groups by {crossed}, step {loss.step:g}")]


def _phase_tables(prepared: Prepared) -> list[Table]:
    classifier = prepared.classifier
    if head_kind(prepared.recipe) != "linear":
        backbone = [layer for layer in classifier.layers() if layer.block != "head"]
        note = "The head is fitted to the features of the backbone, which does not change."
        return [phase_table(backbone, title="no epochs: the head", notes=(note,))]
    tables = []
    for phase in classifier.phases:
        first, last = phase.first_epoch + 1, phase.first_epoch + phase.epochs
        epochs = f"epochs {first} to {last}" if last > first else f"epoch {first}"
        tables.append(phase_table(classifier.layers(phase), title=f"{epochs}: {phase.name}"))
    return tables


def _inputs(prepared: Prepared) -> list[Table]:
    """Return the table of what each phase trains on; none for strategies that have no frozen part, or only that."""
    kind = prepared.recipe.strategy.kind
    return [] if kind in ("frozen", "full") else [input_table(plan_inputs(prepared))]


def _head_plan(word: HeadWord) -> str:
    """Return one line about how a fit chooses or fits a head."""
    if word == "auto":
        return f"auto: the simplest of {', '.join(QUICK_KINDS)} that cross-validation cannot tell from the best"
    assert word != "linear", "the linear head is trained by gradient descent"
    facts = FACTS[word]
    settings = f"{len(facts.grid)} settings by {FOLDS}-fold cross-validation"
    return f"{word}: {facts.description}; {settings}, calibrated out of fold"
