"""Rows for images that could not be read: a path and the reason in the column `error`, and no prediction."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from tlkit.errors import PredictionsError, first_few
from tlkit.predictions.unreadable import ERROR, Unreadable
from tlkit.predictions.validation import PATH, PROBA_PREFIX, as_text

logger = logging.getLogger(__name__)


def with_unreadable(table: pd.DataFrame, unreadable: Sequence[Unreadable]) -> pd.DataFrame:
    """Return a table of predictions with a column `error`, and a row for each unreadable image at its place."""
    failed = {one.row for one in unreadable}
    places = range(len(table) + len(unreadable))
    whole = table.set_axis([row for row in places if row not in failed]).reindex(places)
    whole[ERROR] = pd.array([pd.NA] * len(whole), dtype="string")
    for row, path, reason in unreadable:
        whole.loc[row, [PATH, ERROR]] = [path, reason]
    return whole


def without_unreadable(file: Path, table: pd.DataFrame, *, y_pred: str) -> pd.DataFrame:
    """Return a table of predictions without the rows of `with_unreadable`; their number is logged.

    Only a column `error` whose text stands in rows without a prediction is taken for one of `with_unreadable`; every
    other one is a group column.
    """
    if ERROR not in table.columns:
        return table
    predicted = np.zeros(len(table), dtype=np.bool_)
    for name in table.columns:
        if name == y_pred or name.startswith(PROBA_PREFIX):
            predicted |= as_text(table[name]).notna().to_numpy()
    failed = as_text(table[ERROR]).notna().to_numpy()
    if (failed & predicted).any():
        return table
    if failed.all():
        named = first_few(as_text(table[PATH]).fillna("").tolist()) if PATH in table.columns else "none has a path"
        raise PredictionsError(
            f"{file}: no image has a prediction, since none of the {len(table)} could be read: {named}. The column "
            f"{ERROR!r} says why."
        )
    if failed.any():
        names = table[PATH][failed].astype(str).tolist() if PATH in table.columns else []
        logger.warning(
            "%s: %d of %d images could not be read and have no prediction; they are left out%s.",
            file,
            int(failed.sum()),
            len(table),
            f": {first_few(names)}" if names else "",
        )
    return table[~failed].drop(columns=ERROR).reset_index(drop=True)
