"""The dataset of a recipe: its images are listed, checked, split, and compared with what the recipe asks of them."""

from __future__ import annotations

from collections.abc import Callable

from tlkit.data.decode.decode_options import DecodeOptions
from tlkit.data.load_dataset import LoadedDataset, Source
from tlkit.data.splits.hold_out import SplitPlan
from tlkit.errors import RecipeError, first_few
from tlkit.models.model_names import require_name, require_weights
from tlkit.preflight.recipe_queries import class_counts, class_weights
from tlkit.recipe import Recipe
from tlkit.recipe.unusual_values import warn_of_unusual
from tlkit.samples import Samples


def load_dataset(
    recipe: Recipe, *, gray_thumbnails: bool = False, progress: Callable[[int, int], None] | None = None
) -> LoadedDataset:
    """Return the images of a recipe, checked and split; what is unusual about the recipe is logged first.

    Args:
        recipe: its `data` section says where the images are and how they are split.
        gray_thumbnails: keep gray thumbnails of the images; see `check_images`.
        progress: called with (images checked, images in all).

    Raises:
        ModelError: timm has no model of this name, or the weights are in a file or a package that is not there. It is
            raised before any image is read, since checking the images takes longer.
        DataError: the images cannot be used.
        RecipeError: the recipe weights classes, or audits columns, that the images do not have.
    """
    require_name(recipe.model.name)
    require_weights(recipe.model.weights)
    warn_of_unusual(recipe)
    dataset = source_of(recipe).load(gray_thumbnails=gray_thumbnails, progress=progress)
    require_audit_columns(recipe, dataset.samples)
    class_weights(recipe.train.class_weights, dataset.samples)  # raises
    if recipe.train.logit_adjustment:
        class_counts(dataset.samples)  # raises
    return dataset


def source_of(recipe: Recipe) -> Source:
    """Return where a recipe's images come from and how they are split, as its `data` section says."""
    section = recipe.data
    labels = section.label_corrections
    return Source(
        root=section.root,
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
        manifest=section.manifest,
        shards=section.shards,
        split=section.split,
        metadata=section.metadata,
        groups=tuple(section.groups),
        quarantine=section.quarantine,
        labels=(labels,) if isinstance(labels, str) else tuple(labels),
        on_leak=section.on_leak,
        decode_options=DecodeOptions.of(section),
    )


def require_audit_columns(recipe: Recipe, samples: Samples) -> None:
    """Check that the splits that will be judged can be audited as the recipe asks.

    Raises:
        RecipeError: a column is an identifier or cannot be binned as asked, or the positive class is not one of the
            data's classes.
    """
    section = recipe.audit
    if not section.by:
        return
    from tlkit.audit.groups.intersections import by_problems  # loads scipy, which takes longer than finding the images

    there = set(samples.table["split"])
    problems: list[str] = []
    for split in [name for name in ("val", "test") if name in there] or ["train"]:
        found = by_problems(samples.split(split).groups, section.plain)
        problems += [f"audit.by, {split} split: {problem}" for problem in found]
    if section.positive is not None and section.positive not in samples.classes:
        problems.append(
            f"audit.positive is {section.positive!r}, which the data does not have. "
            f"Its classes are {first_few(samples.classes)}."
        )
    if problems:
        raise RecipeError(*problems)
