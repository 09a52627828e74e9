"""Loads the dataset of a recipe: images listed, checked and split, and checked against the recipe."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec

from tlkit.choices import OBJECT_SIZE, DatasetName
from tlkit.data.dataset_source import LoadedDataset, Source
from tlkit.data.decode.decode_options import DecodeOptions
from tlkit.data.sources.list_options import ListOptions
from tlkit.data.splits.hold_out import SplitPlan
from tlkit.datasets.dataset_card import MASKS
from tlkit.datasets.gallery import find_entry, named_dataset
from tlkit.errors import DataError, MissingExtraError, RecipeError, first_few
from tlkit.models.model_names import require_name, require_weights
from tlkit.preflight.recipe_queries import class_counts, class_weights
from tlkit.recipe import Recipe
from tlkit.recipe.unusual_values import warn_of_unusual
from tlkit.samples import Samples


def load_dataset(
    recipe: Recipe,
    *,
    gray_thumbnails: bool = False,
    progress: Callable[[int, int], None] | None = None,
    before_decoding: Callable[[], None] | None = None,
) -> LoadedDataset:
    """Return the images of a recipe, checked and split, after warnings about unusual settings.

    Args:
        recipe: the recipe.
        gray_thumbnails: keep gray thumbnails of the images; see `check_images`.
        progress: called with (images checked, images in all).
        before_decoding: called once the images are listed, before the first is decoded.

    Raises:
        ModelError: timm has no model of this name, or the file or package of the weights is missing; raised before
            images are read.
        DataError: the images cannot be used.
        RecipeError: the recipe names classes or audits columns that the images do not have.
        MissingExtraError: segmentation needs segmentation_models_pytorch, or detection pycocotools, which is not
            installed.
    """
    require_name(recipe.model.name)
    if recipe.task == "segmentation" and find_spec("segmentation_models_pytorch") is None:
        raise MissingExtraError(package="segmentation_models_pytorch", extra="seg", purpose="task: segmentation")
    if recipe.task == "detection" and find_spec("pycocotools") is None:
        raise MissingExtraError(package="pycocotools", extra="coco", purpose="task: detection")
    require_weights(recipe.model.weights)
    warn_of_unusual(recipe)
    dataset = recipe_source(recipe).load(
        gray_thumbnails=gray_thumbnails, progress=progress, before_decoding=before_decoding
    )
    if recipe.task == "detection":
        require_boxes_to_judge(dataset.samples)
    require_audit_columns(recipe, dataset.samples)
    class_weights(recipe.train.class_weights, dataset.samples)  # raises
    if recipe.train.logit_adjustment:
        class_counts(dataset.samples)  # raises
    return dataset


def recipe_source(recipe: Recipe) -> Source:
    """Return the source and the split of the images, from the `data` section of a recipe.

    A dataset of the gallery is made where it is not there yet. The images keep the column of `group_by`, since folds
    that are made later must keep to it too.

    Raises:
        DataError: the packages of `data.name` are not installed, or its folder was changed.
        RecipeError: the images of `data.name` have several labels, and the recipe's task takes one.
    """
    section = recipe.data
    labels = section.label_corrections
    kept = (*section.groups, section.group_by) if section.group_by is not None else section.groups
    label_column: dict[str, str] = {}
    root, manifest, metadata, mask_folder = section.root, section.manifest, section.metadata, section.masks or ""
    if section.name is not None:
        _require_task(recipe, section.name)
        card = named_dataset(section.name)
        root, manifest = str(card.root), None if card.manifest is None else str(card.manifest)
        if metadata is None and manifest is None:
            metadata = str(card.metadata)
        mask_folder = str(card.root / MASKS) if recipe.task == "segmentation" else ""
        label_column = {"label": "boxes"} if recipe.task == "detection" else {}
    return Source(
        root=root,
        plan=SplitPlan(
            val=section.val,
            test=section.test,
            seed=recipe.seed,
            stratify=section.stratify,
            group_by=section.group_by,
            time_column=section.time_column,
            folds=section.folds,
            fold=section.fold,
        ),
        manifest=manifest,
        shards=section.shards,
        split=section.split,
        metadata=metadata,
        groups=tuple(dict.fromkeys(kept)),
        quarantine=section.quarantine,
        labels=(labels,) if isinstance(labels, str) else tuple(labels),
        on_leak=section.on_leak,
        decode_options=DecodeOptions.of(section),
        options=ListOptions(
            names=label_column | {str(name): theirs for name, theirs in section.columns.items()},
            verbatim=section.verbatim,
            merge_classes=section.merge_classes,
            annotations=section.annotations,
            task=recipe.task,
            separator=section.label_separator,
            label_columns=section.label_columns,
            grades=section.grades,
            masks=section.pixel_classes if recipe.task == "segmentation" else None,
            mask_folder=mask_folder,
            box_file=section.boxes or "",
        ),
    )


def _require_task(recipe: Recipe, name: DatasetName) -> None:
    """Check that the dataset is for the task: several labels are no class, and masks and boxes must be there."""
    task = recipe.task
    if task == "segmentation" and find_entry(name).task != "segmentation":
        raise RecipeError(
            f"data.name is {name}, whose images have no masks, but task is {task}. Use a dataset that `tlkit data "
            "gallery` lists for segmentation, or data.root and data.masks."
        )
    if task == "detection" and find_entry(name).task != "detection":
        raise RecipeError(
            f"data.name is {name}, whose images have no boxes, but task is {task}. Use a dataset that `tlkit data "
            "gallery` lists for detection, or data.root and data.boxes."
        )
    if find_entry(name).task == "segmentation" != task:
        raise RecipeError(
            f"data.name is {name}, whose labels are masks, but task is {task}. Set task: segmentation and "
            "data.mask_classes, or use a dataset that `tlkit data gallery` lists for another task."
        )
    if (
        find_entry(name).task in ("multilabel", "detection")
        and task == "multiclass"
        and "label" not in recipe.data.columns
    ):
        raise RecipeError(
            f"data.name is {name}, whose images have several labels each, but task is {task}. Set task: multilabel, or "
            "use a dataset that `tlkit data gallery` lists as multiclass."
        )


def require_boxes_to_judge(samples: Samples) -> None:
    """Check that every split shows an object, so that there is something to judge.

    Raises:
        DataError: a split does not.
    """
    counts = samples.counts().sum()
    if empty := [split for split, size in samples.split_sizes().items() if size and not counts[split]]:
        shares = " and ".join(f"data.{split}" for split in empty if split != "train") or "data.val and data.test"
        raise DataError(
            f"The images of {' and '.join(empty)} have no boxes, so nothing can be learnt or judged there. Where tlkit "
            f"holds images out, change {shares}, or the seed. Where the data states the splits, move images with "
            "objects into each."
        )


def require_audit_columns(recipe: Recipe, samples: Samples) -> None:
    """Check the `audit` section of a recipe against the splits that are audited.

    Raises:
        RecipeError: a column is an identifier or cannot be cut as stated, or the data has no class `audit.positive`.
    """
    section = recipe.audit
    if not section.by:
        return
    # here, since it loads scipy, which takes longer than listing images
    from tlkit.audit.groups.intersections import validate_columns

    splits = set(samples.table["split"])
    columns = [one for one in section.plain if recipe.task != "detection" or one != OBJECT_SIZE]  # it is made later
    problems: list[str] = []
    for split in ([name for name in ("val", "test") if name in splits] or ["train"]) if columns else []:
        found = validate_columns(samples.split(split).groups, columns)
        problems += [f"audit.by, {split} split: {problem}" for problem in found]
    if section.positive is not None and section.positive not in samples.classes:
        problems.append(
            f"audit.positive is {section.positive!r}, which the data does not have. "
            f"Its classes are {first_few(samples.classes)}."
        )
    if problems:
        raise RecipeError(*problems)
