"""`tlkit features`: what the caches of features and of decoded images hold, and their pruning."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from tlkit.choices import IMAGE_CACHE_LIMIT_GB
from tlkit.cli.arguments import MOST, AsJson
from tlkit.cli.output import print_json, print_lines, print_tables
from tlkit.tables import format_bytes

app = typer.Typer(help="Show the caches of features and of decoded images, or make them smaller.", no_args_is_help=True)

MB = 1e6


class CacheName(StrEnum):
    """A cache of this machine."""

    FEATURES = "features"
    IMAGES = "images"


@app.command()
def info(json: AsJson = False) -> None:
    """Show where features and decoded images are cached, of which backbones, and their size."""
    from tlkit.data.loading.image_cache import ImageCache
    from tlkit.features.cache import FeatureCache
    from tlkit.features.cache_tables import cache_table, image_cache_table

    cache, images = FeatureCache(), ImageCache()
    if json:
        entries = [entry.to_dict() for entry in cache.info()]
        print_json({"folder": str(cache.folder), "entries": entries, "images": images.info().to_dict()})
        return
    print_tables([cache_table(cache), image_cache_table(images)])


@app.command()
def prune(
    to_mb: Annotated[
        float | None, typer.Option("--to-mb", min=0, max=MOST, help="Keep at most this many megabytes of each cache.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Remove all that is cached.")] = False,
    only: Annotated[CacheName | None, typer.Option("--only", help="Leave the other cache as it is.")] = None,
) -> None:
    """Remove the least recently used features and decoded images, until each cache is within its limit."""
    from tlkit.data.loading.image_cache import ImageCache
    from tlkit.features.cache import FeatureCache

    cache, images, lines = FeatureCache(), ImageCache(), []
    stated = 0 if everything else None if to_mb is None else int(to_mb * MB)
    if only is not CacheName.IMAGES:
        freed = cache.prune(limit_bytes=cache.limit_bytes if stated is None else stated)
        left = sum(entry.size_bytes for entry in cache.info())
        lines.append(f"freed {format_bytes(freed)} of features; {format_bytes(left)} are left in {cache.folder}")
    if only is not CacheName.FEATURES:
        freed = images.prune(int(IMAGE_CACHE_LIMIT_GB * 1e9) if stated is None else stated)
        left = images.info().size_bytes
        lines.append(f"freed {format_bytes(freed)} of images; {format_bytes(left)} are left in {images.folder}")
    print_lines(lines)
