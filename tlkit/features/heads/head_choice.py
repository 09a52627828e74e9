"""`head: auto`: the choice between several kinds of head, cross-validated on the same folds."""

from __future__ import annotations

import logging
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tlkit.arrays import Ints
from tlkit.choices import CONFIDENCE, FOLDS, HEADS_WITHOUT_CLASS_WEIGHTS, SEED
from tlkit.errors import ModelError
from tlkit.features.heads.fit_head import (
    ClassWeight,
    cross_validate,
    fit_best_setting,
    resolve_folds,
    takes_images,
    validate_features,
)
from tlkit.features.heads.head import Features, Head, Trial
from tlkit.features.heads.head_kinds import KINDS, QUICK_KINDS, HeadKind
from tlkit.features.heads.head_tables import choice_tables
from tlkit.stats.estimate import Estimate
from tlkit.stats.paired import Pairs, paired_difference
from tlkit.tables import Table, to_html

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class HeadCandidate:
    """One kind of head, compared with the leader, the one with the most images right.

    Attributes:
        kind: which kind.
        trial: its best setting.
        accuracy: out of fold, with Wilson's interval.
        behind: the leader's accuracy minus this one's on the same images, with its paired interval; 0 for the leader.
        distinguishable: whether that interval lies above 0.
    """

    kind: HeadKind
    trial: Trial
    accuracy: Estimate
    behind: Estimate
    distinguishable: bool


@dataclass(frozen=True, eq=False, repr=False)
class HeadChoice:
    """The chosen head, and the comparison with the other kinds.

    Attributes:
        head: the head, fitted on all images.
        candidates: every kind that was tried, the simpler first.
        leader: the kind with the highest out-of-fold accuracy; of equals, the simpler.
        confidence: level of the intervals.
    """

    head: Head
    candidates: tuple[HeadCandidate, ...]
    leader: HeadKind
    confidence: float

    def tables(self) -> tuple[Table, ...]:
        """Return the table of the kinds that were compared; its note names the chosen one."""
        return choice_tables(self)

    def to_dict(self) -> dict[str, Any]:
        """Return the comparison as plain JSON values."""
        return {
            "chosen": self.head.kind,
            "leader": self.leader,
            "confidence": self.confidence,
            "candidates": [
                {
                    "kind": one.kind,
                    "settings": dict(one.trial.settings),
                    "accuracy": one.accuracy.to_dict(),
                    "log_loss": one.trial.log_loss,
                    "behind": one.behind.to_dict(),
                    "distinguishable": one.distinguishable,
                }
                for one in self.candidates
            ],
        }

    def __repr__(self) -> str:
        return f"HeadChoice({self.head.kind} of {', '.join(one.kind for one in self.candidates)})"

    def _repr_html_(self) -> str:
        """Return what a notebook shows."""
        return to_html(self.tables())


def choose_head(
    x: Features,
    y: npt.ArrayLike,
    *,
    classes: Sequence[str],
    kinds: Sequence[HeadKind] = QUICK_KINDS,
    seed: int = SEED,
    class_weight: ClassWeight = None,
    groups: Sequence[Hashable | None] | None = None,
    folds: int | Ints = FOLDS,
    confidence: float = CONFIDENCE,
) -> HeadChoice:
    """Return the simplest kind of head whose accuracy is not distinguishable from the best one's, fitted.

    Every kind is cross-validated on the same folds, with its settings chosen as in `fit_head`. The leader is the kind
    with the most images right. For each other kind the difference of the two accuracies has a paired interval
    (Newcombe's; see `tlkit.stats.paired`); where it does not lie above 0, the two are not distinguishable, and the
    simpler one is chosen. Simplicity is the order of `KINDS`. Accuracies are slightly optimistic, since each kind's
    setting was chosen on the same images; of many kinds the leader's is the most optimistic.

    Args:
        x: features, shape (N, D).
        y: positions in `classes`, shape (N,).
        classes: class names in the order of the columns.
        kinds: what to compare; default: all but the ensembles of trees. Where class weights are given, kinds that take
            none are left out, and so are kinds that take fewer images.
        seed: of the folds and of what is random in trees.
        class_weight: as in `fit_head`.
        groups: what must stay in one fold, one per image.
        folds: how many, or the fold of each image.
        confidence: level of the intervals, in (0, 1).

    Raises:
        ModelError: no kind is left to choose from.
        DataError: the features are no finite matrix, or the images are too few.
    """
    unweighted = HEADS_WITHOUT_CLASS_WEIGHTS if class_weight is not None else ()
    too_many = [kind for kind in KINDS if not takes_images(kind, len(x))]
    for excluded, why in (
        (unweighted, "no class weights can be given to them"),
        (too_many, f"{len(x):,} training images are too many for them"),
    ):
        if left_out := [kind for kind in KINDS if kind in kinds and kind in excluded]:
            logger.info("head: auto leaves out %s: %s.", ", ".join(left_out), why)
    able = [kind for kind in KINDS if kind in kinds and kind not in (*unweighted, *too_many)]
    if not able:
        raise ModelError("There is no head to choose from. Name some of: " + ", ".join(KINDS) + ".")
    x, codes = validate_features(x, y, classes)
    fold = resolve_folds(x, codes, classes, folds=folds, groups=groups, seed=seed)
    validations = [
        cross_validate(x, codes, kind=kind, classes=classes, fold=fold, seed=seed, class_weight=class_weight)
        for kind in able
    ]
    right = [one.proba.argmax(axis=1) == codes for one in validations]
    leader = int(np.argmax([hits.sum() for hits in right]))
    candidates = []
    for place, one in enumerate(validations):
        behind = paired_difference(Pairs.from_correct(right[place], right[leader]), confidence)
        apart = place != leader and behind.is_above(0)
        candidates.append(HeadCandidate(one.kind, one.chosen, one.accuracy, behind, apart))
    chosen = next(place for place, candidate in enumerate(candidates) if not candidate.distinguishable)
    head = fit_best_setting(x, codes, validations[chosen], classes=classes, seed=seed, class_weight=class_weight)
    return HeadChoice(head, tuple(candidates), validations[leader].kind, confidence)
