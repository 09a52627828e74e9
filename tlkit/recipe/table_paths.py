"""Checks that the files which a recipe names as tables are tables, where they exist; reads their first bytes alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from tlkit.errors import RecipeError

if TYPE_CHECKING:
    from tlkit.recipe.schema import Recipe

FIRST_BYTES = 4096
PARQUET = b"PAR1"


def require_tables(recipe: Recipe) -> None:
    """Check that what `data` names as a table is a file of text or Parquet; a file that is missing here is not judged.

    Raises:
        RecipeError: one is a folder that holds no Parquet table, a device, or a file such as an image; all at once.
    """
    data = recipe.data
    roots = [Path(root) for root in ((data.root,) if isinstance(data.root, str) else data.root) if root]
    labels = data.label_corrections
    named = {
        "data.metadata": (data.metadata, roots),
        "data.manifest": (data.manifest, []),
        "data.split": (data.split, []),
        "data.quarantine": (data.quarantine, []),
    }
    corrections = (labels,) if isinstance(labels, str) else labels
    places = [(key, text, below) for key, (text, below) in named.items() if text is not None]
    places += [("data.label_corrections", text, []) for text in corrections]
    problems = [problem for key, text, below in places for problem in _problems(key, text, below)]
    if problems:
        raise RecipeError(*problems)


def _problems(key: str, text: str, below: list[Path]) -> Iterator[str]:
    found = [path for path in (*(root / text for root in below), Path(text)) if path.exists()]
    path = next((path for path in found if path.is_file()), found[0] if found else None)
    if path is None:
        return
    if path.is_dir():
        from tlkit.parquet_tables import is_parquet_folder  # loads pyarrow

        if not is_parquet_folder(path):
            yield f"{key} is {text}, which is a folder. Name a CSV or Parquet file in it."
    elif not path.is_file():
        yield f"{key} is {text}, which is a pipe or a device. Name a CSV or Parquet file."
    else:
        with path.open("rb") as file:
            start = file.read(FIRST_BYTES)
        if b"\0" in start and not start.startswith(PARQUET):
            yield f"{key} is {text}, which is no table: its content is not text. Name a CSV (UTF-8) or Parquet file."
