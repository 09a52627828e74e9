"""Finds the metadata file of a folder of images, and what its columns are: groups, people or scenes, times."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pandas as pd

from tlkit.column_cuts import parse_cut
from tlkit.data.sources.delimited_files import read_table
from tlkit.data.sources.list_options import ListOptions
from tlkit.data.sources.metadata import TAKEN, add_metadata
from tlkit.errors import TlkitError
from tlkit.samples import PATH, Samples

Role = Literal["group", "numbers", "unit", "time", "left out"]

PATH_NAMES = ("path", "image", "file", "filename", "file_name", "image_path", "filepath")
"""Names that a column of paths may have."""
UNIT = re.compile(
    r"(^|_)(patient|subject|person|participant|donor|user|animal|specimen|case|lesion|slide|video|clip|scene|burst|"
    r"session|site_visit|individual|cow|plot)s?(_?id)?($|_)",
    re.IGNORECASE,
)
"""Names of columns whose values are people, animals or scenes of which there are several images."""
TIME = re.compile(r"(^|_)(date|time|datetime|timestamp|taken|acquired|recorded|year|month)(_|$)", re.IGNORECASE)
MOST_GROUPS = 20  # different values of a column of groups
LARGEST_FILE = 200_000_000  # bytes


@dataclass(frozen=True)
class MetadataColumn:
    """A column of a metadata file.

    Attributes:
        name: its name.
        role: group = few values, to compare; numbers = many numbers, to compare in quantiles; unit = people or scenes
            with several images; time = dates; left out = an identifier, or one value.
        values: number of different values among the images.
        missing: images without a value.
        example: one of its values.
    """

    name: str
    role: Role
    values: int
    missing: int
    example: str


@dataclass(frozen=True)
class MetadataSurvey:
    """The metadata file of a folder.

    Attributes:
        file: its name below the folder; "" = there is none.
        path_column: its column of paths.
        matched: images that it has a row for.
        columns: its columns, in their order.
        others: other tables of the folder, with why they are not used.
    """

    file: str = ""
    path_column: str = PATH
    matched: int = 0
    columns: tuple[MetadataColumn, ...] = ()
    others: tuple[tuple[str, str], ...] = ()

    def with_role(self, *roles: Role) -> list[MetadataColumn]:
        """Return the columns of some roles."""
        return [column for column in self.columns if column.role in roles]


def survey_metadata(samples: Samples, root: Path) -> MetadataSurvey:
    """Return the table at the top of a folder that has rows for most images, and the roles of its columns."""
    best, others = MetadataSurvey(), []
    for file in sorted(path for kind in ("*.csv", "*.parquet") for path in root.glob(kind) if path.is_file()):
        try:
            found = _survey(samples, file)
        except TlkitError as error:
            others.append((file.name, error.problems[0]))
            continue
        if found.matched > best.matched:
            if best.file:
                others.append((best.file, "has rows for fewer images"))
            best = found
        else:
            others.append((file.name, "has rows for fewer images"))
    return MetadataSurvey(best.file, best.path_column, best.matched, best.columns, tuple(others))


def _survey(samples: Samples, file: Path) -> MetadataSurvey:
    """Return what one file holds.

    Raises:
        TlkitError: it is no table of these images.
    """
    if file.stat().st_size > LARGEST_FILE:
        raise TlkitError(f"is larger than {LARGEST_FILE / 1e6:.0f} MB")
    header = read_table(file, columns=(), what="metadata file", optional=None)
    path_column = next((name for name in PATH_NAMES if name in header.columns), None)
    if path_column is None:
        raise TlkitError("has no column `path`")
    options = ListOptions(names={} if path_column == PATH else {PATH: path_column})
    names = [
        name for name in header.columns if name != path_column and name not in TAKEN and not name.startswith("proba_")
    ]
    joined = add_metadata(samples, file.resolve(), groups=names, options=options)
    groups = joined.table[names]
    known = groups.notna().any(axis=1) if names else pd.Series(False, index=joined.table.index)
    columns = tuple(_column(groups[name]) for name in names)
    return MetadataSurvey(file.name, path_column, int(known.sum()), columns)


def _column(values: pd.Series[str]) -> MetadataColumn:
    """Return the role of a column."""
    name, known = str(values.name), values.dropna()
    different, example = int(known.nunique()), str(known.iloc[0]) if len(known) else ""
    return MetadataColumn(name, _role(name, known, different), different, int(values.isna().sum()), example)


def _role(name: str, known: pd.Series[str], different: int) -> Role:
    if different < 2 or not _is_usable(name):
        return "left out"
    repeated = different <= len(known) / 2
    if UNIT.search(name):
        return "unit" if different < len(known) else "left out"
    if TIME.search(name) and _are_times(known):
        return "time"
    if different <= MOST_GROUPS and repeated:
        return "group"
    if pd.to_numeric(known, errors="coerce").notna().all() and not re.search(r"(^|_)id$", name, re.IGNORECASE):
        return "numbers"
    return "left out"


def _are_times(known: pd.Series[str]) -> bool:
    if pd.to_numeric(known, errors="coerce").notna().all():
        return True
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pandas warns that it guesses the format
        return bool(pd.to_datetime(known, errors="coerce", format="mixed").notna().all())


def _is_usable(name: str) -> bool:
    """Return whether a recipe takes the name of a column as it is: "age:bins=3" would be a column and a cut."""
    try:
        return parse_cut(name) is None
    except ValueError:
        return False


def names_of(columns: Sequence[MetadataColumn]) -> list[str]:
    """Return the names of columns."""
    return [column.name for column in columns]
