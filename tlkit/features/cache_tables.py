"""The tables of the caches: backbone, engine, images and size of each entry, and the decoded images."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from tlkit.tables import Cell, Column, Table, format_bytes

if TYPE_CHECKING:
    from tlkit.data.loading.image_cache import ImageCache
    from tlkit.features.cache import CacheEntryInfo, FeatureCache


def cache_table(cache: FeatureCache) -> Table:
    """Return one row for each entry of the cache; the title gives its folder, size and limit."""
    entries = cache.info()
    taken = format_bytes(sum(entry.size_bytes for entry in entries))
    return Table(
        name="cache",
        title=f"{cache.folder}: {taken} of at most {format_bytes(cache.limit_bytes)}",
        columns=(
            Column("backbone", "backbone"),
            Column("weights", "weights", "word"),
            Column("pixels", "pixels"),
            Column("engine", "engine"),
            Column("images", "images", "count"),
            Column("size", "size", "bytes"),
            Column("used", "last used", "time"),
        ),
        rows=tuple(map(_row, entries)),
    )


def image_cache_table(cache: ImageCache) -> Table:
    """Return one row for the decoded images; the title gives their folder."""
    info = cache.info()
    last = datetime.fromtimestamp(info.used_at) if info.used_at else None
    return Table(
        name="image_cache",
        title=f"{cache.folder}: decoded images (data.image_cache), at most data.image_cache_limit_gb",
        columns=(
            Column("images", "images", "count"),
            Column("size", "size", "bytes"),
            Column("used", "last used", "time"),
        ),
        rows=((info.images, info.size_bytes, last),),
    )


def _row(entry: CacheEntryInfo) -> tuple[Cell, ...]:
    by = entry.made_by
    size = "x".join(map(str, by.preprocess.image_size))
    return (
        f"{by.architecture} {by.options}".rstrip(),
        by.weights[:8],
        size if by.view is None else f"{size}, view {by.view.number}",
        f"{by.engine} {by.dtype}",
        entry.images,
        entry.size_bytes,
        datetime.fromtimestamp(entry.used_at) if entry.used_at else None,
    )
