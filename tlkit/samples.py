"""`Samples`: the table of images, with path, label, split, digest and group columns. It holds no pixels."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from tlkit.csv_files import unquoted_table, write_csv
from tlkit.errors import DataError

PATH, LABEL, SPLIT, DIGEST = "path", "label", "split", "digest"
RESERVED_COLUMNS = (PATH, LABEL, SPLIT, DIGEST)
VOTES = "label_votes"
"""A column of the number of annotators by class, JSON, where training uses their shares; no group column."""
SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class Samples:
    """Images with their labels, splits and group columns.

    Labels are class names; integer targets are derived from `classes`, so a class that a split lacks does not change
    the targets of the others.

    Attributes:
        root: folder that the paths are relative to.
        classes: class names, sorted as torchvision sorts them (by code point); index = integer target.
        table: one row per image, index 0…N-1, columns `path` (relative to `root`, "/"-separated), `label` (class
            name), `split` (train, val or test), `digest` (sha256 of the file, hex; "" where unknown), then the group
            columns (strings, missing = NA), and where there are soft labels `label_votes`. Treat it as read-only.

    Example:
        >>> table = pd.DataFrame({"path": ["a.jpg", "b.jpg"], "label": ["dog", "cat"], "split": "train", "digest": ""})
        >>> Samples(Path("photos"), ("cat", "dog"), table).targets.tolist()
        [1, 0]
    """

    root: Path
    classes: tuple[str, ...]
    table: pd.DataFrame

    def __post_init__(self) -> None:
        missing = [name for name in RESERVED_COLUMNS if name not in self.table.columns]
        assert not missing, f"the table of samples lacks {missing}"
        unknown = sorted(set(self.table[LABEL]) - set(self.classes))
        assert not unknown, f"labels {unknown} are not among the classes"

    def __len__(self) -> int:
        return len(self.table)

    @property
    def group_columns(self) -> tuple[str, ...]:
        """Names of the group columns, in table order."""
        return tuple(name for name in self.table.columns if name not in (*RESERVED_COLUMNS, VOTES))

    @property
    def paths(self) -> npt.NDArray[np.str_]:
        """Relative paths, shape (N,)."""
        return self.table[PATH].to_numpy(dtype=str)

    @property
    def targets(self) -> npt.NDArray[np.int64]:
        """Integer targets, shape (N,), in 0…C-1: positions in `classes`."""
        return np.asarray(pd.Categorical(self.table[LABEL], categories=list(self.classes)).codes, dtype=np.int64)

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
        return Samples(self.root, self.classes, self.table.drop(columns=drop)) if drop else self

    def split(self, *names: str) -> Samples:
        """Return the samples of some splits, in table order; `classes` is unchanged."""
        return self.take(np.flatnonzero(self.table[SPLIT].isin(names)))

    def take(self, rows: Sequence[int] | npt.NDArray[np.integer]) -> Samples:
        """Return some of the rows, in the order given; `classes` is unchanged."""
        return Samples(self.root, self.classes, self.table.iloc[list(rows)].reset_index(drop=True))

    def counts(self) -> pd.DataFrame:
        """Return the number of images per class (rows) and split (columns)."""
        table = pd.crosstab(self.table[LABEL], self.table[SPLIT])
        return table.reindex(index=list(self.classes), columns=list(SPLITS), fill_value=0)

    def to_csv(self, path: Path) -> None:
        """Write the table as CSV, atomically; `from_csv` reads it back."""
        write_csv(path, self.table, quote_all=True)

    @classmethod
    def from_csv(cls, path: Path, *, root: Path, classes: Sequence[str] | None = None) -> Samples:
        """Return the samples that `to_csv` wrote.

        Args:
            path: the CSV file.
            root: folder that its paths are relative to.
            classes: class names in target order; default: the sorted labels of the file.

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
        names = tuple(classes) if classes is not None else tuple(sorted(set(table[LABEL])))
        foreign = sorted(set(table[LABEL]) - set(names))
        if foreign:
            raise DataError(f"{path} is damaged: {foreign[0]!r} is none of the classes. Restore it or fit again.")
        return cls(root, names, table)
