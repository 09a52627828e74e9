"""Cross-checks of `data`: sources, splits and sizes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from tlkit.choices import TRAINED_HEADS
from tlkit.recipe.sections.section import Contradiction

if TYPE_CHECKING:
    from tlkit.recipe.schema import Recipe
    from tlkit.recipe.sections.data_section import DataSection


LISTS = (".csv", ".parquet")


def data_contradictions(recipe: Recipe) -> Iterator[Contradiction]:
    """Yield contradictions about sources, shares, sizes and splits."""
    yield from _source_contradictions(recipe.data)
    if recipe.data.shuffle_buffer is not None:
        yield from _shuffle_buffer_contradictions(recipe, recipe.data.shuffle_buffer)
    yield from _share_contradictions(recipe.data)
    yield from _split_contradictions(recipe.data)
    head = getattr(recipe.strategy, "head", "linear")
    if recipe.data.annotations == "soft" and head not in TRAINED_HEADS:
        yield Contradiction(
            ("data.annotations", "strategy.head"),
            f"data.annotations is soft, but head: {head} is fitted by scikit-learn, to one label for each image. Use "
            "head: linear, or data.annotations: majority.",
        )


def _source_contradictions(data: DataSection) -> Iterator[Contradiction]:
    if data.name is not None:
        yield from _name_contradictions(data)
    elif not data.root and data.manifest is None and not data.shards:
        yield Contradiction(
            ("data", "data.root"),
            "data.root is missing. Add root: the path of a folder of images, such as data/pets; or manifest: a CSV "
            "file that lists them; or shards: tar files of them; or name: a dataset of `tlkit data gallery`.",
        )
    if data.shards and (data.root or data.manifest is not None):
        other = "data.root" if data.root else "data.manifest"
        yield Contradiction(
            ("data.shards", other), f"data.shards and {other} both say where the images are. Remove one of them."
        )
    listed = is_listed(data)
    if data.annotations != "one" and not listed:
        yield Contradiction(
            ("data.annotations", "data.manifest"),
            f"data.annotations is {data.annotations}, but there is no list with several rows for an image. Set "
            "data.manifest, or remove data.annotations.",
        )
    if data.columns and not listed and data.metadata is None and data.name is None:
        yield Contradiction(
            ("data.columns", "data.manifest"),
            f"data.columns names {', '.join(data.columns.values())}, but there is no file with columns. Set "
            "data.manifest or data.metadata, or remove data.columns.",
        )
    if data.manifest is not None and not isinstance(data.root, str) and len(data.root) > 1:
        yield Contradiction(
            ("data.root", "data.manifest"),
            f"data.root names {len(data.root)} folders, but the paths of data.manifest are relative to one. "
            "Use one folder.",
        )


def _name_contradictions(data: DataSection) -> Iterator[Contradiction]:
    for key in ("root", "manifest", "shards"):
        if getattr(data, key):
            yield Contradiction(
                ("data.name", f"data.{key}"),
                f"data.name is {data.name}, but data.{key} says, too, where the images are. Remove one of them.",
            )


def _shuffle_buffer_contradictions(recipe: Recipe, buffer: int) -> Iterator[Contradiction]:
    data, head = recipe.data, getattr(recipe.strategy, "head", "linear")
    roots = (data.root,) if isinstance(data.root, str) else data.root
    if not data.shards and data.manifest is None and not any(root.lower().endswith(".tar") for root in roots):
        yield Contradiction(
            ("data.shuffle_buffer", "data.shards"),
            f"data.shuffle_buffer is {buffer}, but there are no data.shards to read in sequence. Remove "
            "data.shuffle_buffer: single files are always shuffled in full.",
        )
    if recipe.train.sampling != "shuffled":
        yield Contradiction(
            ("data.shuffle_buffer", "train.sampling"),
            f"data.shuffle_buffer is {buffer}, which takes every image once, but train.sampling is "
            f"{recipe.train.sampling}. Remove one of them, or use train.class_weights.",
        )
    if head not in TRAINED_HEADS:
        yield Contradiction(
            ("data.shuffle_buffer", "strategy.head"),
            f"data.shuffle_buffer is {buffer}, but head: {head} is fitted to all images at once. Remove "
            "data.shuffle_buffer.",
        )


def _share_contradictions(data: DataSection) -> Iterator[Contradiction]:
    if data.val + data.test >= 1:
        yield Contradiction(
            ("data.val", "data.test"),
            f"data.val is {data.val:g} and data.test is {data.test:g}, which leaves nothing to train on. "
            "Use shares that sum to less than 1.",
        )


def _split_contradictions(data: DataSection) -> Iterator[Contradiction]:
    has_columns = any((data.name, data.metadata, data.manifest, data.shards))
    if data.groups and not has_columns:
        yield Contradiction(
            ("data.groups", "data.metadata"),
            f"data.groups names {', '.join(data.groups)}, but data.metadata names no CSV file to take columns from. "
            "Set data.metadata, or remove data.groups.",
        )
    for key in ("group_by", "time_column"):
        column = getattr(data, key)
        if column is not None and not has_columns:
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
            f"data.test is {data.test:g}, but with data.folds, one fold is the test split. Remove data.test.",
        )
    if data.time_column is not None:
        yield Contradiction(
            ("data.time_column", "data.folds"),
            "data.folds would train on later images than it tests on, which data.time_column prevents. "
            "Remove one of them.",
        )
    if data.split is not None:
        yield Contradiction(
            ("data.split", "data.folds"),
            "data.split assigns each image to a split, so there is nothing to divide into data.folds. "
            "Remove one of them.",
        )


def is_listed(data: DataSection) -> bool:
    """Return whether a list names the images and their labels."""
    return data.manifest is not None or (isinstance(data.root, str) and data.root.lower().endswith(LISTS))
