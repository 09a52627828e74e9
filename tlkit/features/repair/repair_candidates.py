"""Candidates of a repair: heads refitted with group reweighting, group DRO or deep feature reweighting, or offsets."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from tlkit.arrays import Floats, Ints, Matrix
from tlkit.features.heads.linear import LinearWeights
from tlkit.features.heads.standardized import feature_mean_and_scale
from tlkit.features.repair.group_weights import (
    balanced_weights,
    reweighing_weights,
    subsample_groups,
    upweighted_errors,
)
from tlkit.features.repair.logit_offsets import class_offsets, group_offsets, group_temperatures
from tlkit.features.repair.weighted_softmax import average_heads, fit_group_dro, fit_l1_softmax, fit_l2_softmax
from tlkit.stats.temperature import fit_temperature, mean_log_loss, probabilities

logger = logging.getLogger(__name__)


DRAWS = 10  # Kirichenko et al. (2023) average over ten
STRENGTHS = (1e-4, 1e-3, 1e-2, 0.1, 1.0)
LASSO_STRENGTHS = (0.03, 0.1, 0.3)  # three of the seven that Kirichenko et al. (2023) try, from 0.01


@dataclass(frozen=True)
class RepairMethod:
    """One way to repair a head.

    Attributes:
        name: of the method, as in results.
        learns_from: the split whose labels it uses.
        needs_attribute: whether it is undefined without an attribute.
        at_prediction: whether it needs the attribute of every image that it predicts.
    """

    name: str
    learns_from: Literal["train", "val"]
    needs_attribute: bool = False
    at_prediction: bool = False


REPAIR_METHODS: tuple[RepairMethod, ...] = (
    RepairMethod("class_offsets", "val"),
    RepairMethod("class_balanced", "train"),
    RepairMethod("group_balanced", "train", True),
    RepairMethod("group_reweighted", "train", True),
    RepairMethod("group_subsampled", "train"),
    RepairMethod("jtt_5", "train"),
    RepairMethod("jtt_20", "train"),
    RepairMethod("group_dro", "train"),
    RepairMethod("dfr_train", "train"),
    RepairMethod("dfr_val", "val"),
    RepairMethod("group_offsets", "val", True, True),
    RepairMethod("group_temperature", "val", True, True),
)
"""The ways to repair a head, the simpler first."""


@dataclass(frozen=True, eq=False)
class GroupedFeatures:
    """Features of a split, with classes, attribute and folds.

    Attributes:
        x: features, shape (N, D).
        y: class codes, shape (N,).
        attribute: codes of the attribute's values, shape (N,); all 0 where there is no attribute.
        fold: fold of each image, shape (N,), for out-of-fold predictions.
    """

    x: Matrix
    y: Ints
    attribute: Ints
    fold: Ints

    @property
    def group(self) -> Ints:
        """Code of the intersection of class and attribute, shape (N,)."""
        return np.asarray(self.y * (int(self.attribute.max()) + 1) + self.attribute, dtype=np.int64)


@dataclass(frozen=True, eq=False)
class RepairCandidate:
    """A repaired head and its predictions of the validation images.

    Attributes:
        method: how it was made.
        y_pred: predicted class of each validation image, shape (N,); out of fold for a method that learns from val.
        linear: weight and bias, calibrated; None where it is no linear head.
        offsets: what it adds to the log probabilities of the original head, shape (A, C); None for other methods.
        temperatures: by value of the attribute, shape (A,); None for other methods.
        seconds: time to fit.
    """

    method: RepairMethod
    y_pred: Ints
    linear: LinearWeights | None
    offsets: Floats | None = None
    temperatures: Floats | None = None
    seconds: float = 0.0


def fit_candidates(
    train: GroupedFeatures,
    val: GroupedFeatures,
    *,
    classes: int,
    attributes: int,
    original: LinearWeights | None,
    scores: Floats,
    seed: int = 0,
) -> Iterator[RepairCandidate]:
    """Yield the candidates that these images allow, the simpler first.

    Methods that learn from train predict val; those that learn from val predict it out of fold, and are then fitted on
    all of it. The strength of the penalty has the smallest log loss on val with groups balanced (out of fold for
    methods that learn from val), so the results on val are slightly optimistic: the final verdict is that on test.

    Args:
        train: training images.
        val: validation images.
        classes: C.
        attributes: A, how many values the attribute has; 1 = no attribute.
        original: the original head; None where it is not linear.
        scores: log probabilities of the original head for the validation images, shape (N, C).
        seed: of the subsamples.
    """
    refitter = _Refitter(train, val, classes, seed)
    for method in REPAIR_METHODS:
        if method.needs_attribute and attributes < 2:
            continue
        start = time.perf_counter()
        if method.at_prediction or method.name == "class_offsets":
            candidate = _with_offsets(method, val, scores, original, attributes)
            missing = "a linear original head"
        else:
            candidate, missing = refitter.refit(method), "validation images of every class"
        if candidate is None:
            logger.info("%s is left out: it needs %s.", method.name, missing)
            continue
        yield replace(candidate, seconds=time.perf_counter() - start)


def _with_offsets(
    method: RepairMethod, val: GroupedFeatures, scores: Floats, original: LinearWeights | None, attributes: int
) -> RepairCandidate | None:
    """Return the original head with offsets or temperatures; its predictions are out of fold."""
    scores = np.maximum(scores, np.log(1e-15))
    if method.name == "group_temperature":
        temperatures = group_temperatures(scores, val.y, val.attribute, attributes)
        return RepairCandidate(method, np.asarray(scores.argmax(axis=1)), None, temperatures=temperatures)

    def offsets_of(rows: Ints) -> Floats:
        if method.name == "group_offsets":
            return group_offsets(scores[rows], val.y[rows], val.attribute[rows], attributes)
        by_class = class_offsets(scores[rows], val.y[rows], balanced_weights(val.group[rows]))
        return np.tile(by_class, (attributes, 1))

    shifted = np.empty_like(scores)
    for number in np.unique(val.fold):
        test, others = np.flatnonzero(val.fold == number), np.flatnonzero(val.fold != number)
        shifted[test] = scores[test] + offsets_of(others)[val.attribute[test]]
    offsets = offsets_of(np.arange(len(val.y)))
    y_pred = np.asarray(shifted.argmax(axis=1), dtype=np.int64)
    if method.at_prediction:
        return RepairCandidate(method, y_pred, None, offsets)
    if original is None:
        return None
    bias = (original.bias.astype(np.float64) + offsets[0]).astype(np.float32)
    return RepairCandidate(method, y_pred, LinearWeights(original.weight, bias))


class _Refitter:
    """Refits heads on shared standardized features, with a shared strength of the penalty."""

    def __init__(self, train: GroupedFeatures, val: GroupedFeatures, classes: int, seed: int) -> None:
        self.mean, self.scale = feature_mean_and_scale(train.x)
        self.train, self.val, self.classes, self.seed = train, val, classes, seed
        self.x, self.x_val = (((p.x - self.mean) / self.scale).astype(np.float32) for p in (train, val))
        self.weights = balanced_weights(train.group)
        self.c = self._choose_strength()
        self.missed = self._first_head_errors()

    def refit(self, method: RepairMethod) -> RepairCandidate | None:
        """Return the candidate of a method; None where val lacks classes that it needs."""
        train, val = self.train, self.val
        if method.name == "dfr_val":
            if len(np.unique(val.y)) < len(np.unique(train.y)):
                return None
            head, scores = self._deep_feature_reweighting(self.x_val, val, predict_folds=True)
            return self._calibrate(method, head, scores)
        match method.name:
            case "class_balanced":
                head = self._l2(balanced_weights(train.y))
            case "group_balanced":
                head = self._l2(reweighing_weights(train.y, train.attribute))
            case "group_reweighted":
                head = self._l2(self.weights)
            case "group_subsampled":
                head = average_heads([self._l2(np.ones(len(rows)), rows) for rows in self._subsamples(train.group)])
            case "jtt_5" | "jtt_20":
                head = self._l2(upweighted_errors(self.missed, factor=float(method.name.removeprefix("jtt_"))))
            case "group_dro":
                head = fit_group_dro(self.x, train.y, train.group, classes=self.classes, c=self.c)
            case "dfr_train":
                head, _ = self._deep_feature_reweighting(self.x, train, predict_folds=False)
            case _:
                raise AssertionError(method.name)
        return self._calibrate(method, head, head.scores(self.x_val))

    def _calibrate(self, method: RepairMethod, head: LinearWeights, scores: Floats) -> RepairCandidate:
        """Return a head with temperature and standardization folded into its weight and bias."""
        temperature = fit_temperature(scores, self.val.y)
        coef = head.weight / self.scale
        weight, bias = coef / temperature, (head.bias - coef @ self.mean) / temperature
        linear = LinearWeights(weight.astype(np.float32), bias.astype(np.float32))
        return RepairCandidate(method, np.asarray(scores.argmax(axis=1), dtype=np.int64), linear)

    def _l2(self, weights: Floats, rows: Ints | None = None) -> LinearWeights:
        x, y = (self.x, self.train.y) if rows is None else (self.x[rows], self.train.y[rows])
        c = self.c if rows is None else self.c * len(self.x) / len(rows)  # keeps the penalty per image
        return fit_l2_softmax(x, y, weights, classes=self.classes, c=c)

    def _subsamples(self, group: Ints) -> list[Ints]:
        """Return the rows of each balanced subsample; one where all groups are of one size, so that all are equal."""
        count = 1 if len(set(np.unique(group, return_counts=True)[1].tolist())) == 1 else DRAWS
        return [subsample_groups(group, seed=self.seed, draw=draw) for draw in range(count)]

    def _choose_strength(self) -> float:
        """Return the C whose log loss on val is smallest, with groups balanced, as in the papers."""
        weights, losses = balanced_weights(self.val.group), []
        head: LinearWeights | None = None
        for c in STRENGTHS:
            head = fit_l2_softmax(self.x, self.train.y, self.weights, classes=self.classes, c=c, start=head, steps=100)
            losses.append(_calibrated_loss(head.scores(self.x_val), self.val.y, weights))
        return STRENGTHS[int(np.argmin(losses))]

    def _first_head_errors(self) -> npt.NDArray[np.bool_]:
        """Return which training images a head without weights misclassifies, out of fold."""
        train = self.train
        missed = np.zeros(len(train.y), dtype=np.bool_)
        for number in np.unique(train.fold):
            test, others = np.flatnonzero(train.fold == number), np.flatnonzero(train.fold != number)
            head = fit_l2_softmax(
                self.x[others], train.y[others], np.ones(len(others)), classes=self.classes, c=self.c, steps=100
            )
            missed[test] = head.scores(self.x[test]).argmax(axis=1) != train.y[test]
        return missed

    def _deep_feature_reweighting(
        self, x: Matrix, part: GroupedFeatures, *, predict_folds: bool
    ) -> tuple[LinearWeights, Floats]:
        """Return the mean of sparse heads on balanced subsamples, and its out-of-fold scores.

        Kirichenko, Izmailov & Wilson (2023), Last layer re-training is sufficient for robustness to spurious
        correlations, ICLR, section 5 and appendix B: standardized features, an L1 penalty chosen by validation, ten
        subsamples.

        Args:
            x: standardized features of the part.
            part: the images to fit on.
            predict_folds: whether to compute the out-of-fold scores (N, C); else they have shape (0, C).
        """
        folds = [(np.flatnonzero(part.fold == k), np.flatnonzero(part.fold != k)) for k in np.unique(part.fold)]
        everything = np.arange(len(x))

        def head_of(rows: Ints, c: float, *, draws: int | None = None) -> LinearWeights:
            drawn = [rows[chosen] for chosen in self._subsamples(part.group[rows])[:draws]]
            return average_heads(
                [fit_l1_softmax(x[one], part.y[one], np.ones(len(one)), classes=self.classes, c=c) for one in drawn]
            )

        def out_of_fold(c: float, *, draws: int | None = None) -> Floats:
            scores = np.zeros((len(x), self.classes))
            for test, others in folds:
                scores[test] = head_of(others, c, draws=draws).scores(x[test])
            return scores

        weights, losses = balanced_weights(self.val.group), []
        for c in LASSO_STRENGTHS:
            scores = out_of_fold(c, draws=1) if predict_folds else head_of(everything, c, draws=1).scores(self.x_val)
            losses.append(_calibrated_loss(scores, self.val.y, weights))
        best = LASSO_STRENGTHS[int(np.argmin(losses))]
        return head_of(everything, best), out_of_fold(best) if predict_folds else np.empty((0, self.classes))


def _calibrated_loss(scores: Floats, y: Ints, weights: Floats) -> float:
    """Return the weighted mean log loss at the temperature that fits best."""
    return mean_log_loss(probabilities(scores, fit_temperature(scores, y)), y, weights)
