"""Counts by group for publication, with complementary suppression of small cells."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from tlkit.arrays import Ints, Mask
from tlkit.csv_files import write_csv
from tlkit.errors import TlkitError
from tlkit.output_files import require_writable

if TYPE_CHECKING:
    from tlkit.audit.audit_result import Audit, ColumnFacts

logger = logging.getLogger(__name__)


def require_export(path: Path | None, *, min_cell_size: int) -> None:
    """Check that `write_export` would succeed, before the audit; None = no export.

    Raises:
        TlkitError: the file exists or cannot be written, or `min_cell_size` is below 2.
    """
    if path is None:
        return
    if min_cell_size < 2:
        raise TlkitError(f"min_cell_size is {min_cell_size}. Use at least 2.")
    if path.exists():
        raise TlkitError(f"{path} exists. Remove it, or name another file.")
    require_writable({"The export": path})


def write_export(audit: Audit, path: Path, *, min_cell_size: int) -> pd.DataFrame:
    """Write the images and right predictions of every group of single columns as CSV; small cells are hidden.

    A cell of 1 to k − 1 images is hidden, and so is the number of right ones where right or wrong ones are 1 to k − 1.
    Where a hidden cell follows from the sum of a column's groups, which another column gives, the next smallest cells
    are hidden as well: at least two that hold k images or more, and of right and of wrong ones k or none
    (complementary suppression: Cox 1980, J. Am. Stat. Assoc. 75:377). Intersections and rates of single classes are
    left out, since hidden cells follow from their sums. Several exports of overlapping images are not protected
    against being combined.

    Args:
        audit: what to write.
        path: a new file.
        min_cell_size: the fewest images that a cell may show, at least 2.

    Returns:
        What was written: `by`, `group`, `images`, `right`; NA = hidden.

    Raises:
        TlkitError: the file exists or cannot be written, or `min_cell_size` is below 2.
    """
    require_export(path, min_cell_size=min_cell_size)
    frame = pd.concat([_table(one, min_cell_size) for one in audit.columns], ignore_index=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_csv(path, frame, missing="hidden")
    message = "Wrote %s: images and right predictions of %d groups, cells below %d hidden."
    logger.info(message, path, len(frame), min_cell_size)
    return frame


def _table(facts: ColumnFacts, k: int) -> pd.DataFrame:
    n, good = np.array(facts.images, dtype=np.int64), np.array(facts.right, dtype=np.int64)
    no_n = hidden_cells(n, (n > 0) & (n < k), k=k)
    bad = n - good
    few = ((good > 0) & (good < k)) | ((bad > 0) & (bad < k))
    no_good = hidden_cells(n, no_n | few, k=k, parts=(good, bad))
    return pd.DataFrame(
        {
            "by": facts.column,
            "group": list(facts.groups),
            "images": pd.array(n, dtype="Int64").copy(),
            "right": pd.array(good, dtype="Int64").copy(),
        }
    ).assign(images=lambda frame: frame["images"].mask(no_n), right=lambda frame: frame["right"].mask(no_good))


def hidden_cells(sizes: Ints, small: Mask, *, k: int, parts: Sequence[Ints] = ()) -> Mask:
    """Return which cells to hide so that no small one follows from the sum of all cells.

    Args:
        sizes: images of each cell, shape (G,).
        small: cells that must be hidden, shape (G,).
        k: the fewest images that the hidden cells must hold together.
        parts: components of the cells, each of shape (G,), such as right and wrong images: of each of them the hidden
            cells must hold k or none together.

    Returns:
        Shape (G,): none, or at least two cells that hold k images or more, or all that are not empty.
    """
    hidden = small.copy()
    if not hidden.any():
        return hidden
    for cell in np.argsort(sizes, kind="stable"):
        together = [int(part[hidden].sum()) for part in parts]
        if np.count_nonzero(hidden) >= 2 and sizes[hidden].sum() >= k and not any(0 < part < k for part in together):
            break
        if sizes[cell] > 0:
            hidden[cell] = True
    return hidden
