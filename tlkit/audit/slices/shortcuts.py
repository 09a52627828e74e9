"""Shortcut test: cross-validated accuracy of the classes predicted from columns alone, with permutation p-values.

Where it is high, a model can learn the columns instead of the objects: snow for wolves, a ruler for melanoma.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from tlkit.arrays import Floats, Ints
from tlkit.audit.group_tables import MISSING
from tlkit.audit.slices.slice_conditions import MOST_VALUES, measured_numbers
from tlkit.audit.slices.slice_report import Shortcut
from tlkit.audit.slices.split_half import unit_ranks
from tlkit.choices import FOLDS
from tlkit.predictions import Predictions
from tlkit.stats.corrections import holm
from tlkit.stats.intervals import wilson

DRAWS = 500
FEWEST, MOST = 50, 5_000
"""Fewest images for a test, and the most that are used, chosen by the rank of a hash."""
QUANTILES = np.arange(1, 5) / 5
RIDGE = 1.0
SCORE_DECIMALS = 9
BATCH_SIZE = 4_000_000  # floats a batch


def find_shortcuts(
    known: Predictions, table: pd.DataFrame, units: Ints, *, confidence: float, seed: int
) -> tuple[Shortcut, ...]:
    """Return the accuracy of predicting the classes from columns: all together first, then each, highest first.

    Features are numbers, their fifths, and indicators of other columns' values. A linear classifier (ridge regression
    onto the classes' indicators: Hastie, Tibshirani & Friedman 2009, The Elements of Statistical Learning, section 4.2)
    predicts each of five folds from the other four. It is linear in the labels, so it is refitted for each of 500
    permutations of them: a permutation test of the whole procedure (Ojala & Garriga 2010, JMLR 11:1833, test 1). Only
    the first image of each unit is used.

    Args:
        known: labelled images.
        table: columns, one row per image.
        units: unit of each image, shape (N,).
        confidence: two-sided level of the intervals, in (0, 1).
        seed: of the permutations.

    Returns:
        Empty with fewer than 50 units, fewer than two classes, or columns that do not vary.
    """
    rank = unit_ranks(known.path.tolist(), units)
    order = np.lexsort((known.path, rank))
    _, first = np.unique(units[order], return_index=True)
    rows = order[np.sort(first)][:MOST]  # one image per unit, in the order of the hash
    y = np.unique(known.y_true[rows], return_inverse=True)[1]
    if len(rows) < FEWEST or y.max() < 1:
        return ()
    parts = {str(name): _design(table[name].iloc[rows]) for name in table.columns}
    parts = {name: part for name, part in parts.items() if part.shape[1]}
    if not parts:
        return ()
    rng = np.random.default_rng(seed)
    labels = np.stack([y, *(rng.permutation(y) for _ in range(DRAWS))])  # (1 + draws, N)
    base = float(np.bincount(y).max() / len(y))
    designs = {"": np.concatenate(list(parts.values()), axis=1), **parts}
    hits = {name: _hits(design, labels) for name, design in designs.items()}
    p = {name: float((1 + (one[1:] >= one[0]).sum()) / (1 + DRAWS)) for name, one in hits.items()}
    alone = dict(zip(parts, holm([p[name] for name in parts]), strict=True))
    found = [
        Shortcut(name, wilson(int(hits[name][0]), len(y), confidence), base, p[name], float(alone.get(name) or p[name]))
        for name in hits
    ]
    return (found[0], *sorted(found[1:], key=lambda one: -(one.accuracy.value or 0.0)))


def _design(column: pd.Series[str]) -> Floats:
    """Return the design matrix of a column, shape (N, D); D = 0 where it does not vary."""
    values = measured_numbers(column)
    if values is not None:
        known = ~np.isnan(values)
        standardized = np.where(known, (values - values[known].mean()) / (values[known].std() or 1.0), 0.0)
        fifth = np.where(known, np.searchsorted(np.unique(np.quantile(values[known], QUANTILES)), values), -1)
        return np.column_stack([standardized, *(fifth == one for one in np.unique(fifth))])
    text = column.astype("string").fillna(MISSING)
    names = text.unique()
    if not 2 <= len(names) <= MOST_VALUES:
        return np.empty((len(column), 0))
    return np.column_stack([(text == name).to_numpy(dtype=np.float64) for name in names])


def _hits(design: Floats, labels: Ints) -> Ints:
    """Return the cross-validated number of right predictions for each permutation of the labels, shape (B,)."""
    n, classes = len(design), int(labels.max()) + 1
    fold = np.arange(n) % FOLDS  # rows lie in the order of a hash
    hits = np.zeros(len(labels), np.int64)
    at_once = max(1, BATCH_SIZE // (n * classes))
    for held in range(FOLDS):
        learn, test = fold != held, fold == held
        mean = design[learn].mean(axis=0)
        x = design[learn] - mean
        solved = np.linalg.solve(x.T @ x + RIDGE * np.eye(x.shape[1]), x.T)  # (D, learnt)
        for at in range(0, len(labels), at_once):
            part = labels[at : at + at_once]
            target = np.eye(classes)[part[:, learn].T].reshape(learn.sum(), -1)  # (learnt, B·C)
            scores = target.mean(axis=0) + (design[test] - mean) @ (solved @ target)
            # rounded: which of two equal scores is larger must not depend on the processor's last digit
            best = scores.reshape(test.sum(), len(part), classes).round(SCORE_DECIMALS).argmax(axis=2)
            hits[at : at + at_once] += (best == part[:, test].T).sum(axis=0)
    return hits
