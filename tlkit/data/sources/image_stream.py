"""Streams the names of images from folders, tar shards, lists and files, without holding them all."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from tlkit.data.sources.entries import Entries, Entry
from tlkit.data.sources.image_files import NO_IMAGE, files_at, is_image_list, unread_images
from tlkit.data.sources.read_bytes import file_exists
from tlkit.data.sources.walk import walk_images
from tlkit.errors import DataError
from tlkit.parquet_tables import require_parquet_bounds
from tlkit.samples import PATH

ROWS = 4096


class StreamedImage(NamedTuple):
    """An image by its path, which may be "shard.tar/member"; `error` says why it cannot be read, "" = it may be."""

    path: str
    error: str = ""


def stream_images(sources: Sequence[str | Path], *, quiet: bool = False) -> Iterator[StreamedImage]:
    """Yield the images of each source in order; those in formats that are not read come last, with the reason.

    The order does not depend on the machine: folders are walked by name, tars and lists are read as they stand. A name
    that a list holds is not looked up, since a lookup of each of a million names is slow on a network file system.

    Args:
        sources: folders, plain tar files, single images, and lists: a .csv or .parquet file with a column `path`, or a
            .txt file with a path a line. Paths in a list are relative to its folder.
        quiet: do not log what is skipped.

    Raises:
        DataError: a source does not exist, is damaged, or holds no image.
    """
    require_sources(sources)
    left_out: list[Entry] = []
    for source in map(Path, sources):
        count, skipped = 0, []  # type: tuple[int, list[Entry]]
        for name in names_in(source, skipped):
            count += 1
            yield StreamedImage(name)
        if not count:
            raise DataError(f"{source} holds no image.")
        if not quiet:
            Entries(read=count, skipped=tuple(skipped)).log(source)
        left_out += unread_images(skipped)
    for entry in left_out:
        yield StreamedImage(entry.name, entry.reason or entry.kind)


def require_sources(sources: Sequence[str | Path]) -> None:
    """Check that sources exist.

    Raises:
        DataError: some do not, or none is named; all problems at once.
    """
    problems = [] if sources else [NO_IMAGE]
    problems += [
        f"{source} {'is no file' if source.exists() else 'does not exist'}."
        for source in map(Path, sources)
        if not (source.is_dir() or file_exists(str(source)))
    ]
    if problems:
        raise DataError(*problems)


def names_in(source: Path, skipped: list[Entry]) -> Iterator[str]:
    """Yield the paths of a source's images; what is skipped is appended, by its whole path."""
    if source.is_dir():
        inside: list[Entry] = []
        for name in walk_images(source, "", inside):
            yield str(source / name)
        skipped += [entry._replace(name=str(source / entry.name)) for entry in inside]
    elif is_image_list(source):
        for row, listed in enumerate(_listed(source), start=1):
            if not listed or "\0" in listed:
                raise DataError(f"{source}: the path in row {row} is empty or holds a null byte. Write it, or drop it.")
            yield str(source.parent / listed)
    else:
        files, entries = files_at(source)
        yield from map(str, files)
        skipped += entries.skipped


def _listed(file: Path) -> Iterator[str]:
    """Yield the paths in a list, in order.

    Raises:
        DataError: it is damaged, or has no column `path`.
    """
    try:
        if file.suffix.lower() == ".parquet":
            yield from _listed_in_parquet(file)
            return
        with file.open(encoding="utf-8-sig", newline=None if file.suffix.lower() == ".txt" else "") as stream:
            if file.suffix.lower() == ".txt":
                yield from (line for line in (line.rstrip("\n") for line in stream) if line.strip())
                return
            rows = csv.DictReader(stream, strict=True)
            if PATH not in (rows.fieldnames or ()):
                raise DataError(f"{file} has no column {PATH!r}. It has: {', '.join(rows.fieldnames or ()) or 'none'}.")
            for row in rows:
                yield row[PATH] or ""
    except (csv.Error, UnicodeDecodeError, pa.ArrowException, ValueError) as error:
        raise DataError(f"{file} cannot be read as a list of images ({error}). Write it again, as UTF-8.") from error


def _listed_in_parquet(file: Path) -> Iterator[str]:
    require_parquet_bounds(file)
    with pq.ParquetFile(file) as table:
        if PATH not in table.schema_arrow.names:
            raise DataError(f"{file} has no column {PATH!r}. It has: {', '.join(table.schema_arrow.names)}.")
        for batch in table.iter_batches(batch_size=ROWS, columns=[PATH]):
            yield from ("" if value is None else str(value) for value in batch.column(0).to_pylist())
