"""The table of leaks: images of later splits whose picture lies in an earlier split."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tlkit.tables import Column, Table

if TYPE_CHECKING:
    import pandas as pd


def leak_table(leaks: pd.DataFrame, *, title: str) -> Table:
    """Return a table with one row per leaked image: its duplicate and how the two are related.

    Args:
        leaks: columns `path`, `split`, `duplicate_of`, `duplicate_split` and `how`, as in `Leaks`.
        title: of the table.
    """
    labels = {"path": "image", "split": "split", "duplicate_of": "repeats", "duplicate_split": "of split", "how": "how"}
    columns = tuple(Column(name, label) for name, label in labels.items())
    return Table("leaks", title, columns, tuple(leaks[list(labels)].itertuples(index=False, name=None)))
