"""`ImageColumns`: path and group columns of images, which the predictions of every task share."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from tlkit.errors import PredictionsError, first_few
from tlkit.predictions.joined_tables import Joinable, paths_in_table, read_joined, with_known_paths
from tlkit.predictions.validation import PATH, Strings, group_table, name_problems
from tlkit.spelling import match_paths

logger = logging.getLogger(__name__)

UNNAMED = re.compile(r"row \d+")
"""Path of an image in a file without a column of paths."""


def require_apart(val: Strings, test: Strings, *, purpose: str) -> None:
    """Check that no image of val is judged, in any spelling; rows without a path ("row 1") cannot be compared.

    Args:
        val: paths of val.
        test: paths of the images that are judged.
        purpose: what val is for, for the message.

    Raises:
        PredictionsError: some are in both.
    """
    both = sorted(match_paths(test.tolist(), val.tolist()))
    if both and all(UNNAMED.fullmatch(path) for path in both):
        logger.warning("The files have no column of paths, so nothing says whether images of val are judged.")
    elif both:
        raise PredictionsError(
            f"{len(both)} images are both in val, {purpose}, and among the judged: {first_few(both)}. The figures "
            "would be too good. Judge other images than those of val."
        )


@dataclass(frozen=True, eq=False)
class TableOfImages:
    """A table of groups, and perhaps labels, with the places of N images in it.

    Attributes:
        source: its name, for messages.
        columns: its columns, indexed by path. Treat it as read-only.
        paths: path of each image in the index, shape (N,); images that it lacks have one that is not there.
    """

    source: str
    columns: pd.DataFrame
    paths: Strings

    @property
    def has(self) -> npt.NDArray[np.bool_]:
        """Whether each image is in the table, shape (N,)."""
        return np.asarray(np.isin(self.paths, self.columns.index.to_numpy(dtype=str)))

    def of_images(self) -> pd.DataFrame:
        """Return the columns by image, rows 0…N-1; images that are not in the table have missing values."""
        return self.columns.reindex(self.paths).reset_index(drop=True)

    def without(self, names: Sequence[str], labelled: int) -> TableOfImages:
        """Return the table without columns that were taken as labels, and say so in the log."""
        logger.info("%s: %s labels %d of %d images.", self.source, first_few(list(names)), labelled, len(self.paths))
        return TableOfImages(self.source, self.columns.drop(columns=list(names)), self.paths)


@dataclass(frozen=True, eq=False)
class ImageColumns:
    """Path and group columns of N images.

    Attributes:
        path: path of each image, shape (N,), all different.
        groups: group columns, shape (N, G), rows 0…N-1, strings with NA for missing. Treat it as read-only.
    """

    path: Strings
    groups: pd.DataFrame

    @classmethod
    def checked(
        cls,
        path: Sequence[str] | Strings,
        groups: pd.DataFrame | None,
        *,
        names: Sequence[str],
        source: str,
        verbatim: bool,
    ) -> tuple[ImageColumns, list[str]]:
        """Return the columns and their problems.

        Args:
            path: N different paths.
            groups: group columns, N rows in the order of `path`.
            names: names of labels or grades, which are checked with the paths.
            source: name of the data, for messages.
            verbatim: keep group values as they are written.
        """
        paths = np.array([str(one) for one in path], dtype=str).reshape(-1)
        table, problems = group_table(groups, paths=paths, source=source, verbatim=verbatim)
        return cls(paths, table), [*name_problems(tuple(names), paths), *problems]

    def __len__(self) -> int:
        return len(self.path)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ImageColumns):
            return NotImplemented
        return np.array_equal(self.path, other.path) and self.groups.equals(other.groups)

    __hash__ = None  # type: ignore[assignment]  # arrays have no hash

    def take(self, rows: npt.NDArray[np.bool_] | npt.NDArray[np.integer]) -> ImageColumns:
        """Return some of the images."""
        return ImageColumns(self.path[rows], self.groups.loc[rows].reset_index(drop=True))

    def with_groups(self, table: Joinable, *, verbatim: bool = False) -> ImageColumns:
        """Return the images with group columns joined by path; images that are not in the table get missing values.

        Args:
            table: a CSV or Parquet file or a DataFrame with a column (or an index) `path` and one column per attribute.
            verbatim: keep values as they are written.

        Raises:
            PredictionsError: the table cannot be read, lacks `path`, repeats a path or has none of the paths.
        """
        return self.with_columns(self.join(table), verbatim=verbatim)

    def join(self, table: Joinable) -> TableOfImages:
        """Return a table whose rows are found by the paths of the images; those that it lacks are logged.

        Raises:
            PredictionsError: as for `with_groups`.
        """
        read = read_joined(table)
        columns = with_known_paths(read.columns, self.path, source=read.source)
        paths = paths_in_table(self.path, columns, source=read.source)
        if len(missing := self.path[~np.isin(paths, columns.index.to_numpy(dtype=str))]):
            logger.warning(
                "%s: %d of %d images are not in it, so their groups are missing: %s.",
                read.source,
                len(missing),
                len(self),
                first_few(missing.tolist()),
            )
        return TableOfImages(read.source, columns, paths)

    def with_columns(self, table: TableOfImages, *, verbatim: bool = False) -> ImageColumns:
        """Return the images with the columns of a table from `join` as groups.

        Raises:
            PredictionsError: a name or a value is none of a group.
        """
        columns, problems = group_table(table.columns, source=table.source, verbatim=verbatim)
        if problems:
            raise PredictionsError(*(f"{table.source}: {problem}" for problem in problems))
        joined = columns.reindex(table.paths).reset_index(drop=True)
        kept = self.groups.drop(columns=[name for name in joined.columns if name in self.groups.columns])
        return ImageColumns(self.path, pd.concat([kept, joined], axis=1))

    def table(self) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Return the column of paths and the group columns, for a table with the task's own columns between them."""
        return pd.DataFrame({PATH: pd.array(self.path.astype(object), dtype="string")}), self.groups
