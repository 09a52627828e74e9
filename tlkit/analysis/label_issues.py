"""Label errors from features: confident learning on out-of-fold predictions, and votes of nearest neighbors."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from tlkit.analysis.label_audit import LabelAudit, Suspect
from tlkit.analysis.neighbor_classes import choose_neighbor_count, neighbor_class_shares
from tlkit.analysis.out_of_fold import out_of_fold
from tlkit.arrays import Floats, Ints, Mask
from tlkit.choices import CONFIDENCE, FOLDS, HEAD, REPEATS, SEED
from tlkit.errors import DataError
from tlkit.features.folds import assign_folds
from tlkit.features.heads.head import Features
from tlkit.features.heads.head_kinds import HeadKind
from tlkit.stats.estimate import Estimate
from tlkit.stats.intervals import wilson

CLEAREST = 0.1
"""Share of the images, those with the most confident predictions, from which the number of errors is guessed."""
MIN_CLEAREST, MAX_CLEAREST_SHARE = 50, 0.25


def find_label_issues(
    x: Features,
    y: npt.ArrayLike,
    *,
    classes: Sequence[str],
    paths: Sequence[str],
    splits: Sequence[str],
    digests: Sequence[str],
    head: HeadKind = HEAD,
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
    prune by noise rate). The number of wrong labels is guessed from above, from the tenth of the images with the most
    confident predictions: the share of these that contradict the label. Some of them are errors of the head, so the
    interval reaches from 0 to the upper end of Wilson's. It assumes that labels are wrong as often among these images
    as among others (`benchmarks/label_counts.py` has measured cases).

    A class with fewer images (duplicates and groups count once) than folds is left out: out of fold the head hardly
    knows it, and every image of it would look wrong.

    `x` (N, D), `y` (N,) positions in `classes`; `paths` (different texts), `splits` and `digests` (sha256; copies share
    a fold) of the images. `duplicates` are sets of rows that show the same picture, `groups` names what must stay in
    one fold; each such set shares a fold. `head`, `folds`, `repeats` and `seed` as in `out_of_fold`.

    Raises:
        DataError: there are too few images, or of fewer than two classes.
        ModelError: the kind of head is unknown.
    """
    images = _Images(x, np.asarray(y, dtype=np.int64), paths, splits, digests, groups, duplicates)
    if len(np.unique(images.y)) < 2:
        raise DataError("A label audit needs images of two classes or more.")
    dealt = assign_folds(paths, images.y, folds=folds, seed=seed, groups=groups, digests=images.pictures)
    left_out = {classes[code]: int((images.y == code).sum()) for code in dealt.rare_classes}
    images = images.without(dealt.rare_classes) if left_out else images
    result = LabelAudit(
        classes=tuple(classes),
        images={name: images.splits.count(name) for name in dict.fromkeys(splits)},
        suspects=(),
        wrong=Estimate(None, None, None, n=len(images.y), note="no two classes have as many images as there are folds"),
        accuracy=Estimate(None, None, None, n=0, note="no images"),
        head=head,
        folds=folds,
        k=0,
        confidence=confidence,
        left_out=left_out,
    )
    if len(np.unique(images.y)) < 2:
        return result
    found = out_of_fold(
        images.x,
        images.y,
        classes=classes,
        paths=images.paths,
        kind=head,
        folds=folds,
        repeats=repeats,
        seed=seed,
        groups=images.groups,
        digests=images.pictures,
    )
    proba, fold = np.asarray(found.predictions.proba, dtype=np.float64), found.folds.assignments[0]
    k = choose_neighbor_count(images.y)
    votes = neighbor_class_shares(images.x, images.y, fold, classes=len(classes), k=k)
    product = proba * (k * votes + 1.0) / (k + len(classes))
    hits = int((proba.argmax(axis=1) == images.y).sum())
    return replace(
        result,
        suspects=tuple(images.suspects(result.classes, proba, votes, product)),
        wrong=_guess_wrong(images.y, product, confidence),
        accuracy=wilson(hits, len(images.y), confidence=confidence),
        k=k,
    )


@dataclass(frozen=True, eq=False)
class _Images:
    """The images to judge, as the arguments of `find_label_issues` have them."""

    x: Features
    y: Ints
    paths: Sequence[str]
    splits: Sequence[str]
    digests: Sequence[str]
    groups: Sequence[Hashable | None] | None
    duplicates: Sequence[Sequence[int]]

    @cached_property
    def pictures(self) -> list[str]:
        """An identifier of each row's picture: the digest of the file, or that of its set of duplicates."""
        names = list(self.digests)
        for group in self.duplicates:
            for row in group:
                names[row] = f"duplicate of row {group[0]}"
        return names

    def without(self, rare: Sequence[int]) -> _Images:
        """Return the images of the other classes."""
        kept = np.flatnonzero(~np.isin(self.y, rare)).tolist()
        place = {row: new for new, row in enumerate(kept)}
        paths, splits, digests = ([texts[row] for row in kept] for texts in (self.paths, self.splits, self.digests))
        groups = None if self.groups is None else [self.groups[row] for row in kept]
        duplicates = [[place[row] for row in group if row in place] for group in self.duplicates]
        return _Images(
            np.asarray(self.x)[kept], self.y[kept], paths, splits, digests, groups, [g for g in duplicates if g]
        )

    def suspects(self, classes: Sequence[str], proba: Floats, votes: Floats, product: Floats) -> Iterator[Suspect]:
        """Yield the images for which another class has the largest product, most doubtful first."""
        rows = np.arange(len(self.y))
        score, issue = product[rows, self.y], _confident_learning(self.y, proba)
        others = product.copy()
        others[rows, self.y] = -1.0
        suggested = others.argmax(axis=1)
        doubtful = np.flatnonzero(others.max(axis=1) > score)
        doubtful = doubtful[np.lexsort((np.asarray(self.paths)[doubtful], score[doubtful]))]
        copies = {row: [other for other in group if other != row] for group in self.duplicates for row in group}
        for row in doubtful.tolist():
            yield Suspect(
                self.paths[row],
                self.splits[row],
                self.digests[row],
                classes[self.y[row]],
                classes[suggested[row]],
                float(score[row]),
                tuple(proba[row].tolist()),
                tuple(votes[row].tolist()),
                bool(issue[row]),
                tuple(self.paths[other] for other in copies.get(row, ())),
            )


def _confident_learning(y: Ints, proba: Floats) -> Mask:
    """Return whether cleanlab calls each label wrong, shape (N,); classes without images are left out."""
    from cleanlab.filter import find_label_issues

    present, codes = np.unique(y, return_inverse=True)
    known = proba[:, present]
    sums = known.sum(axis=1, keepdims=True)
    known = np.where(sums > 0, known / np.where(sums > 0, sums, 1.0), 1.0 / len(present))
    return np.asarray(find_label_issues(codes, known, min_examples_per_class=0, n_jobs=1), dtype=np.bool_)


def _guess_wrong(y: Ints, product: Floats, confidence: float) -> Estimate:
    """Return the upper guess of the number of wrong labels, from the clearest images, and 0 to its upper end."""
    n = len(y)
    clear = max(MIN_CLEAREST, round(CLEAREST * n))
    if clear > MAX_CLEAREST_SHARE * n:
        needed = round(MIN_CLEAREST / MAX_CLEAREST_SHARE)
        return Estimate(None, None, None, n=n, note=f"not enough data ({n} images; an estimate takes {needed})")
    certainty = product.max(axis=1) / product.sum(axis=1)
    clearest = np.argsort(-certainty, kind="stable")[:clear]
    rate = wilson(int((product[clearest].argmax(axis=1) != y[clearest]).sum()), clear, confidence=confidence)
    assert rate.value is not None and rate.high is not None
    return Estimate(rate.value * n, 0.0, rate.high * n, n=clear)
