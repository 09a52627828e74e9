"""`tlkit features`: the content of the feature cache, and its pruning."""

from __future__ import annotations

from typing import Annotated

import typer

from tlkit.cli.arguments import MOST, AsJson
from tlkit.cli.output import print_json, print_lines, print_tables
from tlkit.tables import format_bytes

app = typer.Typer(help="Show the cache of features, or make it smaller.", no_args_is_help=True)

MB = 1e6


@app.command()
def info(json: AsJson = False) -> None:
    """Show where features are cached, of which backbones, and their size."""
    from tlkit.features.cache import FeatureCache
    from tlkit.features.cache_tables import cache_table

    cache = FeatureCache()
    if json:
        print_json({"folder": str(cache.folder), "entries": [entry.to_dict() for entry in cache.info()]})
        return
    print_tables([cache_table(cache)])


@app.command()
def prune(
    to_mb: Annotated[
        float | None, typer.Option("--to-mb", min=0, max=MOST, help="Keep at most this many megabytes.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Remove all cached features.")] = False,
) -> None:
    """Remove the least recently used features, until the cache is within its limit."""
    from tlkit.features.cache import FeatureCache

    cache = FeatureCache()
    limit = 0 if everything else cache.limit_bytes if to_mb is None else int(to_mb * MB)
    freed = cache.prune(limit_bytes=limit)
    left = sum(entry.size_bytes for entry in cache.info())
    print_lines([f"freed {format_bytes(freed)}; {format_bytes(left)} are left in {cache.folder}"])
