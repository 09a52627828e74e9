"""The candidates of a repair: heads refitted, or shifted, so that no group of images is outvoted."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from tlkit.features.heads.fit_head import standard
from tlkit.features.heads.head import LinearPart
from tlkit.features.heads.linear import LinearScores
from tlkit.features.heads.temperature import fit_temperature, mean_log_loss, probabilities
from tlkit.features.repair.group_weights import balanced_rows, equal_weights, error_weights, independence_weights
from tlkit.features.repair.logit_offsets import class_offsets, group_offsets, group_temperatures
from tlkit.features.repair.weighted_softmax import dro_head, l1_head, l2_head, mean_head

logger = logging.getLogger(__name__)

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Matrix = npt.NDArray[np.floating]

DRAWS = 10  # Kirichenko et al. (2023) average over ten
STRENGTHS = (1e-4, 1e-3, 1e-2, 0.1, 1.0)
LASSO_STRENGTHS = (0.03, 0.1, 0.3)  # of the seven that Kirichenko et al. (2023) try, down to 0.01


@dataclass(frozen=True)
class Method:
    """One way to repair a head.

    Attributes:
        name: what it is called in results.
        words: what it does.
        learns_from: the split whose labels it uses.
        needs_attribute: whether it means anything without an attribute.
        at_prediction: whether it needs the attribute of every image that it predicts.
    """

    name: str
    words: str
    learns_from: Literal["train", "val"]
    needs_attribute: bool = False
    at_prediction: bool = False


METHODS: tuple[Method, ...] = (
    Method("class_offsets", "the head as it was, with one threshold a class", "val"),
    Method("class_balanced", "refitted, every class counting the same", "train"),
    Method("group_balanced", "refitted as if class and attribute were independent", "train", needs_attribute=True),
    Method("group_reweighted", "refitted, every group counting the same", "train", needs_attribute=True),
    Method("group_subsampled", "mean of heads on draws with equally many images of every group", "train"),
    Method("jtt_5", "refitted, images that a first head missed counting 5 times", "train"),
    Method("jtt_20", "the same, counting 20 times", "train"),
    Method("group_dro", "refitted for the smallest loss of the worst group", "train"),
    Method("dfr_train", "deep feature reweighting: sparse heads on balanced draws of train", "train"),
    Method("dfr_val", "deep feature reweighting on val", "val"),
    Method("group_offsets", "the head as it was, with thresholds by class and group", "val", True, True),
    Method("group_temperature", "the head as it was, its confidence set by group", "val", True, True),
)
"""The ways to repair a head, the simpler first."""


@dataclass(frozen=True, eq=False)
class Part:
    """Images to learn from: those of train, or of val.

    Attributes:
        x: features, shape (N, D).
        y: class codes, shape (N,).
        attribute: codes of the attribute's values, shape (N,); all 0 where there is no attribute.
        fold: fold of each image, shape (N,), for what must not be judged on what it learnt from.
    """

    x: Matrix
    y: Ints
    attribute: Ints
    fold: Ints

    @property
    def group(self) -> Ints:
        """Code of the crossing of class and attribute, shape (N,)."""
        return np.asarray(self.y * (int(self.attribute.max()) + 1) + self.attribute, dtype=np.int64)


@dataclass(frozen=True, eq=False)
class Candidate:
    """A repaired head, and what it says of the validation images.

    Attributes:
        method: how it was made.
        y_pred: its prediction for each validation image, shape (N,); one that learns from val has not learnt from the
            image itself.
        part: weight and bias, calibrated; None where it is no linear head.
        offsets: what it adds to the log probabilities of the head as it was, shape (A, C); None for the others.
        temperatures: by value of the attribute, shape (A,); None for the others.
        seconds: it took to fit.
    """

    method: Method
    y_pred: Ints
    part: LinearPart | None
    offsets: Floats | None = None
    temperatures: Floats | None = None
    seconds: float = 0.0


def fit_candidates(
    train: Part, val: Part, *, classes: int, attributes: int, original: LinearPart | None, scores: Floats, seed: int = 0
) -> Iterator[Candidate]:
    """Fit every candidate that these images allow, the simpler first.

    What learns from train predicts val; what learns from val predicts it in folds, and is then fitted on all of it.
    The strength of the penalty is the one with the smallest log loss on val, groups counting the same (for a head that
    learns from val, out of fold), so candidates flatter a little there: test has the last word.

    Args:
        train: training images.
        val: validation images.
        classes: C.
        attributes: A, how many values the attribute has; 1 = no attribute.
        original: the head as it was; None where it is no linear one.
        scores: log probabilities of the head as it was for the validation images, shape (N, C).
        seed: of the draws.
    """
    fitter = _Fitter(train, val, classes, seed)
    for method in METHODS:
        if method.needs_attribute and attributes < 2:
            continue
        begun = time.perf_counter()
        if method.at_prediction or method.name == "class_offsets":
            made = _shifted(method, val, scores, original, attributes)
        else:
            made = fitter.refitted(method)
        if made is None:
            logger.info("%s is left out: it needs validation images of every class.", method.name)
            continue
        y_pred, part, offsets, temperatures = made
        yield Candidate(method, y_pred, part, offsets, temperatures, time.perf_counter() - begun)


Made = tuple[Ints, LinearPart | None, Floats | None, Floats | None]


def _shifted(method: Method, val: Part, scores: Floats, original: LinearPart | None, attributes: int) -> Made | None:
    """Shift the scores of the head as it was; what is fitted in one fold is judged in the others."""
    scores = np.maximum(scores, np.log(1e-15))
    shifted = np.empty_like(scores)
    if method.name == "group_temperature":
        found = group_temperatures(scores, val.y, val.attribute, attributes)
        return np.asarray(scores.argmax(axis=1)), None, None, found

    def offsets_of(rows: Ints) -> Floats:
        if method.name == "group_offsets":
            return group_offsets(scores[rows], val.y[rows], val.attribute[rows], attributes)
        alike = class_offsets(scores[rows], val.y[rows], equal_weights(val.group[rows]))
        return np.tile(alike, (attributes, 1))

    for number in np.unique(val.fold):
        test, known = np.flatnonzero(val.fold == number), np.flatnonzero(val.fold != number)
        shifted[test] = scores[test] + offsets_of(known)[val.attribute[test]]
    offsets = offsets_of(np.arange(len(val.y)))
    y_pred = np.asarray(shifted.argmax(axis=1), dtype=np.int64)
    if method.at_prediction:
        return y_pred, None, offsets, None
    if original is None:
        return None
    bias = (original.bias.astype(np.float64) + offsets[0]).astype(np.float32)
    return y_pred, LinearPart(original.weight, bias), None, None


class _Fitter:
    """What the refitted candidates share: standardised features, the strength of the penalty, a first head's errors."""

    def __init__(self, train: Part, val: Part, classes: int, seed: int) -> None:
        self.mean, self.scale = standard(train.x)
        self.train, self.val, self.classes, self.seed = train, val, classes, seed
        self.x, self.x_val = (((p.x - self.mean) / self.scale).astype(np.float32) for p in (train, val))
        self.weights = equal_weights(train.group)
        self.c = self._strength()
        self.missed = self._missed()

    def refitted(self, method: Method) -> Made | None:
        """Fit a head by one of the methods that make a new one; None where classes are missing."""
        train, val = self.train, self.val
        if method.name == "dfr_val":
            if len(np.unique(val.y)) < len(np.unique(train.y)):
                return None
            head, scores = self._sparse(self.x_val, val, judged=True)
            return self._made(head, scores)
        match method.name:
            case "class_balanced":
                head = self._l2(equal_weights(train.y))
            case "group_balanced":
                head = self._l2(independence_weights(train.y, train.attribute))
            case "group_reweighted":
                head = self._l2(self.weights)
            case "group_subsampled":
                head = mean_head([self._l2(np.ones(len(rows)), rows) for rows in self._draws(train.group)])
            case "jtt_5" | "jtt_20":
                head = self._l2(error_weights(self.missed, factor=float(method.name.removeprefix("jtt_"))))
            case "group_dro":
                head = dro_head(self.x, train.y, train.group, classes=self.classes, c=self.c)
            case "dfr_train":
                head, _ = self._sparse(self.x, train, judged=False)
            case _:
                raise AssertionError(method.name)
        return self._made(head, head.scores(self.x_val))

    def _made(self, head: LinearScores, scores: Floats) -> Made:
        """Calibrate a head by its scores of val, and fold everything into one weight and one bias."""
        temperature = fit_temperature(scores, self.val.y)
        coef = head.coef / self.scale
        weight, bias = coef / temperature, (head.intercept - coef @ self.mean) / temperature
        part = LinearPart(weight.astype(np.float32), bias.astype(np.float32))
        return np.asarray(scores.argmax(axis=1), dtype=np.int64), part, None, None

    def _l2(self, weights: Floats, rows: Ints | None = None) -> LinearScores:
        x, y = (self.x, self.train.y) if rows is None else (self.x[rows], self.train.y[rows])
        c = self.c if rows is None else self.c * len(self.x) / len(rows)  # the penalty per image stays
        return l2_head(x, y, weights, classes=self.classes, c=c)

    def _draws(self, group: Ints) -> list[Ints]:
        """Return the rows of each balanced draw; one draw where all groups are of one size, so that all are alike."""
        count = 1 if len(set(np.unique(group, return_counts=True)[1].tolist())) == 1 else DRAWS
        return [balanced_rows(group, seed=self.seed, draw=draw) for draw in range(count)]

    def _strength(self) -> float:
        """Return the C whose log loss on val is smallest, groups counting the same, as the papers tune theirs."""
        counted, losses = equal_weights(self.val.group), []
        head: LinearScores | None = None
        for c in STRENGTHS:
            head = l2_head(self.x, self.train.y, self.weights, classes=self.classes, c=c, start=head, steps=100)
            losses.append(_calibrated_loss(head.scores(self.x_val), self.val.y, counted))
        return STRENGTHS[int(np.argmin(losses))]

    def _missed(self) -> npt.NDArray[np.bool_]:
        """Return which training images a head without weights gets wrong, each in a fold it has not learnt from."""
        train = self.train
        missed = np.zeros(len(train.y), dtype=np.bool_)
        for number in np.unique(train.fold):
            test, known = np.flatnonzero(train.fold == number), np.flatnonzero(train.fold != number)
            head = l2_head(
                self.x[known], train.y[known], np.ones(len(known)), classes=self.classes, c=self.c, steps=100
            )
            missed[test] = head.scores(self.x[test]).argmax(axis=1) != train.y[test]
        return missed

    def _sparse(self, x: Matrix, part: Part, *, judged: bool) -> tuple[LinearScores, Floats]:
        """Fit deep feature reweighting: the mean of sparse heads on balanced draws.

        Kirichenko, Izmailov & Wilson (2023), Last layer re-training is sufficient for robustness to spurious
        correlations, ICLR, section 5 and appendix B: standardised features, an L1 penalty chosen by validation, ten
        draws.

        Args:
            x: standardised features of the part.
            part: what to learn from.
            judged: whether to predict the part itself in folds, too.

        Returns:
            The head, and out-of-fold scores (N, C) where they are asked for.
        """
        folds = [(np.flatnonzero(part.fold == k), np.flatnonzero(part.fold != k)) for k in np.unique(part.fold)]
        everything = np.arange(len(x))

        def head_of(rows: Ints, c: float, *, draws: int | None = None) -> LinearScores:
            drawn = [rows[chosen] for chosen in self._draws(part.group[rows])[:draws]]
            return mean_head(
                [l1_head(x[one], part.y[one], np.ones(len(one)), classes=self.classes, c=c) for one in drawn]
            )

        def out_of_fold(c: float, *, draws: int | None = None) -> Floats:
            scores = np.zeros((len(x), self.classes))
            for test, known in folds:
                scores[test] = head_of(known, c, draws=draws).scores(x[test])
            return scores

        counted, losses = equal_weights(self.val.group), []
        for c in LASSO_STRENGTHS:
            scores = out_of_fold(c, draws=1) if judged else head_of(everything, c, draws=1).scores(self.x_val)
            losses.append(_calibrated_loss(scores, self.val.y, counted))
        best = LASSO_STRENGTHS[int(np.argmin(losses))]
        return head_of(everything, best), out_of_fold(best) if judged else np.empty((0, self.classes))


def _calibrated_loss(scores: Floats, y: Ints, weights: Floats) -> float:
    """Return the weighted mean log loss at the temperature that fits best."""
    return mean_log_loss(probabilities(scores, fit_temperature(scores, y)), y, weights)
