"""The images that a command names: folders, a list with its folder and columns, or shards."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tlkit.choices import Annotations
from tlkit.errors import DataError


def list_source(
    root: Sequence[str], *, folder: Path | None, columns: Sequence[str] | None, annotations: Annotations
) -> dict[str, Any]:
    """Return the arguments `root`, `manifest` and `options` of the functions that read images.

    Args:
        root: what the command line names.
        folder: folder of the paths of a list.
        columns: texts such as "path=image".
        annotations: what several rows of one image are.

    Raises:
        DataError: a text is no mapping, or there is no list for these options.
    """
    from tlkit.data.sources.list_options import ListOptions
    from tlkit.data.sources.read_samples import is_list

    options = ListOptions(names=list_columns(columns), annotations=annotations)
    if folder is None and not columns and annotations == "one":
        return {"root": root, "options": options}
    if len(root) != 1 or not is_list(root[0]):
        given = "--root" if folder is not None else "--column" if columns else "--annotations"
        raise DataError(f"{given} is for a list of images, a CSV or Parquet file; the images are {', '.join(root)}.")
    return {"root": () if folder is None else folder, "manifest": root[0], "options": options}


def list_columns(texts: Sequence[str] | None) -> dict[str, str]:
    """Return the names of columns that the option --column states.

    Args:
        texts: such as "path=image".

    Raises:
        DataError: a text is no mapping.
    """
    names = [text.partition("=")[::2] for text in texts or ()]
    wrong = [text for text, (name, theirs) in zip(texts or (), names, strict=True) if not (name and theirs)]
    if wrong:
        raise DataError(f"--column is {wrong[0]!r}. Write it like --column path=image.")
    return dict(names)
