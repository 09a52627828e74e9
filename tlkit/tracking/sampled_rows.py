"""Tables as every tracker records them: predictions without group columns, cells of a confusion matrix."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tlkit.tracking.tracker import PREDICTION_COLUMNS

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd

logger = logging.getLogger(__name__)


def prediction_rows(table: pd.DataFrame, *, limit: int, tool: str) -> pd.DataFrame:
    """Return the columns path, true, predicted, confidence and correct; of more than `limit` rows evenly spaced ones.

    Raises:
        ValueError: a column is missing.
    """
    missing = [column for column in PREDICTION_COLUMNS if column not in table.columns]
    if missing:
        raise ValueError(f"the table of predictions has no column {', '.join(missing)}")
    rows = table[list(PREDICTION_COLUMNS)]
    if len(rows) > limit:
        logger.info("Recording %d of %d predictions in %s, evenly spaced.", limit, len(rows), tool)
        rows = rows.iloc[[index * len(rows) // limit for index in range(limit)]]
    return rows.reset_index(drop=True)


def confusion_cells(matrix: npt.NDArray[np.int64], classes: Sequence[str], *, zeros: bool) -> pd.DataFrame:
    """Return the cells of a confusion matrix with the columns true, predicted and images; `zeros` keeps empty cells."""
    import pandas as pd

    cells = [
        (true, predicted, int(matrix[row, column]))
        for row, true in enumerate(classes)
        for column, predicted in enumerate(classes)
        if zeros or matrix[row, column]
    ]
    return pd.DataFrame(cells, columns=["true", "predicted", "images"])
