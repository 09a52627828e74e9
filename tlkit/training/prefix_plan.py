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
        cuts = [highest[place] for place in self._cheapest(phases, highest)]
        for place, phase in enumerate(phases):
            before = record.get(phase.first_epoch + 1)
            if before is not None:
                found = (one for one in highest[place:] if isinstance(one, Cut) and one.after == before.after)
                cuts[place] = next(found, cuts[place]) if before.after else "so does the run that is resumed"
        return [self._input(phase, phases, cuts, record.get(phase.first_epoch + 1)) for phase in phases]

    def _input(
        self, phase: Phase, phases: Sequence[Phase], cuts: Sequence[Cut | str], before: PhaseRecord | None
    ) -> PhaseInput:
        cut = cuts[phases.index(phase)]
        if isinstance(cut, str):
            return PhaseInput(phase, None, reason=cut)
        shared = [
            other for other, one in zip(phases, cuts, strict=True) if isinstance(one, Cut) and one.after == cut.after
        ]
        settled = before is not None or len(shared) > 1
        stored = None if before is None else before.storage
        return self._afforded(phase, _joined(shared), cut, stored, settled=settled)

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

    def _cheapest(self, phases: Sequence[Phase], highest: Sequence[Cut | str]) -> list[int]:
        """Return for each phase the place of the phase at whose cut it trains, its own or a later one's.

        The prefix below the cut of a later phase is frozen until then. Phases that share its cut run that prefix once
        for all of them, and the rest of their frozen modules in every epoch. Of all ways to divide the phases into
        spans that share a cut, the one with the fewest multiply-accumulates is taken, by dynamic programming.
        """
        own = list(range(len(phases)))
        work = [self._work(cut, highest) for cut in highest]
        if not all(work[at] for at in own if isinstance(highest[at], Cut)):
            return own  # they cannot be counted
        best: list[tuple[float, list[int]]] = [(0.0, [])]
        for end in range(1, len(phases) + 1):
            cut, last = highest[end - 1], end - 1
            alone = phases[last].epochs * work[last] if not isinstance(cut, Cut) or cut.after != POOLED else math.inf
            ways = [(best[last][0] + alone, [*best[last][1], last])]
            for start in range(last, -1, -1):
                if not isinstance(cut, Cut) or not isinstance(highest[start], Cut):
                    break
                span = _joined(phases[start:end])
                storage, size_bytes = self._storage(span, cut, stored=None)
                if size_bytes > self._limit and (cut.after != POOLED or start < last):
                    continue
                if start < last and storage == "float16" and self._prepared.recipe.features.storage == "auto":
                    continue  # cuts of their own may fit in float32, which is exact
                again = sum(phases[at].epochs * (work[at] - work[last]) for at in range(start, end))
                cost = FIRST_PASS * self._passes(span) * work[last] + self._moved(span, cut, storage) + again
                ways.append((best[start][0] + cost, [*best[start][1], *[last] * (end - start)]))
            best.append(min(ways, key=lambda way: way[0]))  # the first of equal ones: the fewest that share
        return best[-1][1]

    def _work(self, cut: Cut | str, others: Sequence[Cut | str]) -> float:
        """Return the multiply-accumulates of a prefix for one image; 0 where there is none or they are unknown."""
        if isinstance(cut, str) or cut.after != POOLED:
            return 0 if isinstance(cut, str) else cut.macs
        known = [one for one in others if isinstance(one, Cut) and one.macs and one.share > 0]
        return known[0].macs / known[0].share if known else 0

    def _afforded(self, phase: Phase, span: Phase, cut: Cut, stored: str | None, *, settled: bool) -> PhaseInput:
        """Return the input in the storage that the cache can hold; float16 needs a check that follows.

        Args:
            phase: the phase.
            span: it with those that share its cut.
            cut: the cut.
            stored: the storage of a run that is resumed.
            settled: whether it is known that the cut pays.
        """
        storage, size_bytes = self._storage(span, cut, stored=stored)
        reason = ""
        if size_bytes > self._limit and stored is None:
            reason = (
                f"activations after {cut.after} would take {in_units(size_bytes)}, and features.cache_limit_gb is "
                f"{self._prepared.recipe.features.cache_limit_gb:g}"
            )
        elif not settled and not self._pays(phase, cut, storage):
            reason = (
                f"storing {in_units(size_bytes)} of activations after {cut.after} would take longer than computing "
                f"them, {cut.share:.0%} of the forward pass, in {counted(phase.epochs, 'epoch')}"
            )
        return PhaseInput(phase, None, reason=reason) if reason else PhaseInput(phase, cut, storage, size_bytes)

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

    def _pays(self, phase: Phase, cut: Cut, storage: Storage) -> bool:
        """Return whether the passes that are saved take longer than storing and reading the activations."""
        if cut.after == POOLED or not cut.macs:
            return True
        return cut.macs * (phase.epochs - FIRST_PASS * self._passes(phase)) > self._moved(phase, cut, storage)

    def _moved(self, span: Phase, cut: Cut, storage: Storage) -> float:
        """Return the multiply-accumulates for one image that take as long as storing and reading its activations."""
        row_bytes = cut.width * np.dtype(storage).itemsize
        return row_bytes * (MACS_PER_BYTE_WRITTEN * self._passes(span) + MACS_PER_BYTE_READ * span.epochs)

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
    for one in inputs:
        logger.info("From epoch %d, %s trains on %s.", one.phase.first_epoch + 1, one.phase.name, input_words(one))


def input_words(one: PhaseInput) -> str:
    """Return what a phase trains on in a few words."""
    if one.cut is None:
        return f"images: {one.reason}"
    what = "features of the whole backbone" if one.is_pooled else f"activations after {one.cut.layer}"
    saved = "" if one.is_pooled or math.isnan(one.cut.share) else f", {one.cut.share:.0%} of the forward pass run once"
    return f"{what}, {one.storage}, {in_units(one.size_bytes)} in the feature cache{saved}"


def input_table(inputs: list[PhaseInput]) -> Table:
    """Return the table of what each phase trains on."""
    columns = (
        Column("from_epoch", "from epoch", "count"),
        Column("trains", "trains"),
        Column("on", "on"),
        Column("bytes", "bytes", "count"),
    )
    rows = tuple(
        (one.phase.first_epoch + 1, one.phase.name, input_words(one), one.size_bytes if one.cut else None)
        for one in inputs
    )
    return Table("inputs", "What each phase trains on", columns, rows)


def in_units(size_bytes: float) -> str:
    """Return a number of bytes in MB or GB.

    Example:
        >>> in_units(75_264_000), in_units(3_211_264_000)
        ('75 MB', '3.2 GB')
    """
    return f"{size_bytes / 1e9:.1f} GB" if size_bytes >= 1e9 else f"{size_bytes / 1e6:.0f} MB"
