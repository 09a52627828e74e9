"""Reads tar shards in WebDataset's format into a table of samples.

The members of a plain tar whose names agree but for the ending are one sample: an image, and its class as `cls`, `json`
or `txt`. `tar_samples` states what a key is. Endings are compared in lower case.
"""

from __future__ import annotations

import json
import logging
import math
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from tlkit.data.decode.formats import readable_endings
from tlkit.data.sources.entries import Entries, Entry, Survey
from tlkit.data.sources.shard_splits import split_of, warn_of_words
from tlkit.data.sources.tar_files import list_members
from tlkit.data.sources.tar_samples import TarImage, group_members, key_of
from tlkit.errors import DataError, did_you_mean, first_few
from tlkit.samples import DIGEST, LABEL, PATH, SPLIT, Samples
from tlkit.spelling import text_of, value_key

logger = logging.getLogger(__name__)

REMOTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://|pipe:")
IN_TAR = re.compile(r"\.tar/", flags=re.IGNORECASE)
MOST_LABEL_BYTES = 2**20
MOST_SHARDS = 1_000_000
MOST_KEYS = 1_000
"""Most keys of .json members that are kept to suggest one for a column."""
LABEL_NAMES = ("label", "cls", "class")
"""Keys of a .json member that hold the class, by precedence."""


def expand_shards(patterns: str | Sequence[str]) -> list[str]:
    """Return the paths of patterns such as "train-{000..003}.tar", in order.

    Braces hold a range of numbers, padded like its first number, or words between commas. `*` and `?` match files.

    Raises:
        DataError: no file matches a pattern with `*`, a range is wrong, or a path is repeated.

    Example:
        >>> expand_shards("{train,val}-{08..10}.tar")[:4]
        ['train-08.tar', 'train-09.tar', 'train-10.tar', 'val-08.tar']
    """
    found: list[str] = []
    problems = []
    for pattern in [patterns] if isinstance(patterns, str) else patterns:
        for text in _expand(pattern):
            if any(mark in text for mark in "*?"):
                folder, name = os.path.split(text)
                matches = sorted(str(path) for path in Path(folder or ".").glob(name))
                if not matches:
                    problems.append(f"No file matches {text}.")
                found += matches
            else:
                found.append(text)
    twice = sorted({path for path in found if found.count(path) > 1}) if len(set(found)) < len(found) else []
    if twice:
        problems.append(f"Shards are named twice: {first_few(twice)}.")
    if problems:
        raise DataError(*problems)
    return found


def read_shards(patterns: str | Sequence[str], *, columns: Sequence[str] = ()) -> Samples:
    """Return the samples of tar shards, sorted by path; images are not read.

    A path is that of the shard and the member's name in it: `train-000.tar/cat/0001.jpg`. The class is the text of the
    `.cls` member, else `label`, `cls` or `class` of the `.json` member, else the text of the `.txt` member; where no
    sample has any of these, the folder of the image in the shard. The split is that of the shard's name (see
    `split_of`), else train.

    Args:
        patterns: shards, or patterns of them (see `expand_shards`).
        columns: group columns to take from the `.json` members; a missing key, null or NaN is a missing value.

    Raises:
        DataError: a shard is missing or damaged, no sample has a column, or samples have no class, several images or an
            unreadable label; all problems at once.
    """
    survey = survey_shards(patterns, columns=columns)
    survey.entries.log("the shards")
    if survey.problems:
        raise DataError(*survey.problems)
    logger.info("%d images in the shards below %s.", len(survey.samples), survey.samples.root)
    return survey.samples


def survey_shards(patterns: str | Sequence[str], *, columns: Sequence[str] = ()) -> Survey:
    """Return the samples of tar shards with the errors that `read_shards` would raise.

    Args:
        patterns: shards, or patterns of them.
        columns: group columns to take from the `.json` members.

    Raises:
        DataError: a shard does not exist.
    """
    shards = require_shards(patterns)
    absolute = any(shard.is_absolute() for shard in shards)
    paths = [shard.absolute() if absolute else Path(os.path.normpath(shard)) for shard in shards]
    root = Path(os.path.commonpath([path.parent for path in paths]))
    names = [path.relative_to(root).as_posix() for path in paths]
    warn_of_words(names)
    reader = _ShardReader(columns)
    for shard, name in zip(shards, names, strict=True):
        reader.read(shard, name)
    reader.label_by_folder()
    reader.check_columns()
    reader.warn_of_two_classes()
    table = pd.DataFrame(reader.rows, columns=[PATH, LABEL, SPLIT, *columns])
    if not len(table) and not reader.problems:
        known = ", ".join(sorted(readable_endings()))
        unread = [entry for entry in reader.skipped if entry.kind == "unread-format"]
        more = f" Images in formats that are not read here: {first_few(unread)}." if unread else ""
        reader.problems.append(f"{first_few(shards)} hold no images. The formats are {known}.{more}")
    table = table.sort_values(PATH).reset_index(drop=True).astype("str")
    table.insert(3, DIGEST, pd.Series([""] * len(table), dtype="str"))
    samples = Samples(root, tuple(sorted(set(table[LABEL]))), table)
    entries = Entries(read=len(samples), companions=reader.companions, skipped=tuple(reader.skipped))
    return Survey(samples, entries, tuple(reader.problems), listed_in="shards")


@dataclass
class _ShardReader:
    """Collects the rows, the skipped members and the problems of shards."""

    columns: Sequence[str]
    rows: list[tuple[str | None, ...]] = field(default_factory=list)
    companions: int = 0
    skipped: list[Entry] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    keys: set[str] = field(default_factory=set)
    two_classes: list[str] = field(default_factory=list)

    def read(self, shard: Path, name: str) -> None:
        try:
            members, unusual = list_members(shard)
        except DataError as error:
            self.problems += error.problems
            self.skipped.append(Entry("cannot-open", name, error.problems[0]))
            return
        content = group_members(members, shard)
        self.companions += content.companions
        self.skipped += [entry._replace(name=f"{name}/{entry.name}") for entry in (*unusual, *content.skipped)]
        split = split_of(name) or "train"
        images = Counter(key_of(image.member) for image in content.images)
        several = {key for key, count in images.items() if count > 1}
        wrong: list[str] = []
        double: dict[str, str] = {}
        with shard.open("rb") as file:
            for image in content.images:
                path = f"{name}/{image.member.name}"
                if key_of(image.member) in several:
                    double.setdefault(key_of(image.member), image.member.name)
                    self.skipped.append(Entry("several-images", path, f"the key {key_of(image.member)}"))
                    continue
                try:
                    facts = _read_facts(file.fileno(), image)
                    values = _json(facts)
                    label = _label(facts, values)
                    if len(self.keys) < MOST_KEYS:
                        self.keys |= values.keys()
                    self.keys |= values.keys() & {*self.columns}
                    if "cls" in facts and _states_another(values, label):
                        self.two_classes.append(path)
                except ValueError as error:
                    wrong.append(f"{image.member.name} ({error})")
                    self.skipped.append(Entry("no-class", path, str(error)))
                    continue
                try:
                    groups = [self._group(values.get(column), column) for column in self.columns]
                except ValueError as error:
                    wrong.append(f"{image.member.name} ({error})")
                    self.skipped.append(Entry("wrong-row", path, str(error)))
                    continue
                self.rows.append((path, label, split, *groups))
        if double:
            self.problems.append(
                f"{shard}: {len(double)} samples have several images: {first_few(list(double.values()))}. Give each "
                "image a key of its own, or leave out those that are no input, such as masks."
            )
        if wrong:
            self.problems.append(f"{shard}: {len(wrong)} labels or columns cannot be read: {first_few(wrong)}.")

    @staticmethod
    def _group(value: object, column: str) -> str | None:
        """Return a value of a group column as text; None = missing."""
        try:
            missing = value is None or (isinstance(value, float) and math.isnan(value))
            return None if missing else text_of(value) or None
        except ValueError as error:
            raise ValueError(f"{column}: {error}") from error

    def check_columns(self) -> None:
        """Add a problem for each column that no sample has: its name is probably misspelled."""
        for name in self.columns if self.rows else ():
            if name not in self.keys:
                has = f"They have {first_few(sorted(self.keys))}." if self.keys else "No sample has a .json member."
                self.problems.append(
                    f"No sample of the shards has the key {name!r} in its .json member.{did_you_mean(name, self.keys)} "
                    f"{has} Name one of them, or a CSV file of columns: data.metadata."
                )

    def warn_of_two_classes(self) -> None:
        """Log the samples whose .cls and .json members state different classes."""
        if self.two_classes:
            logger.warning(
                "Samples whose .cls and .json members state different classes (%d): %s. That of .cls is taken.",
                len(self.two_classes),
                first_few(self.two_classes),
            )

    def label_by_folder(self) -> None:
        """Take the folder as the class where no image states its class; else skip the images without one."""
        without = [str(row[0]) for row in self.rows if row[1] is None]
        if not without:
            return
        by_folder = len(without) == len(self.rows)
        folders = {path: os.path.dirname(IN_TAR.split(path, maxsplit=1)[-1]) for path in without}  # noqa: PTH120
        lacking = [path for path in without if not by_folder or not folders[path]]
        if lacking:
            folder = ", or a folder in the shard with the name of its class" if by_folder else ""
            self.problems.append(
                f"{len(lacking)} of {len(self.rows)} images have no class: {first_few(lacking)}. Give each a .cls "
                f"member, or a .json member with a key 'label'{folder}."
            )
            self.skipped += [Entry("no-class", path) for path in lacking]
        lost = set(lacking)
        kept = [row for row in self.rows if row[0] not in lost]
        if by_folder:
            kept = [(row[0], os.path.basename(folders[str(row[0])]), *row[2:]) for row in kept]  # noqa: PTH119
            logger.info("No sample of the shards states its class: the folder of an image is its class.")
        self.rows = kept


def _read_facts(file: int, image: TarImage) -> dict[str, bytes]:
    """Return the content of the members that state an image's class.

    Raises:
        ValueError: one of them is too large.
    """
    large = [member for member in image.labels.values() if member.size > MOST_LABEL_BYTES]
    if large:
        raise ValueError(f"{large[0].name} has {large[0].size:,} bytes")
    return {kind: os.pread(file, member.size, member.offset) for kind, member in image.labels.items()}


def require_shards(patterns: str | Sequence[str]) -> list[Path]:
    """Return the paths of the shards, which exist.

    Raises:
        DataError: none is named, or some do not exist or are URLs.
    """
    named = expand_shards(patterns)
    if not named:
        raise DataError("No shards are named. Give paths or patterns, such as data/train-{000..009}.tar.")
    shards = [Path(text) for text in named]
    remote = [text for text in named if REMOTE.match(text)]
    if remote:
        raise DataError(
            f"{len(remote)} of {len(named)} shards are no paths: {first_few(remote)}. Shards are read as files: mount "
            "the storage that holds them as a folder, or copy them."
        )
    missing = [shard for shard in shards if not shard.exists()]
    if missing:
        folders = sorted({str(shard.parent) for shard in missing if not shard.parent.is_dir()})
        near = [] if folders or len(missing) < len(shards) else [entry.name for entry in missing[0].parent.iterdir()]
        why = f" There is no folder {first_few(folders)}: is its drive mounted?" if folders else ""
        raise DataError(
            f"{len(missing)} of {len(shards)} shards do not exist: {first_few(missing)}."
            f"{why or did_you_mean(missing[0].name, near)}"
        )
    return shards


def _expand(pattern: str) -> Iterator[str]:
    braces = re.search(r"\{([^{}]*)\}", pattern)
    if braces is None:
        yield pattern
        return
    inside = braces.group(1)
    span = re.fullmatch(r"(\d+)\.\.(\d+)", inside)
    if span:
        first, last = span.groups()
        if not int(first) <= int(last) < int(first) + MOST_SHARDS:
            raise DataError(f"{pattern} counts from {first} to {last}. Use a range that grows.")
        words: Iterable[str] = (f"{number:0{len(first)}d}" for number in range(int(first), int(last) + 1))
    elif "," in inside:
        words = inside.split(",")
    else:
        raise DataError(f"{pattern} has braces without a range or a choice. Write {{000..009}} or {{a,b}}.")
    for word in words:
        yield from _expand(pattern[: braces.start()] + word + pattern[braces.end() :])


def _states_another(values: dict[str, object], label: str | None) -> bool:
    """Return whether a .json member states another class than the label."""
    stated = next((values[name] for name in LABEL_NAMES if name in values), None)
    return stated is not None and label is not None and value_key(str(stated)) != value_key(label)


def _json(facts: dict[str, bytes]) -> dict[str, object]:
    if "json" not in facts:
        return {}
    try:
        values = json.loads(facts["json"])
    except (ValueError, RecursionError) as error:
        raise ValueError("its .json member is no JSON") from error
    if not isinstance(values, dict):
        raise ValueError("its .json member is no object")
    return values


def _label(facts: dict[str, bytes], values: dict[str, object]) -> str | None:
    """Return the class of a sample; None where no member states it."""
    given: object = None
    if "cls" in facts:
        given = facts["cls"].decode().strip()
    elif named := [values[name] for name in LABEL_NAMES if name in values]:
        given = named[0]
    elif "txt" in facts:
        given = facts["txt"].decode().strip()
    if given is None:
        return None
    if isinstance(given, bool) or not isinstance(given, str | int) or given == "" or "\n" in str(given):
        raise ValueError(f"the class is {str(given)[:30]!r}")
    return str(given)
