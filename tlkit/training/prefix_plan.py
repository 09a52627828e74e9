"""Where each phase of a strategy cuts the backbone, and what its cached activations cost."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from tlkit.inference.recipe_features import predicted_splits
from tlkit.models.cuts import POOLED, Cut, NoCutError, Parts, find_cut
from tlkit.models.strategies.plan_phases import BACKBONE, Phase
from tlkit.preflight.recipe_queries import changes_pixels, why_no_prefix
from tlkit.tables import Column, Table, counted
from tlkit.training.prepare import Prepared

logger = logging.getLogger(__name__)

MACS_PER_BYTE_WRITTEN, MACS_PER_BYTE_READ = 100, 20
"""Multiply-accumulates that take as long as storing, or reading, one byte of activations.

Two AVX-512 cores compute about 30e9 a second in float32 and store 0.3e9 bytes a second, checksums included. The choice
is by this rule and not by timing, so that two runs of a recipe choose alike.
"""
FIRST_PASS = 0.5
"""Share of torch's time that an engine takes for the pass that fills the cache."""
VIEWS_NAMED = 4
"""Views whose cost is named where an augmentation keeps a recipe on images."""

SAME = "the same activations"
"""What a phase trains on that shares those of the phase before."""

Storage = Literal["float32", "float16"]


@dataclass(frozen=True)
class PhaseInput:
    """What a phase trains on: images, or the activations of a frozen prefix.

    Attributes:
        phase: the phase.
        cut: where the backbone is cut; None where the phase trains on images.
        storage: in which the activations are to be stored.
        size_bytes: of the activations of all images, and views, that the phase trains on or is evaluated on.
        reason: why the phase trains on images; "" where it does not.
    """

    phase: Phase
    cut: Cut | None
    storage: Storage = "float32"
    size_bytes: int = 0
    reason: str = ""

    @property
    def is_pooled(self) -> bool:
        """Whether the whole backbone is frozen, so that its features are the activations."""
        return self.cut is not None and self.cut.after == POOLED

    def shares(self, other: PhaseInput) -> bool:
        """Return whether two phases train on the same activations."""
        return self.cut is not None and other.cut is not None and self.cut.after == other.cut.after

    @property
    def record(self) -> PhaseRecord:
        """What a run records of it before anything is computed."""
        if self.cut is None:
            return PhaseRecord(self.phase.first_epoch + 1, None)
        return PhaseRecord(self.phase.first_epoch + 1, self.cut.after, self.storage)


@dataclass(frozen=True)
class PhaseRecord:
    """What a phase of a run trains on, as the run stores it; a resumed run continues alike.

    Attributes:
        first_epoch: the first epoch of the phase, from 1.
        after: name of the module whose output is cached; None = the phase trains on images.
        storage: "float32" or "float16"; None for images.
        engine: what computed the activations, such as "onnxruntime/cpu"; None before the phase has begun.
        dtype: arithmetic of the engine.
    """

    first_epoch: int
    after: str | None
    storage: str | None = None
    engine: str | None = None
    dtype: str | None = None


def plan_inputs(prepared: Prepared, *, record: Mapping[int, PhaseRecord] | None = None) -> list[PhaseInput]:
    """Return what each phase of a recipe's strategy trains on.

    Args:
        prepared: the prepared recipe; its classifier is as it was when this returns.
        record: of a resumed run, what its phases train on, by the first epoch from 1.
    """
    phases = prepared.classifier.phases
    reason = why_no_prefix(prepared.recipe)
    if not reason and prepared.world.size > 1:
        reason = "several processes train on images"
    if reason:
        return [PhaseInput(phase, None, reason=reason) for phase in phases]
    augmented = changes_pixels(prepared.recipe)
    planner = _Planner(prepared, views=(prepared.recipe.features.views or VIEWS_NAMED) if augmented else 0)
    found = planner.plan(phases, record or {})
    if not augmented or prepared.recipe.features.views:
        return found
    return [PhaseInput(one.phase, None, reason=one.reason or _cost_of_views(one)) for one in found]


def _cost_of_views(one: PhaseInput) -> str:
    return (
        "the augmentation changes the pixels in every epoch. With features.views: "
        f"{VIEWS_NAMED}, the phase would train on {input_words(one)}"
    )


class _Planner:
    """Plans the inputs of phases, with one trace of the backbone."""

    def __init__(self, prepared: Prepared, *, views: int) -> None:
        self._prepared, self._views = prepared, views
        self._learned: set[str] = set()
        self._parts: Parts | None = None

    def plan(self, phases: Sequence[Phase], record: Mapping[int, PhaseRecord]) -> list[PhaseInput]:
        """Return the input of each phase; `record` is that of a run that is resumed."""
        highest = [self._highest_cut(phase) for phase in phases]
        chosen: list[Cut | str | None] = list(self._cheapest(phases, highest))
        for place, phase in enumerate(phases):
            if (before := record.get(phase.first_epoch + 1)) is not None:
                same = (one for one in highest[place:] if isinstance(one, Cut) and one.after == before.after)
                chosen[place] = next(same, chosen[place]) if before.after else "so does the run that is resumed"
        found = []
        for place, phase in enumerate(phases):
            before, cut = record.get(phase.first_epoch + 1), chosen[place]
            if not isinstance(cut, Cut):
                found.append(self._on_images(phase, cut or highest[place]))
                continue
            shared = [
                other
                for other, one in zip(phases, chosen, strict=True)
                if isinstance(one, Cut) and one.after == cut.after
            ]
            storage, size_bytes = self._storage(_joined(shared), cut, stored=None if before is None else before.storage)
            found.append(PhaseInput(phase, cut, storage, size_bytes))
        return found

    def _highest_cut(self, phase: Phase) -> Cut | str:
        """Return the cut below all that the phase and those before it train, or why there is none."""
        self._learned |= {name.removeprefix(BACKBONE) for name in phase.rates if name.startswith(BACKBONE)}
        classifier = self._prepared.classifier
        if not self._learned:
            return Cut(POOLED, (classifier.source.num_features,), channels_last=False, macs=0, share=1.0)
        entered, mode = classifier.phase, classifier.training
        try:
            classifier.train()
            classifier.enter_phase(phase)
            self._parts = self._parts or Parts(classifier.network.backbone)
            return find_cut(self._parts, self._learned, image_size=classifier.preprocess.image_size)
        except NoCutError as error:
            return str(error)
        finally:
            classifier.train(mode)
            classifier.enter_phase(entered)

    def _cheapest(self, phases: Sequence[Phase], highest: Sequence[Cut | str]) -> list[Cut | None]:
        """Return for each phase the cut at which it trains, its highest or a later phase's; None = on images.

        The prefix below the cut of a later phase is frozen until then. Phases that share its cut run that prefix once
        for all of them, and the rest of their frozen modules in every epoch. Of all ways to divide the phases into
        spans that share a cut, the one with the fewest multiply-accumulates is taken, by dynamic programming. Where
        they cannot be counted, each phase has its highest cut.
        """
        work = [self._work(cut, highest) for cut in highest]
        counted_all = all(one for one, cut in zip(work, highest, strict=True) if isinstance(cut, Cut))
        best: list[tuple[float, list[Cut | None]]] = [(0.0, [])]
        for end in range(1, len(phases) + 1):
            last, cut = end - 1, highest[end - 1]
            on_images = best[last][0] + phases[last].epochs * work[last], [*best[last][1], None]
            ways = []
            for start in range(last, -1, -1):
                if (
                    not isinstance(cut, Cut)
                    or not isinstance(highest[start], Cut)
                    or not self._fits(phases[start:end], cut)
                ):
                    break
                if start < last and not counted_all:
                    break
                again = sum(phases[at].epochs * (work[at] - work[last]) for at in range(start, end))
                cost = best[start][0] + self._once(_joined(phases[start:end]), cut, work[last]) + again
                ways.append((cost, [*best[start][1], *[cut] * (end - start)]))
            must_cut = ways and isinstance(cut, Cut) and (cut.after == POOLED or not counted_all)
            best.append(min(ways if must_cut else [on_images, *ways], key=lambda way: way[0]))
        return best[-1][1]

    def _work(self, cut: Cut | str, others: Sequence[Cut | str]) -> float:
        """Return the multiply-accumulates of a prefix for one image; 0 where there is none or they are unknown."""
        if isinstance(cut, str):
            return 0
        if cut.after != POOLED:
            return cut.macs
        return next((one.macs / one.share for one in others if isinstance(one, Cut) and one.macs and one.share > 0), 0)

    def _fits(self, phases: Sequence[Phase], cut: Cut) -> bool:
        """Return whether the cache can hold what some phases share; they share float16 only where the recipe states it.

        Cuts of their own may fit in float32, which is exact.
        """
        storage, size_bytes = self._storage(_joined(phases), cut, stored=None)
        lossy = storage == "float16" and self._prepared.recipe.features.storage == "auto"
        return size_bytes <= self._limit and not (lossy and len(phases) > 1)

    def _once(self, span: Phase, cut: Cut, work: float) -> float:
        """Return the multiply-accumulates of computing activations once, and those that moving their bytes takes."""
        storage, _ = self._storage(span, cut, stored=None)
        row_bytes, passes = cut.width * np.dtype(storage).itemsize, self._passes(span)
        return FIRST_PASS * passes * work + row_bytes * (
            MACS_PER_BYTE_WRITTEN * passes + MACS_PER_BYTE_READ * span.epochs
        )

    def _on_images(self, phase: Phase, why: Cut | str) -> PhaseInput:
        """Return the input of a phase on images: for the reason given, or since its highest cut does not pay."""
        if isinstance(why, Cut):
            _, size_bytes = self._storage(phase, why, stored=None)
            activations = f"{in_units(size_bytes)} of activations after {why.after}"
            if size_bytes > self._limit:
                limit = self._prepared.recipe.features.cache_limit_gb
                why = f"{activations} would be stored, and features.cache_limit_gb is {limit:g}"
            else:
                why = (
                    f"storing {activations} would take longer than computing them, {why.share:.0%} of the forward "
                    f"pass, in {counted(phase.epochs, 'epoch')}"
                )
        return PhaseInput(phase, None, reason=why)

    @property
    def _limit(self) -> float:
        return self._prepared.recipe.features.cache_limit_gb * 1e9

    def _storage(self, span: Phase, cut: Cut, *, stored: str | None) -> tuple[Storage, int]:
        """Return how the activations of some phases are to be stored, and their bytes."""
        chosen, values = self._prepared.recipe.features.storage, self._images(span) * cut.width
        only_half_fits = chosen == "auto" and 4 * values > self._limit >= 2 * values
        wanted = stored or ("float16" if only_half_fits or chosen == "float16" else "float32")
        storage: Storage = "float16" if wanted == "float16" and cut.after != POOLED else "float32"
        return storage, values * np.dtype(storage).itemsize

    def _passes(self, phase: Phase) -> int:
        """Return how many views of each training image a phase reads."""
        return len(view_numbers(phase, self._views)) if self._views else 1

    def _images(self, phase: Phase) -> int:
        """Return how many activations a phase needs: those of train, in each view, and of val and test."""
        samples = self._prepared.data.samples
        counts, predicted = samples.table["split"].value_counts(), predicted_splits(samples)
        plain = {"val", *predicted, *([] if self._views else ["train"])}
        views = int(counts.get("train", 0)) * self._passes(phase) if self._views else 0
        return sum(int(counts.get(split, 0)) for split in plain) + views


def _joined(phases: Sequence[Phase]) -> Phase:
    """Return one phase of the epochs of consecutive ones."""
    return replace(phases[0], epochs=sum(phase.epochs for phase in phases))


def view_numbers(phase: Phase, views: int) -> list[int]:
    """Return the numbers of the views that the epochs of a phase take in turn, sorted.

    Example:
        >>> view_numbers(Phase("the classifier", first_epoch=3, epochs=2, rates={}), views=4)
        [0, 3]
    """
    return sorted({epoch % views for epoch in range(phase.first_epoch, phase.first_epoch + phase.epochs)})


def log_inputs(inputs: list[PhaseInput]) -> None:
    """Log what each phase trains on, with the bytes of its activations, before any are computed."""
    reasons = {one.reason for one in inputs if one.reason}
    if len(reasons) == 1 and all(one.cut is None for one in inputs):
        logger.info("All phases train on images: %s.", reasons.pop())
        return
    for one, before in zip(inputs, [None, *inputs], strict=False):
        words = SAME if before is not None and one.shares(before) else input_words(one)
        logger.info("From epoch %d, %s trains on %s.", one.phase.first_epoch + 1, one.phase.name, words)


def input_words(one: PhaseInput) -> str:
    """Return what a phase trains on in a few words."""
    if one.cut is None:
        return f"images: {one.reason}"
    what = "features of the whole backbone" if one.is_pooled else f"activations after {one.cut.layer}"
    saved = "" if one.is_pooled or math.isnan(one.cut.share) else f", {one.cut.share:.0%} of the forward pass run once"
    return f"{what}, {one.storage}, {in_units(one.size_bytes)} in the feature cache{saved}"


def input_table(inputs: list[PhaseInput]) -> Table:
    """Return the table of what each phase trains on; activations that several share are counted in the first row."""
    columns = (
        Column("from_epoch", "from epoch", "count"),
        Column("trains", "trains"),
        Column("on", "on"),
        Column("bytes", "bytes", "count"),
    )
    rows = []
    for one, before in zip(inputs, [None, *inputs], strict=False):
        of_own = (input_words(one), one.size_bytes if one.cut else None)
        words, size_bytes = (SAME, None) if before is not None and one.shares(before) else of_own
        rows.append((one.phase.first_epoch + 1, one.phase.name, words, size_bytes))
    return Table("inputs", "What each phase trains on", columns, tuple(rows))


def in_units(size_bytes: float) -> str:
    """Return a number of bytes in MB or GB.

    Example:
        >>> in_units(75_264_000), in_units(3_211_264_000)
        ('75 MB', '3.2 GB')
    """
    return f"{size_bytes / 1e9:.1f} GB" if size_bytes >= 1e9 else f"{size_bytes / 1e6:.0f} MB"
