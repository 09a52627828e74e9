"""`tlkit features`: what the feature cache holds, and how to make it smaller."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tlkit.choices import HeadKind
from tlkit.cli.output import print_json, print_lines, print_tables, require_svg, write_svg
from tlkit.tables import format_bytes

app = typer.Typer(help="Learn from cached features, show them, or make the cache smaller.", no_args_is_help=True)

MB = 1e6


@app.command()
def info(json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False) -> None:
    """Say where features are cached, of which backbones, and how much they take."""
    from tlkit.features.cache import FeatureCache
    from tlkit.features.cache_tables import cache_table

    cache = FeatureCache()
    if json:
        print_json({"folder": str(cache.folder), "entries": [entry.to_dict() for entry in cache.info()]})
        return
    print_tables([cache_table(cache)])


@app.command()
def prune(
    to_mb: Annotated[float | None, typer.Option("--to-mb", min=0, help="Keep at most this many megabytes.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Remove all cached features.")] = False,
) -> None:
    """Remove the features that were used least recently, until the cache is within its limit."""
    from tlkit.features.cache import FeatureCache

    cache = FeatureCache()
    limit = 0 if everything else cache.limit_bytes if to_mb is None else int(to_mb * MB)
    freed = cache.prune(limit_bytes=limit)
    left = sum(entry.size_bytes for entry in cache.info())
    print_lines([f"freed {format_bytes(freed)}; {format_bytes(left)} are left in {cache.folder}"])


@app.command()
def curve(
    run: Annotated[Path, typer.Argument(help="A run directory, best of a frozen backbone.")],
    head: Annotated[HeadKind, typer.Option(help="Kind of the head.")] = "logistic",
    more: Annotated[int | None, typer.Option(min=1, help="How many images more to forecast for.")] = None,
    folds: Annotated[int, typer.Option(min=2, help="Folds in which the images are predicted.")] = 5,
    repeats: Annotated[int, typer.Option(min=1, help="How often to deal folds and subsets anew.")] = 3,
    plot: Annotated[Path | None, typer.Option(help="Draw the curve into this .svg file.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Measure accuracy against the number of training images, and say what more of them may bring."""
    from tlkit.analysis.run_analyses import learning_curve

    require_svg(plot)
    result = learning_curve(run, head=head, folds=folds, repeats=repeats)
    if plot is not None:
        from tlkit.render.plots import plot_curve

        write_svg(plot, lambda: plot_curve(result, more=more))
    if json:
        from tlkit.analysis.learning_curve_tables import gain_sentence

        wanted = result.default_more if more is None else more
        gain = {"more": wanted, "gain": result.gain(wanted).to_dict(), "sentence": gain_sentence(result, wanted)}
        print_json(result.to_dict() | {"forecast": gain})
        return
    print_tables(result.tables(more=more))
