"""Keys that have an effect only with certain values of another key: `train.momentum` needs an optimizer with momentum.

The table has three uses: a recipe that gives such a key without effect is refused, `dump_recipe` leaves the key out,
and an override that removes its effect drops it from the file.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_args

from tlkit.choices import TRAINED_HEADS, TrainedTask
from tlkit.recipe.sections.section import Contradiction
from tlkit.recipe.sections.train_section import Loss, Schedule, TrainSection

if TYPE_CHECKING:
    from tlkit.recipe.schema import Recipe


@dataclass(frozen=True)
class DependentKey:
    """A key that has an effect only while another key has one of some values.

    Attributes:
        key: the dotted key.
        of: the dotted key that it depends on.
        among: the values of `of` with which `key` has an effect.
        remedy: text after "KEY is "; placeholders: {seen}, the value of `key`; {chosen}, the value of `of`; {key}.
        default_is_off: the default of `key` switches it off and is allowed with every value of `of`; otherwise `key`
            may not be given at all.
    """

    key: str
    of: str
    among: tuple[Any, ...]
    remedy: str
    default_is_off: bool = False

    @property
    def path(self) -> tuple[str, str]:
        """Section and name of the key."""
        section, _, name = self.key.partition(".")
        return section, name

    def is_met(self, recipe: Recipe) -> bool:
        """Return whether the key has an effect in a recipe."""
        return _value(recipe, self.of) in self.among

    def is_given(self, recipe: Recipe) -> bool:
        """Return whether a recipe gives the key and does not switch it off."""
        section, name = self.path
        keys = getattr(recipe, section)
        if self.default_is_off:
            return bool(getattr(keys, name) != type(keys).model_fields[name].default)
        return name in keys.model_fields_set


def unmet_dependencies(recipe: Recipe) -> Iterator[Contradiction]:
    """Yield a contradiction for every key that has no effect because of the value of another key."""
    for need in NEEDS:
        if need.is_given(recipe) and not need.is_met(recipe):
            value = _value(recipe, need.key)
            seen = f"{value:g}" if isinstance(value, int | float) else str(value)
            text = need.remedy.format(seen=seen, chosen=_value(recipe, need.of), key=need.key)
            yield Contradiction((need.key, need.of), f"{need.key} is {text}")


def _value(recipe: Recipe, key: str) -> Any:
    section, _, name = key.partition(".")
    if not name:
        return getattr(recipe, section)
    value = getattr(getattr(recipe, section), name, None)
    return "linear" if key == "strategy.head" and value in (None, *TRAINED_HEADS) else value


_TRAIN_KEYS_OF_EVERY_HEAD = ("class_weights", "device")
_NOT_FOR_TASK = "given, but it does not apply to task: {chosen}. Remove {key}."
_MULTICLASS, _OF_CLASSES = ("multiclass",), ("multiclass", "ordinal")
_OF_IMAGES = tuple(task for task in get_args(TrainedTask) if task not in ("segmentation", "detection"))
_NOT_BOXES = tuple(task for task in get_args(TrainedTask) if task != "detection")
_WITH_MOMENTUM = ("sgd", "rmsprop")
_NO_SUCH_PARAMETER = "{seen}, but loss: {chosen} has none. Remove {key}, or use "

NEEDS = (
    DependentKey(
        "data.crop_pct",
        "data.resize",
        (None, "crop"),
        "{seen}, but resize: {chosen} crops nothing. Remove {key}, or use resize: crop.",
        default_is_off=True,
    ),
    DependentKey(
        "data.image_cache_limit_gb",
        "data.image_cache",
        ("auto",),
        "{seen}, but image_cache: {chosen} keeps no images. Remove {key}, or use image_cache: auto.",
        default_is_off=True,
    ),
    DependentKey(
        "train.momentum",
        "train.optimizer",
        _WITH_MOMENTUM,
        "{seen}, but {chosen} has no momentum. Remove {key}, or use optimizer: " + " or ".join(_WITH_MOMENTUM) + ".",
    ),
    DependentKey(
        "train.warmup_epochs",
        "train.schedule",
        tuple(schedule for schedule in get_args(Schedule) if schedule != "one_cycle"),
        "{seen}, but schedule: {chosen} has a warm-up of its own. Remove {key}, or use schedule: cosine.",
        default_is_off=True,
    ),
    DependentKey(
        "train.quantile_coverage",
        "train.number_loss",
        ("quantile",),
        "{seen}, but number_loss: {chosen} has no quantiles. Remove {key}, or use number_loss: quantile.",
    ),
    DependentKey("train.focal_gamma", "train.loss", ("focal",), _NO_SUCH_PARAMETER + "loss: focal."),
    DependentKey(
        "train.label_smoothing",
        "train.loss",
        tuple(loss for loss in get_args(Loss) if loss not in ("focal", "asymmetric")),
        "{seen}, but loss: {chosen} takes one true class per image. Remove {key}, or use loss: cross_entropy.",
        default_is_off=True,
    ),
    DependentKey("train.group_dro_step", "train.loss", ("group_dro",), _NO_SUCH_PARAMETER + "loss: group_dro."),
    DependentKey(
        "model.drop_rate",
        "strategy.head",
        ("linear",),
        "{seen}, but head: {chosen} has no dropout. Remove {key}.",
        default_is_off=True,
    ),
    *(
        DependentKey(
            key,
            "task",
            (task,),
            "given, but task: {chosen} has no " + what + ". Remove {key}, or use task: " + task + ".",
        )
        for key, task, what in (
            ("data.label_separator", "multilabel", "several labels"),
            ("data.label_columns", "multilabel", "several labels"),
            ("data.grades", "ordinal", "grades"),
            ("train.number_loss", "regression", "numbers"),
            ("data.masks", "segmentation", "masks"),
            ("data.mask_classes", "segmentation", "masks"),
            ("data.void", "segmentation", "masks"),
            ("model.decoder", "segmentation", "masks"),
            ("data.boxes", "detection", "boxes"),
            ("train.mask_loss", "segmentation", "masks"),
        )
    ),
    *(
        DependentKey(key, "task", _MULTICLASS, _NOT_FOR_TASK)
        for key in ("evaluate.top_k", "evaluate.calibrate", "tracking.log_images")
    ),
    DependentKey("model.decoder_channels", "task", ("segmentation", "detection"), _NOT_FOR_TASK),
    DependentKey("report.thumbnails", "task", ("multiclass", "segmentation"), _NOT_FOR_TASK),
    DependentKey("train.loss", "task", ("multiclass", "multilabel"), _NOT_FOR_TASK),
    *(
        DependentKey(key, "task", among, _NOT_FOR_TASK, default_is_off=True)
        for key, among in (
            ("data.crop_pct", _OF_IMAGES),
            ("data.decode", _OF_IMAGES),
            ("data.image_cache", _OF_IMAGES),
            ("data.image_cache_limit_gb", _OF_IMAGES),
            ("evaluate.tta", _OF_IMAGES),
            ("features.cache", _OF_IMAGES),
            ("features.cache_limit_gb", _OF_IMAGES),
            ("features.engine", _OF_IMAGES),
            ("features.storage", _OF_IMAGES),
            ("features.tolerance", _OF_IMAGES),
            ("features.views", _OF_IMAGES),
            ("model.drop_rate", _OF_IMAGES),
            ("train.label_smoothing", _MULTICLASS),
            ("train.logit_adjustment", _MULTICLASS),
            ("train.monitor", _MULTICLASS),
            ("train.sampling", _OF_CLASSES),
            ("train.class_weights", (*_OF_CLASSES, "multilabel")),
            ("data.annotations", _OF_CLASSES),
            ("data.merge_classes", _OF_CLASSES),
            ("data.label_corrections", _OF_CLASSES),
            ("train.model_soup_size", _NOT_BOXES),
            ("train.grad_checkpointing", _NOT_BOXES),
            ("audit.criteria", ("multiclass", "multilabel")),
            ("audit.positive", ("multiclass", "multilabel", "segmentation", "detection")),
            ("audit.pair_by", ("multiclass", "multilabel")),
        )
    ),
    *(
        DependentKey(
            f"train.{name}",
            "task",
            ("multiclass", "multilabel"),
            "{seen}, but task: {chosen} has no target between those of two mixed images: the mean of two pictures does "
            "not show the mean of their numbers, grades, masks or boxes. Remove {key}.",
            default_is_off=True,
        )
        for name in ("mixup", "cutmix")
    ),
    *(
        DependentKey(
            f"train.{name}",
            "strategy.head",
            ("linear",),
            "given, but head: {chosen} is not trained in epochs. Remove {key}, or use head: linear.",
        )
        for name in TrainSection.model_fields
        if name not in _TRAIN_KEYS_OF_EVERY_HEAD
    ),
)
