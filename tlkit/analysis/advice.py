"""`Advice`: backbones ranked on a user's images, with paired tests of their differences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Literal

from tlkit.analysis.advice_tables import advice_tables
from tlkit.arrays import Mask
from tlkit.choices import ALPHA
from tlkit.errors import DataError, refuse_newer
from tlkit.plain_values import from_plain, to_plain
from tlkit.stats.corrections import holm
from tlkit.stats.estimate import Estimate
from tlkit.stats.hypothesis_tests import mcnemar
from tlkit.stats.paired import Pairs, paired_difference
from tlkit.tables import Table, to_html

FORMAT_VERSION = 1
STRONGLY_REGULARISED = ("tv2", "a1", "a1h", "a2", "a3")
"""First words of the tags of torchvision's second recipes and of those of "ResNet strikes back" (arXiv:2110.00476)."""


@dataclass(frozen=True)
class AdvisedBackbone:
    """One backbone with its scores and its cost.

    Attributes:
        name: what `model.name` takes.
        weights: what `model.weights` takes.
        license: of the weights, as their source states it; "unknown" where it states none.
        image_size: height and width in pixels that the weights expect.
        width: number of features.
        parameters: number of parameters, without a classifier.
        macs: multiply-accumulates of one image; None where they cannot be counted.
        latency_ms: one image, median of the runs (its `n`).
        images_per_s: in batches.
        probe: out-of-fold accuracy of a logistic head, with Wilson's interval.
        knn: leave-one-out accuracy of the 5 nearest neighbors, with Wilson's interval.
        log_me: LogME, the higher the better; comparable only between features of the same images.
        over_budget: whether its latency exceeds the limit of the advice, by the whole interval of every measurement.
    """

    name: str
    weights: str
    license: str
    image_size: tuple[int, int]
    width: int
    parameters: int
    macs: int | None
    latency_ms: Estimate
    images_per_s: float
    probe: Estimate
    knn: Estimate
    log_me: float
    over_budget: bool = False

    @property
    def label(self) -> str:
        """The name, with `@weights` where they are not from the hub."""
        return self.name if self.weights == "hub" else f"{self.name}@{self.weights}"

    @property
    def strongly_regularized(self) -> bool:
        """Whether the tag names a training recipe with label smoothing, mixup and the like."""
        return self.name.partition(".")[2].split("_")[0] in STRONGLY_REGULARISED


LeftOutReason = Literal["unavailable", "license", "parameters", "not finite", "constant", "architecture"]


@dataclass(frozen=True)
class LeftOut:
    """A backbone without a rank, and why.

    Attributes:
        name: what `model.name` would take.
        weights: what `model.weights` would take.
        reason: "unavailable" = its weights cannot be had or read; "license" or "parameters" = it exceeds that limit;
            "not finite" or "constant" = its features; "architecture" = the weights fit another one better.
        seen: the error's message, the license, the number of parameters, or LogME; None for features.
        limit: the licenses allowed, or the most parameters; the LogME of `rival`; else None.
        rival: name of the architecture that the weights fit better; else "".
    """

    name: str
    weights: str
    reason: LeftOutReason
    seen: str | float | None = None
    limit: tuple[str, ...] | float | None = None
    rival: str = ""


@dataclass(frozen=True)
class Contrast:
    """Paired comparison of two backbones on the same images.

    Attributes:
        first: label of the one with at least the accuracy of the other.
        second: label of the other.
        difference: the first one's accuracy minus the second's, with Newcombe's paired interval.
        p: McNemar's exact test; None where both are right on the same images.
        p_holm: the same, corrected by Holm's method over all pairs of backbones.
    """

    first: str
    second: str
    difference: Estimate
    p: float | None
    p_holm: float | None

    @property
    def resolved(self) -> bool:
        """Whether the difference is significant after the correction."""
        return self.p_holm is not None and self.p_holm < ALPHA


@dataclass(frozen=True)
class Advice:
    """Backbones ranked on the same images: those within the budget first, and of these the best probe first.

    Attributes:
        images: number of images.
        classes: number of classes.
        folds: of the cross-validation.
        machine: what latencies were measured on.
        backbones: those within the budget, then those over it; each by descending accuracy of the probe, the faster one
            first where it is equal.
        contrasts: every pair of them.
        left_out: backbones without a rank: their weights are not available, or they exceed another limit.
        max_latency_ms: the budget, milliseconds for one image; None = no limit. Backbones over it are marked.
    """

    images: int
    classes: int
    folds: int
    machine: str
    backbones: tuple[AdvisedBackbone, ...]
    contrasts: tuple[Contrast, ...]
    left_out: tuple[LeftOut, ...] = ()
    max_latency_ms: float | None = None

    @property
    def best(self) -> AdvisedBackbone:
        """The backbone with the most accurate probe within the budget; of all where none is within it."""
        return self.backbones[0]

    @property
    def candidates(self) -> tuple[AdvisedBackbone, ...]:
        """The backbones within the budget; all of them where none is."""
        return tuple(one for one in self.backbones if one.over_budget == self.best.over_budget)

    @property
    def over_budget(self) -> tuple[AdvisedBackbone, ...]:
        """The backbones over the budget, in the order of the ranking."""
        return tuple(one for one in self.backbones if one.over_budget)

    @property
    def tied(self) -> tuple[AdvisedBackbone, ...]:
        """The other candidates that are not distinguishable from the best, in the order of the ranking."""
        unresolved = {
            label
            for pair in self.contrasts
            if not pair.resolved
            for label in (pair.first, pair.second)
            if self.best.label in (pair.first, pair.second)
        }
        return tuple(one for one in self.candidates[1:] if one.label in unresolved)

    @property
    def suggested(self) -> AdvisedBackbone:
        """The fastest of the best and the backbones tied with it."""
        return min((self.best, *self.tied), key=_ms)

    @property
    def pareto(self) -> tuple[AdvisedBackbone, ...]:
        """The Pareto front of accuracy and latency, the fastest first."""
        front: list[AdvisedBackbone] = []
        for backbone in sorted(self.backbones, key=lambda one: (_ms(one), -_accuracy(one))):
            if not front or _accuracy(backbone) > _accuracy(front[-1]):
                front.append(backbone)
        return tuple(front)

    def recipe(self) -> str:
        """Return the recipe's line for the suggested backbone."""
        return f"model: {{name: {self.suggested.name}, weights: {_quoted(self.suggested.weights)}}}"

    def tables(self) -> tuple[Table, ...]:
        """Return the table of the ranking and, where there are any, that of the backbones without a rank."""
        return advice_tables(self)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values; `from_dict` reads them back."""
        return {
            "format_version": FORMAT_VERSION,
            **to_plain(self),
            "suggested": {"name": self.suggested.name, "weights": self.suggested.weights},
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Advice:
        """Read what `to_dict` wrote.

        Raises:
            DataError: a newer tlkit wrote it.
        """
        refuse_newer("This advice was", values["format_version"], known=FORMAT_VERSION, error=DataError)
        return from_plain(cls, values)

    def __repr__(self) -> str:
        return f"Advice({len(self.backbones)} backbones on {self.images} images, best {self.best.label})"

    def _repr_html_(self) -> str:
        """Return what a notebook shows."""
        return to_html(self.tables())


def rank_backbones(
    backbones: Sequence[tuple[AdvisedBackbone, Mask]],
    *,
    classes: int,
    folds: int,
    machine: str,
    left_out: Sequence[LeftOut] = (),
    max_latency_ms: float | None = None,
) -> Advice:
    """Return backbones ranked by budget and probe, with a paired comparison of every two of them.

    McNemar's test takes the images as the sample and the heads as fixed; it does not include the variation between
    training sets (Dietterich 1998, Neural Computation 10:1895, section 3).

    Each backbone comes with whether its probe is right on each image, shape (N,), the images in one order.
    """
    assert backbones, "one backbone at least"
    by_probe = sorted(backbones, key=lambda one: (-_accuracy(one[0]), _ms(one[0]), one[0].label))
    two = [(one.label, other.label, Pairs.from_correct(b, a)) for (one, a), (other, b) in combinations(by_probe, 2)]
    tests = [mcnemar(pairs.first, pairs.second) for *_, pairs in two]
    p = [None if test is None else test.p for test in tests]
    contrasts = tuple(
        Contrast(first, second, paired_difference(pairs), plain, corrected)
        for (first, second, pairs), plain, corrected in zip(two, p, holm(p), strict=True)
    )
    ranked = tuple(sorted((one for one, _ in by_probe), key=lambda one: one.over_budget))
    return Advice(len(by_probe[0][1]), classes, folds, machine, ranked, contrasts, tuple(left_out), max_latency_ms)


def _accuracy(backbone: AdvisedBackbone) -> float:
    assert backbone.probe.value is not None, "there are images"
    return backbone.probe.value


def _ms(backbone: AdvisedBackbone) -> float:
    assert backbone.latency_ms.value is not None, "it was measured"
    return backbone.latency_ms.value


def _quoted(text: str) -> str:
    plain = all(character.isalnum() or character in "-_./:" for character in text)
    return text if plain else "'" + text.replace("'", "''") + "'"
