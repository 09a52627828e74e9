"""`read_masks` and `read_mask_folders`: predicted masks beside the true ones, of tlkit or of any other tool."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import numpy as np
import pandas as pd

from tlkit.arrays import Ints
from tlkit.errors import PredictionsError, first_few
from tlkit.mask_classes import MaskClasses, UnusableMaskError
from tlkit.mask_files import Positions, read_mask
from tlkit.predictions.image_columns import ImageColumns
from tlkit.predictions.mask_predictions import PIXELS, MaskPredictions, PixelCounts
from tlkit.predictions.reading import open_table, paths_of, task_of
from tlkit.predictions.unreadable_rows import without_unreadable
from tlkit.predictions.validation import PATH

logger = logging.getLogger(__name__)

SUFFIX = ".png"


def read_masks(path: Path | str) -> MaskPredictions:
    """Return the counts of pixels in a Parquet file that `MaskPredictions.to_parquet` wrote.

    Raises:
        PredictionsError: the file cannot be read, is of another task or damaged, or another tool wrote it.

    Example:
        >>> import tempfile
        >>> mask = np.array([[0, 1]])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     found = MaskPredictions.build(classes=["a", "b"], path=["1.png"], masks=[(mask, mask)])
        ...     found.to_parquet(f"{folder}/m.parquet")
        ...     read_masks(f"{folder}/m.parquet")
        MaskPredictions(1 image, 2 classes, no groups)
    """
    file = Path(path)
    table, noted = open_table(file)
    if noted is None or task_of(noted) != "segmentation" or PIXELS not in table.columns:
        raise PredictionsError(
            f"{file} is no table of masks that tlkit wrote. Masks of another tool are read from two folders: "
            "`tlkit evaluate PREDICTED --task segmentation --truth MASKS --classes NAMES`; in Python, "
            "read_mask_folders."
        )
    table = without_unreadable(file, table, y_pred=PIXELS)
    classes = tuple(noted["classes"])
    used = {PATH, PIXELS}
    groups = table[[name for name in table.columns if name not in used]]
    images, problems = ImageColumns.checked(
        paths_of(file, table), groups, names=classes, source=str(file), verbatim=True
    )
    if problems:
        raise PredictionsError(*(f"{file}: {problem}" for problem in problems))
    return MaskPredictions(classes, images, _counts(file, table, len(classes)))


def _counts(file: Path, table: pd.DataFrame, classes: int) -> PixelCounts:
    """Return the counts in the column of a file."""
    try:
        rows = [[row, *map(int, cell)] for row, text in enumerate(table[PIXELS]) for cell in json.loads(text)]
        found: Ints = np.array(rows, dtype=np.int64).reshape(-1, 4)
    except (TypeError, ValueError) as error:
        raise PredictionsError(
            f"{file} is damaged: {PIXELS} is no list of counts ({error}). Write it again."
        ) from error
    true, predicted, pixels = found[:, 1:].T
    inside = (true >= 0) & (true < classes) & (predicted >= -1) & (predicted < classes) & (pixels > 0)
    if not inside.all():
        raise PredictionsError(f"{file} is damaged: {PIXELS} holds counts of no class. Write it again.")
    return PixelCounts.of_rows(found[np.lexsort((predicted, true, found[:, 0]))])


def read_mask_folders(predicted: Path | str, truth: Path | str, classes: MaskClasses) -> MaskPredictions:
    """Return the counts of pixels of a folder of predicted masks beside a folder of true ones.

    A predicted mask is the PNG file of the same path below its folder, whatever the case of the ending, and of the same
    size. The path of an image is that of its mask, without a folder above.

    Args:
        predicted: folder of predicted masks: palette indices, or gray levels of 8 or 16 bits.
        truth: folder of true masks.
        classes: the classes and their numbers in both.

    Raises:
        PredictionsError: a folder does not exist or has no PNG file, a true mask has no predicted one, a mask cannot be
                used or has another size, or holds values of no class; every kind with its first files and their number.

    Example:
        >>> import tempfile
        >>> from tlkit.mask_files import mask_png
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     for name, levels in (("true", [0, 0, 1]), ("called", [0, 1, 1])):
        ...         Path(folder, name).mkdir()
        ...         _ = Path(folder, name, "1.png").write_bytes(mask_png(np.array([levels], dtype=np.uint8)))
        ...     found = read_mask_folders(f"{folder}/called", f"{folder}/true", MaskClasses.of(["road", "car"]))
        >>> found.confusion.tolist()
        [[1, 1], [0, 1]]
    """
    folders = {"true": Path(truth), "predicted": Path(predicted)}
    files = {what: _files(folder, what) for what, folder in folders.items()}
    lacking = [name for name in files["true"] if name not in files["predicted"]]
    if lacking:
        raise PredictionsError(
            f"{len(lacking)} of {len(files['true'])} true masks in {folders['true']} have no predicted mask in "
            f"{folders['predicted']}: {first_few(lacking)}. A predicted mask is a PNG file of the same path below its "
            "folder. Predict them, or remove the true masks."
        )
    extra = [name for name in files["predicted"] if name not in files["true"]]
    if extra:
        logger.warning(
            "%d of %d predicted masks in %s have no true mask and are not judged: %s.",
            len(extra),
            len(files["predicted"]),
            folders["predicted"],
            first_few(extra),
        )
    wrong: dict[str, list[str]] = {}
    pairs = (_pair(files, name, classes, wrong) for name in files["true"])
    counts = MaskPredictions.build(
        classes=classes.names, path=list(files["true"]), masks=pairs, source=str(folders["predicted"]), verbatim=True
    )
    if wrong:
        raise PredictionsError(
            *(
                f"{len(named)} masks cannot be judged, since {reason}: {first_few(named)}. {_REMEDIES[reason]}"
                for reason, named in wrong.items()
            )
        )
    return counts


_SIZE, _VALUES, _FILE = "the sizes differ", "they hold values of no class", "the files cannot be used"
_REMEDIES = {
    _SIZE: "Write predicted masks in the size of the true ones, with nearest-neighbour scaling.",
    _VALUES: "State all classes in the order of their numbers from 0, or as name=number, and void: --classes, --void.",
    _FILE: "Masks are PNG files of palette indices, or of gray levels of 8 or 16 bits.",
}


def _files(folder: Path, what: str) -> dict[str, Path]:
    """Return the PNG files below a folder by their paths, sorted."""
    if not folder.is_dir():
        raise PredictionsError(f"The folder {folder} of {what} masks does not exist.")
    named = [file for file in sorted(folder.rglob("*")) if file.suffix.lower() == SUFFIX]
    found = {file.relative_to(folder).with_suffix(SUFFIX).as_posix(): file for file in named if file.is_file()}
    if others := [str(file) for file in named if not file.is_file() and not file.is_dir()]:
        logger.warning(
            "Entries in the folder of %s masks that are no files, such as broken links, and are not judged (%d): %s.",
            what,
            len(others),
            first_few(others),
        )
    if not found:
        raise PredictionsError(f"The folder {folder} of {what} masks holds no PNG file.")
    return found


def _pair(
    files: dict[str, dict[str, Path]], name: str, classes: MaskClasses, wrong: dict[str, list[str]]
) -> tuple[Positions, Positions]:
    """Return a pair of masks; where they cannot be judged, empty ones, and the problem is added."""
    found, reasons = [], []
    for what in ("true", "predicted"):
        try:
            numbers = read_mask(files[what][name].read_bytes())
        except (UnusableMaskError, OSError) as error:
            reasons.append((_FILE, f"{files[what][name]} ({getattr(error, 'reason', error)})"))
            continue
        try:
            found.append(classes.positions(numbers))
        except UnusableMaskError as error:
            reasons.append((_VALUES, f"{files[what][name]} ({error.reason})"))
    if not reasons and found[0].shape != found[1].shape:
        (tall, wide), (other_tall, other_wide) = found[0].shape, found[1].shape
        reasons.append((_SIZE, f"{name} (true {wide}x{tall}, predicted {other_wide}x{other_tall})"))
    for reason, text in reasons:
        wrong.setdefault(reason, []).append(text)
    empty = np.zeros((0, 0), dtype=np.int32)
    return (empty, empty) if reasons else (found[0], found[1])
