"""Tables, images and charts of Weights & Biases."""

from __future__ import annotations

import io
import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import wandb

from tlkit.tracking.sampled_rows import confusion_cells, prediction_rows

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd

logger = logging.getLogger(__name__)

CHART_CLASSES = 100  # W&B's confusion chart silently drops further classes


def image_table(table: pd.DataFrame, images: Mapping[str, bytes]) -> Any:
    """Return a W&B Table of predictions with their images in the first column; rows without an image are left out."""
    from PIL import Image

    rows = prediction_rows(table[table["path"].isin(list(images))], limit=len(images), tool="W&B")
    found = wandb.Table(columns=["image", *rows.columns])
    for row in rows.itertuples(index=False):
        path = str(row.path)
        with Image.open(io.BytesIO(images[path])) as image:
            found.add_data(wandb.Image(image.convert("RGB"), file_type="jpg"), *row)
    return found


def curve_chart(table: pd.DataFrame, *, name: str, x: str, y: str) -> Any:
    """Return a W&B line chart with one line for each value of the column `series`."""
    series = list(dict.fromkeys(table["series"]))
    lines = [table[table["series"] == one] for one in series]
    return wandb.plot.line_series(
        xs=[list(map(float, line[x])) for line in lines],
        ys=[list(map(float, line[y])) for line in lines],
        keys=[f"{one}: {y}" for one in series],
        title=name,
        xname=x,
    )


def confusion_chart(matrix: npt.NDArray[np.int64], classes: Sequence[str], *, name: str) -> Any:
    """Return W&B's confusion chart, or above 100 classes a table of the non-zero cells.

    `wandb.plot.confusion_matrix` needs one row per image, not counts.
    """
    as_chart = len(classes) <= CHART_CLASSES
    cells = confusion_cells(matrix, classes, zeros=as_chart)
    rows = cells.to_numpy(dtype=object).tolist()
    if not as_chart:
        limit = f"W&B's confusion chart has at most {CHART_CLASSES} classes"
        logger.info("%s: %s is a table of the %d non-zero cells of %d.", limit, name, len(cells), len(classes))
        return wandb.Table(columns=list(cells.columns), data=rows)
    columns = ["Actual", "Predicted", "nPredictions"]
    return wandb.plot_table(
        vega_spec_name="wandb/confusion_matrix/v1",
        data_table=wandb.Table(columns=columns, data=rows),
        fields={column: column for column in columns},
        string_fields={"title": "Confusion matrix"},
    )
