"""`tlkit data`: sample datasets."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, cast

import typer

from tlkit.cli.output import print_lines

app = typer.Typer(help="Make sample datasets.", no_args_is_help=True)


@app.callback()
def group() -> None:
    """Make sample datasets."""


@app.command()
def sample(
    name: Annotated[str, typer.Argument(help="occupations or digits.")],
    dest: Annotated[Path, typer.Argument(help="Folder to make.")],
    skew: Annotated[str | None, typer.Option(help="occupations only: what the training images lack.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of the split.")] = 0,
) -> None:
    """Make a sample dataset from installed packages; no network is needed."""
    from tlkit.errors import DataError, did_you_mean

    match name:
        case "occupations":
            from tlkit.datasets.occupations import make_occupations

            card = make_occupations(dest, skew=cast(Any, skew), seed=seed)
        case "digits":
            if skew is not None:
                raise DataError("--skew is for occupations; the digits have no groups to skew.")
            from tlkit.datasets.digits import make_digits

            card = make_digits(dest, seed=seed)
        case _:
            known = ("occupations", "digits")
            raise DataError(f"There is no sample {name!r}.{did_you_mean(name, known)} Use {' or '.join(known)}.")
    print_lines([card.summary(), "", card.about, "", card.attribution])
