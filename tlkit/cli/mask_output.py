"""Predicts masks and writes each as a PNG file of the size of its image."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from tlkit.cli.output import print_lines, print_tables, write_table
from tlkit.errors import DataError, PredictionsError, first_few

if TYPE_CHECKING:
    from tlkit.choices import PredictEngine
    from tlkit.data.sources.entries import Entry
    from tlkit.inference.batch.mask_note import MaskNote
    from tlkit.mask_files import PredictedMask
    from tlkit.predictions import Unreadable

logger = logging.getLogger(__name__)

LIST = "masks.csv"
"""Which mask belongs to which image, and which images have none."""


def is_mask_model(path: Path) -> bool:
    """Return whether a path is a run, a stored model or an exported file of segmentation."""
    from tlkit.exported.task_of_file import task_of_exported
    from tlkit.models.model_format import task_of_model

    if task_of_exported(path) == "segmentation":
        return True
    return path.is_dir() and any(task_of_model(folder) == "segmentation" for folder in (path / "model", path))


@dataclass(frozen=True)
class MaskModel:
    """A model of masks.

    Attributes:
        masks_of: yields the masks of images; `MaskPredictor.masks_of` or that of an exported file.
        classes: names of the classes.
        digest: returns the digest of the model's files.
        engine: what runs it.
        device: where it runs.
        batch_size: images of a batch; a mask has the same bits only beside the same images.
    """

    masks_of: Callable[..., Iterator[PredictedMask]]
    classes: Sequence[str]
    digest: Callable[[], str]
    engine: PredictEngine
    device: str
    batch_size: int


def predict_masks(
    model: MaskModel,
    files: Sequence[Path],
    given: Sequence[Path],
    out: Path | None,
    *,
    left_out: Sequence[Entry],
    progress: Callable[[int, int], None] | None,
) -> None:
    """Write the mask of each image into a folder, with a list of them; or print the shares of the classes.

    A mask is written whole, or not at all, and a note says which model makes those of the folder, of which images. What
    a process that was killed has written is not predicted again: a second start predicts the other batches, and the
    folder is then the same to the byte.

    Args:
        model: the model.
        files: the images.
        given: the paths that were named, below which the masks keep the paths of their images.
        out: the folder; None = print.
        left_out: images that cannot be opened.
        progress: called with (images predicted, images in all).

    Raises:
        PredictionsError: the output is no folder, holds other masks, or two images would have the same mask.
    """
    unreadable: list[Unreadable] = []
    if out is None:
        found = model.masks_of(files, progress=progress, on_unreadable=unreadable.append)
        shown = [(one.path, _shares(one.positions, model.classes)) for one in found]
        _print(shown, _failed(unreadable, left_out))
        return
    import pandas as pd

    from tlkit.inference.batch.mask_note import MaskNote

    if MaskNote.is_in(out):
        files, left_out = _without_masks(files, left_out, given=given, out=out)
    targets = _targets(files, given, out)
    note = MaskNote.of(
        files,
        [target.relative_to(out).as_posix() for target in targets],
        model=model.digest(),
        engine=model.engine,
        device=model.device,
    )
    done = _written(targets, out, note)
    _write_missing(model, files, targets, done, note=note, out=out, progress=progress, unreadable=unreadable)
    failed = _failed(unreadable, left_out)
    missing = {path for path, _ in failed}
    rows = [(str(file), str(target), "") for file, target in zip(files, targets, strict=True)]
    rows = [row for row in rows if row[0] not in missing] + [(path, "", reason) for path, reason in failed]
    write_table(pd.DataFrame(rows, columns=["path", "mask", "error"]), out / LIST)
    print_lines([str(out), *(f"{path} cannot be read: {reason}" for path, reason in failed)])


def _failed(unreadable: Sequence[Unreadable], left_out: Sequence[Entry]) -> list[tuple[str, str]]:
    """Return the images that have no mask, with the reasons."""
    return [(path, reason) for _, path, reason in unreadable] + [(name, why) for _, name, why in left_out]


def _without_masks(
    files: Sequence[Path], left_out: Sequence[Entry], *, given: Sequence[Path], out: Path
) -> tuple[Sequence[Path], Sequence[Entry]]:
    """Return the images, and those that cannot be opened, without masks of an earlier start below a folder of images.

    All stay where the folder of the masks is itself named, or something in it.
    """
    own = out.absolute()

    def is_mask(name: str | Path) -> bool:
        return Path(name).absolute().is_relative_to(own)

    if any(map(is_mask, given)):
        return files, left_out
    return [file for file in files if not is_mask(file)], [one for one in left_out if not is_mask(one.name)]


def _written(targets: Sequence[Path], out: Path, note: MaskNote) -> set[int]:
    """Return the rows whose masks are there already, from an earlier start with the same note.

    Raises:
        PredictionsError: the folder holds masks of another model, of other images, or without a note.
    """
    if note.is_in(out):
        note.require_same(out)
        return {row for row, target in enumerate(targets) if target.is_file()}
    there = [str(one) for one in [*targets, out / LIST] if one.exists()]
    if there:
        raise PredictionsError(f"{len(there)} files are there already: {first_few(there)}. Name another folder.")
    return set()


def _write_missing(
    model: MaskModel,
    files: Sequence[Path],
    targets: Sequence[Path],
    done: Collection[int],
    *,
    note: MaskNote,
    out: Path,
    progress: Callable[[int, int], None] | None,
    unreadable: list[Unreadable],
) -> None:
    """Predict the batches of which a mask is missing, and write those masks; unreadable images are added to a list."""
    batches = [range(start, len(files))[: model.batch_size] for start in range(0, len(files), model.batch_size)]
    left = [row for batch in batches if not all(row in done for row in batch) for row in batch]
    if not left:
        return
    skipped = len(files) - len(left)
    if skipped:
        logger.info("%s: %d of %d images are not predicted again; their masks are there.", out, skipped, len(files))

    def on_image(predicted: int, _: int) -> None:
        if progress is not None:
            progress(skipped + predicted, len(files))

    place = {str(files[row]): row for row in left}
    is_noted = note.is_in(out)
    try:
        for one in model.masks_of([files[row] for row in left], progress=on_image, on_unreadable=unreadable.append):
            if not is_noted:
                note.write(out)
                is_noted = True
            row = place[one.path]
            if row not in done:
                one.save(targets[row])
    except DataError:
        if not done or len(unreadable) < len(left):  # else only the images are left that cannot be read
            raise


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
