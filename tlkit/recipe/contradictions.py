"""What no single key can show: keys of a recipe that are each right and together wrong."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tlkit.errors import did_you_mean
from tlkit.recipe.heads import APPLIES_TO_ALL_HEADS, TAKES_NO_CLASS_WEIGHTS

if TYPE_CHECKING:
    from tlkit.recipe.schema import Recipe, TrainSection

TAKES_MOMENTUM = ("sgd", "rmsprop")


@dataclass(frozen=True)
class Contradiction:
    """Keys that do not go together.

    Attributes:
        keys: the dotted keys that take part; nothing is wrong with any of them alone.
        text: what was seen and what to do.
    """

    keys: tuple[str, ...]
    text: str


def contradictions(recipe: Recipe) -> tuple[Contradiction, ...]:
    """Return everything in a recipe that contradicts something else in it, in the order of the sections."""
    return (
        *_of_source(recipe),
        *_of_data(recipe),
        *_of_splits(recipe),
        *_of_augment(recipe),
        *_of_strategy(recipe),
        *_of_features(recipe),
        *_of_head(recipe),
        *_of_train(recipe),
        *_of_audit(recipe),
    )


def _of_source(recipe: Recipe) -> Iterator[Contradiction]:
    data = recipe.data
    if not data.root and data.manifest is None and not data.shards:
        yield Contradiction(
            ("data", "data.root"),
            "data.root is missing. Add root: the path of a folder of images, such as data/pets; or manifest: a CSV "
            "file that lists them; or shards: tar files of them.",
        )
    if data.shards and (data.root or data.manifest is not None):
        other = "data.root" if data.root else "data.manifest"
        yield Contradiction(
            ("data.shards", other), f"data.shards and {other} both say where the images are. Remove one of them."
        )
    if data.manifest is not None and not isinstance(data.root, str) and len(data.root) > 1:
        yield Contradiction(
            ("data.root", "data.manifest"),
            f"data.root names {len(data.root)} folders, but the paths of data.manifest are relative to one. "
            "Use one folder.",
        )


def _of_splits(recipe: Recipe) -> Iterator[Contradiction]:
    data = recipe.data
    for key in ("group_by", "time_column"):
        column = getattr(data, key)
        if column is not None and data.metadata is None and data.manifest is None and not data.shards:
            yield Contradiction(
                (f"data.{key}", "data.metadata"),
                f"data.{key} names {column}, but data.metadata names no CSV file to take it from. "
                f"Set data.metadata, or remove data.{key}.",
            )
    if data.group_by is not None and data.time_column is not None:
        yield Contradiction(
            ("data.group_by", "data.time_column"),
            f"data.group_by is {data.group_by} and data.time_column is {data.time_column}: a split is made by groups "
            "or by time. Remove one of them.",
        )
    if data.folds is None and data.fold > 0:
        yield Contradiction(
            ("data.fold", "data.folds"), f"data.fold is {data.fold}, but data.folds is not set. Set data.folds."
        )
    if data.folds is None:
        return
    if data.fold >= data.folds:
        yield Contradiction(
            ("data.fold", "data.folds"),
            f"data.fold is {data.fold}, but data.folds is {data.folds}. Use 0 to {data.folds - 1}.",
        )
    if data.test > 0:
        yield Contradiction(
            ("data.test", "data.folds"),
            f"data.test is {data.test:g}, but with data.folds one fold is the test split. Remove data.test.",
        )
    if data.time_column is not None:
        yield Contradiction(
            ("data.time_column", "data.folds"),
            "data.folds would train on later images than it tests on, which data.time_column is to prevent. "
            "Remove one of them.",
        )
    if data.split is not None:
        yield Contradiction(
            ("data.split", "data.folds"),
            "data.split says which split each image belongs to, so there is nothing to deal into data.folds. "
            "Remove one of them.",
        )


def _of_data(recipe: Recipe) -> Iterator[Contradiction]:
    data = recipe.data
    if data.val + data.test >= 1:
        yield Contradiction(
            ("data.val", "data.test"),
            f"data.val is {data.val:g} and data.test is {data.test:g}, which leaves nothing to train on. "
            "Use shares that sum to less than 1.",
        )
    if data.groups and data.metadata is None and data.manifest is None and not data.shards:
        yield Contradiction(
            ("data.groups", "data.metadata"),
            f"data.groups names {', '.join(data.groups)}, but data.metadata names no CSV file to take columns from. "
            "Set data.metadata, or remove data.groups.",
        )
    if data.crop_pct is not None and data.resize not in (None, "crop"):
        yield Contradiction(
            ("data.crop_pct", "data.resize"),
            f"data.crop_pct is {data.crop_pct:g}, but resize: {data.resize} cuts nothing. "
            "Remove data.crop_pct, or use resize: crop.",
        )


def _of_augment(recipe: Recipe) -> Iterator[Contradiction]:
    augment = recipe.augment
    if augment.transforms is not None and "preset" in augment.model_fields_set:
        yield Contradiction(
            ("augment.preset", "augment.transforms"),
            f"augment.preset is {augment.preset}, but augment.transforms is given too. Keep one of them.",
        )


def _of_strategy(recipe: Recipe) -> Iterator[Contradiction]:
    strategy, train = recipe.strategy, recipe.train
    if strategy.kind == "lp_ft" and strategy.probe_epochs >= train.epochs:
        yield Contradiction(
            ("strategy.probe_epochs", "train.epochs"),
            f"strategy.probe_epochs is {strategy.probe_epochs}, but train.epochs is {train.epochs}, which leaves none "
            "for the fine-tuning. Use more epochs, fewer for the probe, or strategy: frozen.",
        )
    elif strategy.kind == "lp_ft" and train.warmup_epochs >= (
        shortest := min(strategy.probe_epochs, train.epochs - strategy.probe_epochs)
    ):
        yield Contradiction(
            ("train.warmup_epochs", "strategy.probe_epochs"),
            f"train.warmup_epochs is {train.warmup_epochs:g}, and each of the two phases begins with it, but the "
            f"shorter one has {shortest} epochs. Use less than {shortest}, or 0 for no warm-up.",
        )
    if strategy.kind == "gradual" and strategy.epochs_per_stage >= train.epochs:
        yield Contradiction(
            ("strategy.epochs_per_stage", "train.epochs"),
            f"strategy.epochs_per_stage is {strategy.epochs_per_stage}, but train.epochs is {train.epochs}, so no "
            "stage would ever be unfrozen. Use more epochs, fewer per stage, or strategy: frozen.",
        )
    elif strategy.kind == "gradual" and train.warmup_epochs >= strategy.epochs_per_stage:
        yield Contradiction(
            ("train.warmup_epochs", "strategy.epochs_per_stage"),
            f"train.warmup_epochs is {train.warmup_epochs:g}, and each phase begins with it, but "
            f"strategy.epochs_per_stage is {strategy.epochs_per_stage}. Use less than {strategy.epochs_per_stage}, "
            "or 0 for no warm-up.",
        )


def _of_features(recipe: Recipe) -> Iterator[Contradiction]:
    features, kind = recipe.features, recipe.strategy.kind
    usual = type(features).model_fields["tolerance"].default  # a stored recipe states every key
    if features.tolerance != usual and features.engine != "auto":
        yield Contradiction(
            ("features.tolerance", "features.engine"),
            f"features.tolerance is {features.tolerance:g}, which engine: auto is held to, but features.engine is "
            f"{features.engine}. Remove one of them.",
        )
    if features.engine != "auto" and (kind != "frozen" or features.use == "never"):
        other, why = (
            ("strategy.kind", f"strategy: {kind} changes the backbone, so there are no features to keep")
            if kind != "frozen"
            else ("features.use", "features.use is never")
        )
        yield Contradiction(
            ("features.engine", other),
            f"features.engine is {features.engine}, but {why}. Remove features.engine.",
        )
    if not features.views:
        return
    mixing = tuple(f"train.{name}" for name in ("mixup", "cutmix") if getattr(recipe.train, name) > 0)
    if mixing and kind == "frozen":
        yield Contradiction(
            ("features.views", *mixing),
            f"features.views is {features.views}, but {' and '.join(mixing)} would mix the images anew every epoch, so "
            "no features of them can be kept. Remove one or the other.",
        )
    if kind != "frozen":
        yield Contradiction(
            ("features.views", "strategy.kind"),
            f"features.views is {features.views}, but strategy: {kind} changes the backbone, and the features with it. "
            "Remove features.views, or use strategy: frozen.",
        )
    if features.use == "never":
        yield Contradiction(
            ("features.views", "features.use"),
            f"features.views is {features.views}, but features.use is never. Keep one of them.",
        )
    if recipe.augment.preset == "none" and recipe.augment.transforms is None:
        yield Contradiction(
            ("features.views", "augment.preset"),
            f"features.views is {features.views}, but augment: none makes all views alike. "
            "Remove features.views, or choose an augmentation.",
        )


def _of_head(recipe: Recipe) -> Iterator[Contradiction]:
    """What a head that is fitted at once, to features of one pass, leaves nothing to do for."""
    head = getattr(recipe.strategy, "head", "linear")
    if head == "linear":
        return
    augment, train = recipe.augment, recipe.train
    if augment.transforms is not None or augment.preset != "none":
        given = "augment.preset" if augment.transforms is None else "augment.transforms"
        yield Contradiction(
            (given, "strategy.head"),
            f"strategy.head is {head}, which learns from one pass over the images as they are, but {given} varies "
            "them. Use augment: none, or head: linear.",
        )
    if recipe.features.use == "never":
        yield Contradiction(
            ("features.use", "strategy.head"),
            f"features.use is never, but head: {head} is fitted to features. Use features.use: auto, or head: linear.",
        )
    if recipe.model.drop_rate > 0:
        yield Contradiction(
            ("model.drop_rate", "strategy.head"),
            f"model.drop_rate is {recipe.model.drop_rate:g}, but head: {head} has no dropout. Remove model.drop_rate.",
        )
    for key in [name for name in type(train).model_fields if name in train.model_fields_set]:
        if key in APPLIES_TO_ALL_HEADS:
            continue
        yield Contradiction(
            (f"train.{key}", "strategy.head"),
            f"train.{key} is given, but head: {head} is not trained in epochs. Remove train.{key}, or use "
            "head: linear.",
        )
    if train.class_weights != "none" and head in TAKES_NO_CLASS_WEIGHTS:
        yield Contradiction(
            ("train.class_weights", "strategy.head"),
            f"train.class_weights is given, but head: {head} takes no class weights. Remove it, or use head: logistic.",
        )


def _of_train(recipe: Recipe) -> Iterator[Contradiction]:
    train = recipe.train
    if "momentum" in train.model_fields_set and train.optimizer not in TAKES_MOMENTUM:
        yield Contradiction(
            ("train.momentum", "train.optimizer"),
            f"train.momentum is {train.momentum:g}, but {train.optimizer} has no momentum. "
            f"Remove train.momentum, or use optimizer: {' or '.join(TAKES_MOMENTUM)}.",
        )
    if train.schedule == "one_cycle" and train.warmup_epochs > 0:
        yield Contradiction(
            ("train.warmup_epochs", "train.schedule"),
            f"train.warmup_epochs is {train.warmup_epochs:g}, but schedule: one_cycle has a warm-up of its own. "
            "Remove train.warmup_epochs, or use schedule: cosine.",
        )
    elif train.warmup_epochs >= train.epochs:
        yield Contradiction(
            ("train.warmup_epochs", "train.epochs"),
            f"train.warmup_epochs is {train.warmup_epochs:g}, but train.epochs is {train.epochs}. "
            f"Use less than {train.epochs}, or 0 for no warm-up.",
        )
    yield from _of_loss(train)
    yield from _of_mixing(train)
    watched = train.early_stopping.monitor if train.early_stopping is not None else None
    for key, monitor in (("train.monitor", train.monitor), ("train.early_stopping.monitor", watched)):
        if monitor == "val_worst_group_accuracy" and not recipe.audit.by:
            yield Contradiction(
                (key, "audit.by"),
                f"{key} is {monitor}, but audit.by names no column whose groups it could be about. Set audit.by.",
            )
    if train.sampling == "group_balanced" and not recipe.audit.by:
        yield Contradiction(
            ("train.sampling", "audit.by"),
            "train.sampling is group_balanced, but audit.by names no column whose groups could be balanced. "
            "Set audit.by, or use sampling: balanced for classes alone.",
        )
    if train.loss == "group_dro" and not recipe.audit.by:
        yield Contradiction(
            ("train.loss", "audit.by"),
            "train.loss is group_dro, but audit.by names no column whose groups it could weight. Set audit.by, or use "
            "loss: cross_entropy.",
        )
    if train.soup is not None and train.monitor == "val_worst_group_accuracy":
        yield Contradiction(
            ("train.soup", "train.monitor"),
            f"train.soup is {train.soup}, and a soup is chosen by val_loss or val_accuracy. Use one of them as "
            "train.monitor, or remove train.soup.",
        )
    if train.soup is not None and train.soup > train.epochs:
        yield Contradiction(
            ("train.soup", "train.epochs"),
            f"train.soup is {train.soup}, but train.epochs is {train.epochs}. Use at most {train.epochs}, or null.",
        )
    if train.soup is not None and recipe.strategy.kind == "lora":
        yield Contradiction(
            ("train.soup", "strategy.kind"),
            f"train.soup is {train.soup}, but the mean of low-rank factors is not the mean of what they add up to. "
            "Remove train.soup, or use another strategy.",
        )
    if train.precision == 16 and train.device == "cpu":
        yield Contradiction(
            ("train.precision", "train.device"),
            "train.precision is 16, but train.device is cpu, which has no float16 training. "
            "Use precision: bf16, 32 or auto.",
        )

    if train.device == "mps" and train.devices not in ("auto", 1):
        yield Contradiction(
            ("train.devices", "train.device"),
            f"train.devices is {train.devices}, but train.device is mps, of which a machine has one. Use devices: 1.",
        )


def _of_loss(train: TrainSection) -> Iterator[Contradiction]:
    if "focal_gamma" in train.model_fields_set and train.loss != "focal":
        yield Contradiction(
            ("train.focal_gamma", "train.loss"),
            f"train.focal_gamma is {train.focal_gamma:g}, but loss: {train.loss} has none. "
            "Remove train.focal_gamma, or use loss: focal.",
        )
    if train.loss == "focal" and train.label_smoothing > 0:
        yield Contradiction(
            ("train.label_smoothing", "train.loss"),
            f"train.label_smoothing is {train.label_smoothing:g}, but loss: focal knows one true class per image. "
            "Remove train.label_smoothing, or use loss: cross_entropy.",
        )
    if "group_dro_step" in train.model_fields_set and train.loss != "group_dro":
        yield Contradiction(
            ("train.group_dro_step", "train.loss"),
            f"train.group_dro_step is {train.group_dro_step:g}, but loss: {train.loss} has none. "
            "Remove train.group_dro_step, or use loss: group_dro.",
        )
    beside_groups = {
        "class_weights": (train.class_weights != "none", "weights each crossing of class and group itself"),
        "logit_adjustment": (train.logit_adjustment > 0, "weights each crossing of class and group itself"),
        "mixup": (train.mixup > 0, "knows one group per image"),
        "cutmix": (train.cutmix > 0, "knows one group per image"),
    }
    for key in [key for key, (is_used, _) in beside_groups.items() if is_used and train.loss == "group_dro"]:
        yield Contradiction(
            (f"train.{key}", "train.loss"),
            f"train.{key} is given, but loss: group_dro {beside_groups[key][1]}. "
            f"Remove train.{key}, or use loss: cross_entropy.",
        )
    against_imbalance = {
        "train.class_weights": train.class_weights == "balanced",
        "train.sampling": train.sampling != "shuffled",
        "train.logit_adjustment": train.logit_adjustment > 0,
    }
    used = tuple(key for key, is_used in against_imbalance.items() if is_used)
    if len(used) > 1:
        yield Contradiction(
            used, f"{' and '.join(used)} each make up for rare classes, together too much. Keep one of them."
        )


def _of_mixing(train: TrainSection) -> Iterator[Contradiction]:
    if train.mix_off_epochs and not (train.mixup or train.cutmix):
        yield Contradiction(
            ("train.mix_off_epochs", "train.mixup"),
            f"train.mix_off_epochs is {train.mix_off_epochs}, but there is neither mixup nor cutmix to turn off. "
            "Remove train.mix_off_epochs, or set train.mixup or train.cutmix.",
        )
    elif train.mix_off_epochs >= train.epochs:
        yield Contradiction(
            ("train.mix_off_epochs", "train.epochs"),
            f"train.mix_off_epochs is {train.mix_off_epochs}, but train.epochs is {train.epochs}, which leaves none "
            f"to mix in. Use less than {train.epochs}.",
        )


def _of_audit(recipe: Recipe) -> Iterator[Contradiction]:
    carried = recipe.data.groups
    asked = [("audit.by", column) for column in recipe.audit.columns]
    asked += [
        (f"audit.{name}", column)
        for name in ("cluster_by", "pair_by", "weights")
        if (column := getattr(recipe.audit, name)) is not None
    ]
    for key, column in asked:
        if not carried:
            text = f"{key} names {column!r}, but data.groups is empty. Add {column!r} to data.groups."
        elif column not in carried:
            text = f"{key} names {column!r}, but data.groups carries only {', '.join(carried)}."
            text += did_you_mean(column, carried) or f" Add it to data.groups, or remove it from {key}."
        else:
            continue
        yield Contradiction((key, "data.groups"), text)
    for one in recipe.audit.by:
        cuts = () if isinstance(one, str) else ("bins", "quantiles", "order", "separator")
        if len(given := [cut for cut in cuts if getattr(one, cut)]) > 1:
            name = one if isinstance(one, str) else one.column
            text = f"audit.by: {name} is to be cut by {' and by '.join(given)}. Keep one of them."
            yield Contradiction(("audit.by",), text)
    if recipe.audit.pair_by is not None and (recipe.audit.cluster_by or recipe.audit.weights):
        others = [name for name in ("cluster_by", "weights") if getattr(recipe.audit, name)]
        yield Contradiction(
            ("audit.pair_by", *(f"audit.{name}" for name in others)),
            f"audit.pair_by compares images within matched sets, which audit.{others[0]} does not go with. Keep one.",
        )
    if recipe.audit.weights is not None and "four_fifths" in recipe.audit.criteria:
        yield Contradiction(
            ("audit.weights", "audit.criteria"),
            "audit.criteria has four_fifths, which counts images, but audit.weights weights them. Remove one.",
        )
