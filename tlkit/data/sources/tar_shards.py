"""Reads tar shards in WebDataset's format into a table of samples.

The format (webdataset/webdataset, `tariterators.base_plus_ext` and `group_by_keys`): members of a plain tar whose
paths agree up to the first dot of the file name are one sample. The rest of the name is the type of the member: `jpg`
or another image format, `cls` (the class), `json`, `txt`. Extensions are compared in lower case.
"""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from tlkit.data.decode.formats import EXTENSIONS
from tlkit.data.sources.folder import SPLIT_ALIASES
from tlkit.data.sources.tar_files import TarMember, list_members
from tlkit.errors import DataError, did_you_mean, first_few
from tlkit.samples import DIGEST, LABEL, PATH, SPLIT, Samples
from tlkit.spelling import text_of

logger = logging.getLogger(__name__)

KEY = re.compile(r"^((?:.*/|)[^.]+)[.]([^/]*)$")  # as in webdataset's base_plus_ext
REMOTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://|pipe:")
MOST_LABEL_BYTES = 2**20
MOST_SHARDS = 1_000_000
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
    sample has any of these, the folder of the image in the shard. The split is the first word of the shard's name, such
    as train, val or test (`train-000.tar`), else of its folder's name, else train.

    Args:
        patterns: shards, or patterns of them (see `expand_shards`).
        columns: group columns to take from the `.json` members; a missing key or null is a missing value.

    Raises:
        DataError: a shard is missing or damaged, or samples have no class, several images or an unreadable label; all
            problems at once.
    """
    shards = require_shards(patterns)
    absolute = any(shard.is_absolute() for shard in shards)
    paths = [shard.absolute() if absolute else Path(os.path.normpath(shard)) for shard in shards]
    root = Path(os.path.commonpath([path.parent for path in paths]))
    reader = _ShardReader(columns)
    for shard, path in zip(shards, paths, strict=True):
        reader.read(shard, path.relative_to(root).as_posix())
    reader.raise_any()
    table = pd.DataFrame(reader.rows, columns=[PATH, LABEL, SPLIT, *columns])
    if not len(table):
        raise DataError(f"{first_few(shards)} hold no images. The formats are {', '.join(sorted(EXTENSIONS))}.")
    if reader.without_label:
        table[LABEL] = _folders(table[PATH])
    table = table.sort_values(PATH).reset_index(drop=True).astype("str")
    table.insert(3, DIGEST, pd.Series([""] * len(table), dtype="str"))
    logger.info("%d images in %d shards below %s.", len(table), len(shards), root)
    return Samples(root, tuple(sorted(set(table[LABEL]))), table)


@dataclass
class _ShardReader:
    """Collects the rows and the problems of shards."""

    columns: Sequence[str]
    rows: list[tuple[str | None, ...]] = field(default_factory=list)
    without_label: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def read(self, shard: Path, name: str) -> None:
        try:
            members, skipped = list_members(shard)
        except DataError as error:
            self.problems += error.problems
            return
        if skipped:
            logger.warning("%s: skipped members (%d): %s.", shard, len(skipped), first_few(skipped))
        split = _split_of(name)
        several, wrong = [], []
        with shard.open("rb") as file:
            for parts in _samples(members):
                images = [member for extension, member in parts.items() if f".{extension}" in EXTENSIONS]
                if len(images) != 1:
                    several += [members[0].name for members in [images] if members]
                    continue
                facts = {
                    extension: os.pread(file.fileno(), member.size, member.offset)
                    for extension, member in parts.items()
                    if extension in ("cls", "json", "txt") and member.size <= MOST_LABEL_BYTES
                }
                path = f"{name}/{images[0].name}"
                try:
                    values = _json(facts)
                    label = _label(facts, values)
                    groups = [None if values.get(name) is None else text_of(values[name]) for name in self.columns]
                except ValueError as error:
                    wrong.append(f"{images[0].name} ({error})")
                    continue
                if label is None:
                    self.without_label.append(path)
                self.rows.append((path, label, split, *(text or None for text in groups)))
        if several:
            self.problems.append(f"{shard}: {len(several)} samples have several images: {first_few(several)}.")
        if wrong:
            self.problems.append(f"{shard}: {len(wrong)} labels cannot be read: {first_few(wrong)}.")

    def raise_any(self) -> None:
        without = self.without_label
        if without and len(without) < len(self.rows):
            self.problems.append(
                f"{len(without)} of {len(self.rows)} images have no class: {first_few(without)}. Give each a .cls "
                "member, or a .json member with a key 'label'."
            )
        if self.problems:
            raise DataError(*self.problems)


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


def _samples(members: Iterable[TarMember]) -> Iterator[dict[str, TarMember]]:
    """Yield the members of each sample by extension; members without an extension belong to no sample."""
    by_key: dict[str, dict[str, TarMember]] = {}
    for member in members:
        match = KEY.match(member.name)
        if match:
            by_key.setdefault(match.group(1), {})[match.group(2).lower()] = member
    yield from by_key.values()


def _split_of(name: str) -> str:
    for part in reversed(Path(name).parts):
        word = re.match(r"[A-Za-z]*", part)
        if word and word.group().lower() in SPLIT_ALIASES:
            return SPLIT_ALIASES[word.group().lower()]
    return "train"


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


def _folders(paths: pd.Series[str]) -> list[str]:
    """Return the name of each image's folder as its class."""
    folders = [os.path.dirname(re.split(r"\.tar/", path, maxsplit=1, flags=re.IGNORECASE)[-1]) for path in paths]  # noqa: PTH120
    loose = [path for path, folder in zip(paths, folders, strict=True) if not folder]
    if loose:
        raise DataError(
            f"{len(loose)} of {len(folders)} images have no class: {first_few(loose)}. Give each a .cls member, a "
            ".json member with a key 'label', or a folder in the shard with the name of its class."
        )
    logger.info("No sample of the shards states its class: the folder of an image is its class.")
    return [os.path.basename(folder) for folder in folders]  # noqa: PTH119
