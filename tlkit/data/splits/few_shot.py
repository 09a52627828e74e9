"""Lists of images for few-shot training: the first k images of each class to train on, the same others to judge on."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from tlkit.csv_files import write_csv
from tlkit.data.sources.read_samples import Root, read_with_columns
from tlkit.errors import DataError, first_few
from tlkit.output_files import require_folder, require_folder_name
from tlkit.samples import LABEL, PATH, SPLIT, Samples

SHOTS = (1, 4, 16)
"""Training images of each class."""


def few_shot_lists(
    images: Root | Samples,
    folder: str | Path,
    *,
    shots: Sequence[int] = SHOTS,
    columns: Sequence[str] = (),
    seed: int = 0,
) -> dict[int, Path]:
    """Write a list of images `shots_K.csv` for each K into a folder; return the files by K.

    Each list has K training images of each class, those of a smaller K among them. They are drawn by a hash of the seed
    and the path, so the choice is the same on every machine and does not depend on other images. The test images are
    the same in all lists, so models of different K can be compared image by image: those of the split test where there
    is one, else all that no list trains on. There is no val: with so few images nothing is chosen by it. Paths are
    relative to the folder of the images, which a recipe names beside the list (`data.root`, `data.manifest`).

    Args:
        images: a folder of class folders, a list or shards, as for training; or samples.
        folder: folder to write to.
        shots: numbers of training images of each class, each at least 1.
        columns: group columns to keep in the lists.
        seed: of the choice.

    Raises:
        DataError: a class has too few images, or the images cannot be read.

    Example:
        >>> lists = few_shot_lists("photos", "lists", shots=[1, 4])
        >>> pd.read_csv(lists[4])["split"].value_counts().to_dict()
        {'test': 52, 'train': 8}
    """
    counts = sorted({count for count in shots if type(count) is int and count >= 1})
    if not counts or len(counts) < len(set(shots)):
        raise DataError(f"shots are {list(shots)}. Use whole numbers from 1, such as 1, 4 and 16.")
    require_folder_name(folder, name="folder")
    require_folder(folder, name="folder")
    samples = read_with_columns(images, columns=columns)
    held = (samples.table[SPLIT] == "test").to_numpy()
    order = [hashlib.sha256(f"{seed} {path}".encode()).hexdigest() for path in samples.paths]
    rank = pd.Series(order).where(~held).groupby(samples.table[LABEL].to_numpy()).rank(method="first").to_numpy()
    most, spare = counts[-1], 0 if held.any() else 1
    available = samples.table.loc[~held, LABEL].value_counts()
    short = [f"{name} ({available.get(name, 0)})" for name in samples.classes if available.get(name, 0) < most + spare]
    if short:
        raise DataError(
            f"{most} images of each class are to train{', and others to test' if spare else ''}, but these classes "
            f"have too few: {first_few(short)}. Use fewer shots, or add images."
        )
    taken = np.where(held, False, rank <= most)
    tested = held if held.any() else ~taken
    target, files = Path(folder), {}
    target.mkdir(parents=True, exist_ok=True)
    for count in counts:
        split = np.where(tested, "test", np.where(rank <= count, "train", ""))
        table = samples.table[[PATH, LABEL, *columns]].assign(**{SPLIT: split})
        files[count] = target / f"shots_{count}.csv"
        write_csv(files[count], table[table[SPLIT] != ""], verbatim=[PATH])
    return files
