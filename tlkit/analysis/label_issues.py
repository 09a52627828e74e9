"""Which labels look wrong, from features: confident learning out of fold, beside the votes of nearest neighbors."""

from __future__ import annotations

import logging
from collections.abc import Hashable, Sequence

import numpy as np
import numpy.typing as npt

from tlkit.analysis.label_audit import LabelAudit, Suspect
from tlkit.analysis.nearest_neighbors import neighbour_shares, neighbours_for
from tlkit.analysis.out_of_fold import out_of_fold
from tlkit.errors import DataError
from tlkit.features.heads.head import Features
from tlkit.features.heads.head_kinds import HeadKind
from tlkit.stats.estimate import Estimate
from tlkit.stats.intervals import wilson

logger = logging.getLogger(__name__)

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

CLEAREST = 0.1
"""Share of the images, those that head and neighbors are surest of, by which wrong labels are counted."""
FEWEST_CLEAR, LARGEST_SHARE = 50, 0.25


def find_label_issues(
    x: Features,
    y: npt.ArrayLike,
    *,
    classes: Sequence[str],
    paths: Sequence[str],
    splits: Sequence[str],
    digests: Sequence[str],
    head: HeadKind = "logistic",
    folds: int = 5,
    repeats: int = 1,
    seed: int = 0,
    groups: Sequence[Hashable | None] | None = None,
    duplicates: Sequence[Sequence[int]] = (),
    confidence: float = 0.95,
    notes: Sequence[str] = (),
) -> LabelAudit:
    """Rank images by how doubtful their labels are.

    The score of a label is the head's out-of-fold probability of it (self-confidence) times (v + 1)/(k + C), where v of
    the k nearest neighbors carry it. Whether it is wrong by confident learning is cleanlab's `find_label_issues`
    (Northcutt, Jiang & Chuang 2021, Confident Learning: Estimating Uncertainty in Dataset Labels, JAIR 70, section 3.2:
    prune by noise rate). How many labels are wrong is estimated from the images that are clearest by head and
    neighbors, a tenth of them: the share of these whose label says otherwise, with Wilson's interval. That holds if
    labels are wrong as often among clear images as among others; what the head gets wrong there counts as well.

    Args:
        x: features, shape (N, D).
        y: positions in `classes`, shape (N,).
        classes: class names.
        paths: of the images, N different ones.
        splits: of the images.
        digests: sha256 of each file; copies share a fold.
        head: kind of the head.
        folds: how many.
        repeats: how many times to deal the folds anew for the head; probabilities are averaged.
        seed: of the folds.
        groups: what folds must not tear apart, one per image.
        duplicates: rows that show the same picture; each such set shares a fold.
        confidence: level of the intervals.
        notes: sentences to carry along.

    Raises:
        DataError: there are too few images, or of fewer than two classes.
        ModelError: the kind of head is unknown.
    """
    y = np.asarray(y, dtype=np.int64)
    if len(np.unique(y)) < 2:
        raise DataError("A label audit needs images of two classes or more.")
    found = out_of_fold(
        x,
        y,
        classes=classes,
        paths=paths,
        kind=head,
        folds=folds,
        repeats=repeats,
        seed=seed,
        groups=groups,
        digests=_pictures(digests, duplicates),
    )
    proba, fold = np.asarray(found.predictions.proba, dtype=np.float64), found.folds.of[0]
    k = neighbours_for(y)
    votes = neighbour_shares(x, y, fold, classes=len(classes), k=k)
    both = proba * (k * votes + 1.0) / (k + len(classes))
    rows = np.arange(len(y))
    score, issue = both[rows, y], _issues(y, proba)
    others = both.copy()
    others[rows, y] = -1.0
    suggested = others.argmax(axis=1)
    doubtful = np.flatnonzero(others.max(axis=1) > score)
    doubtful = doubtful[np.lexsort((np.asarray(paths)[doubtful], score[doubtful]))]
    copies = {row: [other for other in group if other != row] for group in duplicates for row in group}
    suspects = tuple(
        Suspect(
            paths[row],
            splits[row],
            digests[row],
            classes[y[row]],
            classes[suggested[row]],
            float(score[row]),
            tuple(proba[row].tolist()),
            tuple(votes[row].tolist()),
            bool(issue[row]),
            tuple(paths[other] for other in copies.get(row, ())),
        )
        for row in doubtful.tolist()
    )
    hits = int((proba.argmax(axis=1) == y).sum())
    return LabelAudit(
        classes=tuple(classes),
        images={name: list(splits).count(name) for name in dict.fromkeys(splits)},
        suspects=suspects,
        wrong=_wrong(y, both, confidence),
        accuracy=wilson(hits, len(y), confidence=confidence),
        head=head,
        folds=folds,
        k=k,
        confidence=confidence,
        notes=tuple(notes),
    )


def _pictures(digests: Sequence[str], duplicates: Sequence[Sequence[int]]) -> list[str]:
    """Return what names each picture: the digest, or that of the first row that shows the same."""
    names = list(digests)
    for group in duplicates:
        for row in group:
            names[row] = f"as row {group[0]}"
    return names


def _issues(y: Ints, proba: Floats) -> npt.NDArray[np.bool_]:
    """Ask cleanlab about the classes that have images; nothing is removed, so no class needs to keep any."""
    from cleanlab.filter import find_label_issues

    present, codes = np.unique(y, return_inverse=True)
    known = proba[:, present]
    sums = known.sum(axis=1, keepdims=True)
    known = np.where(sums > 0, known / np.where(sums > 0, sums, 1.0), 1.0 / len(present))
    return np.asarray(find_label_issues(codes, known, min_examples_per_class=0, n_jobs=1), dtype=np.bool_)


def _wrong(y: Ints, both: Floats, confidence: float) -> Estimate:
    n = len(y)
    clear = max(FEWEST_CLEAR, round(CLEAREST * n))
    if clear > LARGEST_SHARE * n:
        needed = round(FEWEST_CLEAR / LARGEST_SHARE)
        return Estimate(None, None, None, n=n, note=f"not enough data ({n} images; an estimate takes {needed})")
    sure = both.max(axis=1) / both.sum(axis=1)
    clearest = np.argsort(-sure, kind="stable")[:clear]
    rate = wilson(int((both[clearest].argmax(axis=1) != y[clearest]).sum()), clear, confidence=confidence)
    assert rate.value is not None and rate.low is not None and rate.high is not None
    return Estimate(rate.value * n, rate.low * n, rate.high * n, n=clear)
