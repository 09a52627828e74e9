"""Label errors from features: confident learning on out-of-fold predictions, and votes of nearest neighbors."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tlkit.analysis.label_audit import LabelAudit, Suspect
from tlkit.analysis.nearest_neighbors import choose_neighbor_count, neighbor_class_shares
from tlkit.analysis.out_of_fold import out_of_fold
from tlkit.choices import CONFIDENCE, FOLDS, REPEATS, SEED
from tlkit.errors import DataError
from tlkit.features.heads.head import Features
from tlkit.features.heads.head_kinds import HeadKind
from tlkit.stats.arrays import Floats, Ints, Mask
from tlkit.stats.estimate import Estimate
from tlkit.stats.intervals import wilson

CLEAREST = 0.1
"""Share of the images, those with the most confident predictions, from which the number of errors is estimated."""
MIN_CLEAREST, MAX_CLEAREST_SHARE = 50, 0.25


def find_label_issues(
    x: Features,
    y: npt.ArrayLike,
    *,
    classes: Sequence[str],
    paths: Sequence[str],
    splits: Sequence[str],
    digests: Sequence[str],
    head: HeadKind = "logistic",
    folds: int = FOLDS,
    repeats: int = REPEATS,
    seed: int = SEED,
    groups: Sequence[Hashable | None] | None = None,
    duplicates: Sequence[Sequence[int]] = (),
    confidence: float = CONFIDENCE,
) -> LabelAudit:
    """Return the images with probable label errors, most doubtful first.

    The score of a label is the head's out-of-fold probability of it (self-confidence) times (v + 1)/(k + C), where v of
    the k nearest neighbors have it. Confident learning is cleanlab's `find_label_issues`
    (Northcutt, Jiang & Chuang 2021, Confident Learning: Estimating Uncertainty in Dataset Labels, JAIR 70, section 3.2:
    prune by noise rate). The number of wrong labels is estimated from the tenth of the images with the most confident
    predictions: the share of these that contradict the label, with Wilson's interval. The assumption is that labels
    are wrong as often among these as among others; errors of the head among them count as wrong labels.

    `x` (N, D), `y` (N,) positions in `classes`; `paths` (different texts), `splits` and `digests` (sha256; copies share
    a fold) of the images. `duplicates` are sets of rows that show the same picture, `groups` names what must stay in
    one fold; each such set shares a fold. `head`, `folds`, `repeats` and `seed` as in `out_of_fold`.

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
        digests=_picture_ids(digests, duplicates),
    )
    proba, fold = np.asarray(found.predictions.proba, dtype=np.float64), found.folds.assignments[0]
    k = choose_neighbor_count(y)
    votes = neighbor_class_shares(x, y, fold, classes=len(classes), k=k)
    product = proba * (k * votes + 1.0) / (k + len(classes))
    names = _Named(tuple(classes), paths, splits, digests, duplicates)
    hits = int((proba.argmax(axis=1) == y).sum())
    return LabelAudit(
        classes=tuple(classes),
        images={name: list(splits).count(name) for name in dict.fromkeys(splits)},
        suspects=tuple(names.suspects(y, proba, votes, product)),
        wrong=_estimate_wrong(y, product, confidence),
        accuracy=wilson(hits, len(y), confidence=confidence),
        head=head,
        folds=folds,
        k=k,
        confidence=confidence,
    )


@dataclass(frozen=True)
class _Named:
    """Names of classes and images, and the sets of rows that show the same picture."""

    classes: tuple[str, ...]
    paths: Sequence[str]
    splits: Sequence[str]
    digests: Sequence[str]
    duplicates: Sequence[Sequence[int]]

    def suspects(self, y: Ints, proba: Floats, votes: Floats, product: Floats) -> Iterator[Suspect]:
        """Yield the images for which another class has the largest product, most doubtful first."""
        rows = np.arange(len(y))
        score, issue = product[rows, y], _confident_learning(y, proba)
        others = product.copy()
        others[rows, y] = -1.0
        suggested = others.argmax(axis=1)
        doubtful = np.flatnonzero(others.max(axis=1) > score)
        doubtful = doubtful[np.lexsort((np.asarray(self.paths)[doubtful], score[doubtful]))]
        copies = {row: [other for other in group if other != row] for group in self.duplicates for row in group}
        for row in doubtful.tolist():
            yield Suspect(
                self.paths[row],
                self.splits[row],
                self.digests[row],
                self.classes[y[row]],
                self.classes[suggested[row]],
                float(score[row]),
                tuple(proba[row].tolist()),
                tuple(votes[row].tolist()),
                bool(issue[row]),
                tuple(self.paths[other] for other in copies.get(row, ())),
            )


def _picture_ids(digests: Sequence[str], duplicates: Sequence[Sequence[int]]) -> list[str]:
    """Return an identifier of each row's picture: the digest of the file, or that of its set of duplicates."""
    names = list(digests)
    for group in duplicates:
        for row in group:
            names[row] = f"duplicate of row {group[0]}"
    return names


def _confident_learning(y: Ints, proba: Floats) -> Mask:
    """Return whether cleanlab calls each label wrong, shape (N,); classes without images are left out."""
    from cleanlab.filter import find_label_issues

    present, codes = np.unique(y, return_inverse=True)
    known = proba[:, present]
    sums = known.sum(axis=1, keepdims=True)
    known = np.where(sums > 0, known / np.where(sums > 0, sums, 1.0), 1.0 / len(present))
    return np.asarray(find_label_issues(codes, known, min_examples_per_class=0, n_jobs=1), dtype=np.bool_)


def _estimate_wrong(y: Ints, product: Floats, confidence: float) -> Estimate:
    """Return the estimated number of wrong labels, from the clearest images."""
    n = len(y)
    clear = max(MIN_CLEAREST, round(CLEAREST * n))
    if clear > MAX_CLEAREST_SHARE * n:
        needed = round(MIN_CLEAREST / MAX_CLEAREST_SHARE)
        return Estimate(None, None, None, n=n, note=f"not enough data ({n} images; an estimate takes {needed})")
    certainty = product.max(axis=1) / product.sum(axis=1)
    clearest = np.argsort(-certainty, kind="stable")[:clear]
    rate = wilson(int((product[clearest].argmax(axis=1) != y[clearest]).sum()), clear, confidence=confidence)
    assert rate.value is not None and rate.low is not None and rate.high is not None
    return Estimate(rate.value * n, rate.low * n, rate.high * n, n=clear)
