"""Tables of predictions from a few lists or counts."""

from __future__ import annotations

from typing import Any

import pandas as pd

from tlkit.predictions import Predictions


def predictions_of(
    y_true: Any, y_pred: Any = None, *, classes: Any = ("no", "yes"), proba: Any = None, path: Any = None, **groups: Any
) -> Predictions:
    """Return predictions with group columns; a text stands for one letter an image, in groups "." for missing."""
    truth, guess = (list(map(int, one)) if isinstance(one, str) else one for one in (y_true, y_pred))
    columns = {
        name: [None if one == "." else one for one in values] if isinstance(values, str) else list(values)
        for name, values in groups.items()
    }
    return Predictions.build(
        classes=list(classes),
        path=[f"{i}.png" for i in range(len(truth))] if path is None else path,
        y_true=truth,
        y_pred=guess,
        proba=proba,
        groups=pd.DataFrame(columns) if columns else None,
    )


def counted(column: str = "g", **groups: tuple[int, int]) -> Predictions:
    """Return predictions from {group: (correct, images)}; the true class is always "no"; "missing" has no group."""
    names = [None if name == "missing" else name for name, (_, n) in groups.items() for _ in range(n)]
    wrong = [int(i >= k) for k, n in groups.values() for i in range(n)]
    return predictions_of([0] * len(names), wrong, **{column: names})
