"""Predicts masks and writes each as a PNG file of the size of its image."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from tlkit.cli.output import print_lines, print_tables, write_table
from tlkit.errors import PredictionsError, first_few

if TYPE_CHECKING:
    from tlkit.data.sources.entries import Entry
    from tlkit.mask_files import PredictedMask
    from tlkit.predictions import Unreadable

LIST = "masks.csv"
"""Which mask belongs to which image, and which images have none."""


def is_mask_model(path: Path) -> bool:
    """Return whether a path is a run, a stored model or an exported file of segmentation."""
    from tlkit.exported.task_of_file import task_of_exported
    from tlkit.models.model_format import task_of_model

    if task_of_exported(path) == "segmentation":
        return True
    return path.is_dir() and any(task_of_model(folder) == "segmentation" for folder in (path / "model", path))


def predict_masks(
    masks_of: Callable[..., Iterator[PredictedMask]],
    classes: Sequence[str],
    files: Sequence[Path],
    given: Sequence[Path],
    out: Path | None,
    *,
    left_out: Sequence[Entry],
    progress: Callable[[int, int], None] | None,
) -> None:
    """Write the mask of each image into a folder, with a list of them; or print the shares of the classes.

    Args:
        masks_of: yields the masks of images; `MaskPredictor.masks_of` or that of an exported file.
        classes: names of the classes.
        files: the images.
        given: the paths that were named, below which the masks keep the paths of their images.
        out: the folder; None = print.
        left_out: images that cannot be opened.
        progress: called with (images predicted, images in all).

    Raises:
        PredictionsError: the output is no folder, masks are there already, or two images would have the same mask.
    """
    targets = None if out is None else _targets(files, given, out)
    unreadable: list[Unreadable] = []
    rows: list[tuple[str, str, str]] = []
    shown: list[tuple[str, str]] = []
    place = {str(file): row for row, file in enumerate(files)}
    for one in masks_of(files, progress=progress, on_unreadable=unreadable.append):
        if targets is None:
            shown.append((one.path, _shares(one.positions, classes)))
            continue
        target = targets[place[one.path]]
        one.save(target)
        rows.append((one.path, str(target), ""))
    failed = [(path, reason) for _, path, reason in unreadable] + [(name, why) for _, name, why in left_out]
    if out is None:
        _print(shown, failed)
        return
    import pandas as pd

    rows += [(path, "", reason) for path, reason in failed]
    write_table(pd.DataFrame(rows, columns=["path", "mask", "error"]), out / LIST)
    print_lines([str(out), *(f"{path} cannot be read: {reason}" for path, reason in failed)])


def _targets(files: Sequence[Path], given: Sequence[Path], out: Path) -> list[Path]:
    """Return the file of each image's mask."""
    if out.suffix.lower() in (".csv", ".parquet", ".jsonl", ".png") or out.is_file():
        raise PredictionsError(f"--out is {out}. Masks are PNG files: name a folder, such as --out masks.")
    targets = [out / _below(file, given).with_suffix(".png") for file in files]
    images: dict[Path, list[Path]] = {}
    for file, target in zip(files, targets, strict=True):
        images.setdefault(target, []).append(file)
    if twice := {target: of for target, of in images.items() if len(of) > 1}:
        beside = any(len({file.parent for file in of}) < len(of) for of in twice.values())
        remedy = "Rename images that differ in their ending alone" if beside else "Predict their folders one by one"
        raise PredictionsError(
            f"{len(twice)} masks would belong to several images: "
            f"{first_few([f'{target} to {first_few(list(map(str, of)))}' for target, of in twice.items()])}. {remedy}."
        )
    there = [str(one) for one in [*targets, out / LIST] if one.exists()]
    if there:
        raise PredictionsError(f"{len(there)} files are there already: {first_few(there)}. Name another folder.")
    return targets


def _below(file: Path, given: Sequence[Path]) -> PurePath:
    """Return the path of an image below the folder that was named; its name where it was named itself."""
    for folder in given:
        if Path(file) != folder and Path(file).is_relative_to(folder):
            return Path(file).relative_to(folder)
    return PurePath(Path(file).name)


def _shares(positions: object, classes: Sequence[str]) -> str:
    """Return the classes of a mask with their shares of its pixels, the largest first."""
    import numpy as np

    counts = np.bincount(np.asarray(positions).ravel(), minlength=len(classes))
    order = np.argsort(-counts, kind="stable")
    return ", ".join(f"{classes[one]} {counts[one] / counts.sum():.1%}" for one in order if counts[one])


def _print(shown: Sequence[tuple[str, str]], failed: Sequence[tuple[str, str]]) -> None:
    from tlkit.tables import Column, Table

    columns = (Column("path", "path"), Column("classes", "classes (share of the pixels)"))
    notes = tuple(f"{path} cannot be read: {reason}" for path, reason in failed)
    print_tables([Table("masks", "", columns, tuple(shown), notes=notes)])
