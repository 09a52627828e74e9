"""`Samples`: the table of images, with path, label, split, digest and group columns. It holds no pixels."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from tlkit.box_labels import boxes_in
from tlkit.choices import TrainedTask
from tlkit.csv_files import unquoted_table, write_csv
from tlkit.errors import DataError, other_task
from tlkit.label_texts import grades_in_order, is_number, label_names, names_in
from tlkit.mask_classes import MaskClasses

PATH, LABEL, SPLIT, DIGEST = "path", "label", "split", "digest"
RESERVED_COLUMNS = (PATH, LABEL, SPLIT, DIGEST)
VOTES = "label_votes"
"""A column of the number of annotators by class, JSON, where training uses their shares; no group column."""
PIXELS, MASK_DIGEST = "mask_pixels", "mask_digest"
"""Columns of the pixels of each class in an image's mask, JSON, and of the mask's sha256; no group columns."""
SPLITS = ("train", "val", "test")
STRATA = 10
"""Most strata of numbers, by quantiles."""
IMAGES_PER_STRATUM = 10
"""Fewest images of a stratum of numbers, on average, so that each can give its share to val and test."""


@dataclass(frozen=True)
class Samples:
    """Images with their labels, splits and group columns.

    Labels are class names; integer targets are derived from `classes`, so a class that a split lacks does not change
    the targets of the others. Of other tasks a label is the text of several names, "cat;dog" in the order of `classes`
    and "" for none of them (multilabel), of a number (regression), the name of a grade (ordinal), the path of a mask
    relative to `root` (segmentation), or boxes as `tlkit.box_labels` writes them (detection).

    Attributes:
        root: folder that the paths are relative to.
        classes: class or label names, sorted as torchvision sorts them (by code point); index = integer target; grades
            from the lowest on; empty for numbers.
        table: one row per image, index 0…N-1, columns `path` (relative to `root`, "/"-separated), `label` (class
            name), `split` (train, val or test), `digest` (sha256 of the file, hex; "" where unknown), then the group
            columns (strings, missing = NA), and where there are soft labels `label_votes`. Treat it as read-only.
        task: what a label says of an image.
        masks: the classes of pixels and their numbers in the files of masks; None for other tasks.

    Example:
        >>> table = pd.DataFrame({"path": ["a.jpg", "b.jpg"], "label": ["dog", "cat"], "split": "train", "digest": ""})
        >>> Samples(Path("photos"), ("cat", "dog"), table).targets.tolist()
        [1, 0]
    """

    root: Path
    classes: tuple[str, ...]
    table: pd.DataFrame
    task: TrainedTask = "multiclass"
    masks: MaskClasses | None = None

    def __post_init__(self) -> None:
        missing = [name for name in RESERVED_COLUMNS if name not in self.table.columns]
        assert not missing, f"the table of samples lacks {missing}"
        unknown = sorted(names_in(self.table[LABEL], self.task) - set(self.classes))
        assert not unknown, f"labels {unknown} are not among the classes"

    def __len__(self) -> int:
        return len(self.table)

    @property
    def group_columns(self) -> tuple[str, ...]:
        """Names of the group columns, in table order."""
        return tuple(name for name in self.table.columns if name not in _OWN_COLUMNS)

    @property
    def paths(self) -> npt.NDArray[np.str_]:
        """Relative paths, shape (N,)."""
        return self.table[PATH].to_numpy(dtype=str)

    @property
    def targets(self) -> npt.NDArray[np.int64]:
        """Integer targets, shape (N,), in 0…C-1: positions in `classes`.

        Raises:
            DataError: the images have several labels or numbers, so that none is their class.
        """
        if self.task in ("multilabel", "regression", "segmentation", "detection"):
            names = {"multilabel": "several labels", "regression": "numbers", "detection": "boxes"}
            what = names.get(self.task, "masks")
            raise DataError(other_task(f"The data with {what}", self.task))
        return np.asarray(pd.Categorical(self.table[LABEL], categories=list(self.classes)).codes, dtype=np.int64)

    @property
    def target_values(self) -> npt.NDArray[np.int64] | npt.NDArray[np.float32]:
        """What a network is trained on: `targets`; of several labels 1 and 0, shape (N, L); numbers, shape (N,).

        Masks are read with their images; here they are -1, shape (N,). Boxes that are no crowds are rows of class,
        left, top, right, bottom in pixels, shape (N, M, 5), with M the most of an image; others are -1.
        """
        if self.task == "detection":
            return self._box_targets
        if self.task == "segmentation":
            return np.full(len(self), -1, dtype=np.int64)
        if self.task == "multilabel":
            return self.label_matrix.astype(np.float32)
        if self.task == "regression":
            return np.asarray([float(text) for text in self.table[LABEL]], dtype=np.float32)
        return self.targets

    @property
    def target_scale(self) -> tuple[float, float] | None:
        """Mean and standard deviation of the training numbers; None where the labels are no numbers, or none train."""
        train = self.split("train") if self.task == "regression" else None
        if train is None or not len(train):
            return None
        values = train.target_values.astype(np.float64)
        return float(values.mean()), float(values.std())

    @property
    def label_matrix(self) -> npt.NDArray[np.int64]:
        """Which image has which of several labels, or shows which class of pixels, 1 or 0, shape (N, L)."""
        if self.task == "segmentation":
            return (self.pixel_counts > 0).astype(np.int64)
        if self.task == "detection":
            return self._shown_classes
        assert self.task == "multilabel", "only there an image has several labels"
        place = {name: column for column, name in enumerate(self.classes)}
        matrix = np.zeros((len(self), len(self.classes)), dtype=np.int64)
        for row, text in enumerate(self.table[LABEL]):
            matrix[row, [place[name] for name in label_names(text)]] = 1
        return matrix

    @property
    def _shown_classes(self) -> npt.NDArray[np.int64]:
        place = {name: column for column, name in enumerate(self.classes)}
        matrix = np.zeros((len(self), len(self.classes)), dtype=np.int64)
        for row, text in enumerate(self.table[LABEL]):
            matrix[row, [place[one.name] for one in boxes_in(text) if not one.crowd]] = 1
        return matrix

    @property
    def _box_targets(self) -> npt.NDArray[np.float32]:
        place = {name: column for column, name in enumerate(self.classes)}
        rows = [
            [(place[one.name], one.left, one.top, one.left + one.width, one.top + one.height) for one in boxes]
            for boxes in ([one for one in boxes_in(text) if not one.crowd] for text in self.table[LABEL])
        ]
        found = np.full((len(rows), max(map(len, rows), default=0), 5), -1, dtype=np.float32)
        for row, boxes in enumerate(rows):
            if boxes:
                found[row, : len(boxes)] = boxes
        return found

    @property
    def has_several(self) -> bool:
        """Whether an image has any number of labels, or classes of pixels or boxes, as `label_matrix` says."""
        return self.task in ("multilabel", "segmentation", "detection")

    @property
    def pixel_counts(self) -> npt.NDArray[np.int64]:
        """Pixels of each class in the masks, shape (N, C); 0 before the masks are checked."""
        if PIXELS not in self.table.columns:
            return np.zeros((len(self), len(self.classes)), dtype=np.int64)
        return np.array([json.loads(text) for text in self.table[PIXELS]], dtype=np.int64).reshape(
            len(self), len(self.classes)
        )

    @property
    def strata(self) -> npt.NDArray[np.int64]:
        """What a stratified split keeps in proportion, shape (N,): the class, or which quantile a number lies in."""
        if self.task != "regression":
            return self.targets
        count = max(1, min(STRATA, len(self) // IMAGES_PER_STRATUM))
        values = self.target_values
        cuts = np.quantile(values, np.arange(1, count) / count)
        return np.searchsorted(cuts, values, side="left").astype(np.int64)

    @property
    def label_shares(self) -> npt.NDArray[np.float32] | None:
        """The share of each image's annotators for each class, shape (N, C), rows sum to 1; None without soft labels.

        Where the label is not the one that most annotators gave, a person has decided since: its share is 1.
        """
        if VOTES not in self.table.columns:
            return None
        place = {name: column for column, name in enumerate(self.classes)}
        shares = np.zeros((len(self), len(self.classes)), dtype=np.float32)
        for row, (label, text) in enumerate(zip(self.table[LABEL], self.table[VOTES], strict=True)):
            votes: dict[str, int] = json.loads(text)
            decided = votes.get(label, 0) < max(votes.values()) or not votes.keys() <= place.keys()
            for name, count in ({label: 1} if decided else votes).items():
                shares[row, place[name]] = count
        normalized: npt.NDArray[np.float32] = shares / shares.sum(axis=1, keepdims=True)
        return normalized

    @property
    def groups(self) -> pd.DataFrame:
        """The group columns alone, shape (N, G), strings with NA for missing."""
        return self.table[list(self.group_columns)]

    def without_columns(self, names: Collection[str]) -> Samples:
        """Return the samples without these group columns."""
        drop = [name for name in self.group_columns if name in names]
        return self.with_table(self.table.drop(columns=drop)) if drop else self

    def with_table(self, table: pd.DataFrame) -> Samples:
        """Return other images of the same root, classes and task."""
        return replace(self, table=table)

    def split(self, *names: str) -> Samples:
        """Return the samples of some splits, in table order; `classes` is unchanged."""
        return self.take(np.flatnonzero(self.table[SPLIT].isin(names)))

    def take(self, rows: Sequence[int] | npt.NDArray[np.integer]) -> Samples:
        """Return some of the rows, in the order given; `classes` is unchanged."""
        return self.with_table(self.table.iloc[list(rows)].reset_index(drop=True))

    def split_sizes(self) -> dict[str, int]:
        """Return the number of images of each split: train, val, test."""
        found = self.table[SPLIT].value_counts()
        return {split: int(found.get(split, 0)) for split in SPLITS}

    def counts(self) -> pd.DataFrame:
        """Return the number of images per class or label (rows; none for numbers) and split (columns).

        An image with several labels, or classes of pixels, counts for each of them.
        """
        if self.task == "regression":
            return pd.DataFrame(columns=list(SPLITS), dtype=np.int64)
        if self.has_several:
            by_split = {split: self.label_matrix[self.table[SPLIT] == split].sum(axis=0) for split in SPLITS}
            return pd.DataFrame(by_split, index=list(self.classes))
        rows, columns = pd.Index(list(self.classes), name=LABEL), pd.Index(list(SPLITS), name=SPLIT)
        row, column = (names.get_indexer(pd.Index(self.table[names.name])) for names in (rows, columns))
        found = (row >= 0) & (column >= 0)
        cells = np.bincount(row[found] * len(columns) + column[found], minlength=len(rows) * len(columns))
        return pd.DataFrame(cells.reshape(len(rows), len(columns)), rows, columns)

    def to_csv(self, path: Path) -> None:
        """Write the table as CSV, atomically; `from_csv` reads it back."""
        write_csv(path, self.table, quote_all=True)

    @classmethod
    def from_csv(
        cls,
        path: Path,
        *,
        root: Path,
        classes: Sequence[str] | None = None,
        task: TrainedTask = "multiclass",
        masks: MaskClasses | None = None,
    ) -> Samples:
        """Return the samples that `to_csv` wrote.

        Args:
            path: the CSV file.
            root: folder that its paths are relative to.
            classes: class names in target order; default: the sorted labels of the file; grades by their numbers.
            task: what a label says of an image.
            masks: the classes of pixels, for segmentation.

        Raises:
            DataError: the file is missing or damaged, lacks a column, or has a label that is none of the classes.
        """
        if not path.is_file():
            raise DataError(f"{path} is missing, so the images of this run are not known. Fit it again.")
        try:
            table = pd.read_csv(path, dtype=str, keep_default_na=False, lineterminator="\n")
        except ValueError as error:  # no UTF-8, rows of different lengths, or no rows
            raise DataError(f"{path} is damaged ({error}). Restore it or fit again.") from error
        table = unquoted_table(table)
        missing = [name for name in RESERVED_COLUMNS if name not in table.columns]
        if missing:
            raise DataError(f"{path} has no column {', '.join(missing)}. It should be a split.csv that tlkit wrote.")
        unknown = sorted(set(table[SPLIT]) - set(SPLITS))
        if unknown or table[PATH].str.contains("\0", regex=False).any():
            what = f"{unknown[0]!r} is no split" if unknown else "a path holds a null byte"
            raise DataError(f"{path} is damaged: {what}. Restore it or fit again.")
        for name in table.columns:
            if name not in RESERVED_COLUMNS:
                table[name] = table[name].replace("", pd.NA)
        if task == "regression" and (wrong := sorted(text for text in set(table[LABEL]) if not is_number(text))):
            raise DataError(f"{path} is damaged: the label {wrong[0]!r} is no number. Restore it or fit again.")
        try:
            found = names_in(table[LABEL], task)
        except (ValueError, TypeError, RecursionError) as error:  # of boxes
            raise DataError(
                f"{path} is damaged: a label is no list of boxes ({error}). Restore it or fit again."
            ) from error
        names = tuple(classes) if classes is not None else tuple(sorted(found))
        if task == "ordinal" and not classes:
            names = grades_in_order(found, where=str(path))
        foreign = sorted(found - set(names))
        if foreign:
            raise DataError(f"{path} is damaged: {foreign[0]!r} is none of the classes. Restore it or fit again.")
        return cls(root, names if masks is None else masks.names, table, task, masks)


_OWN_COLUMNS = (*RESERVED_COLUMNS, VOTES, PIXELS, MASK_DIGEST)


def target_numbers(samples: Samples, classes: Sequence[str]) -> npt.NDArray[np.int64] | npt.NDArray[np.float64]:
    """Return the truth of images as a model of another task counts it.

    Args:
        samples: images with several labels, grades or numbers.
        classes: labels or grades of the model, in its order; none for numbers.

    Returns:
        Of several labels 1 and 0, shape (N, L), where a label that the samples lack is on none of them; of grades their
        positions, and numbers, shape (N,).
    """
    if samples.task == "multilabel":
        place = [samples.classes.index(name) if name in samples.classes else -1 for name in classes]
        return np.pad(samples.label_matrix, ((0, 0), (0, 1)))[:, place]
    if samples.task == "regression":
        return np.array([float(text) for text in samples.table[LABEL]])
    return np.array([classes.index(name) for name in samples.table[LABEL]], dtype=np.float64)
