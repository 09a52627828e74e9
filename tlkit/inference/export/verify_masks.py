"""`verify_masks`: compares stored masks, the model of segmentation loaded anew and exported files, pixel by pixel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np
import numpy.typing as npt
import torch

from tlkit.arrays import Floats32, Pixels
from tlkit.choices import Verdict
from tlkit.data.sources.true_masks import true_positions
from tlkit.errors import DataError, first_few
from tlkit.exported import ExportedModel
from tlkit.exported.mask_answers import most_probable
from tlkit.exported.verification import (
    ANEW,
    CLOSE_TOLERANCE,
    LEAST_MOVEMENT,
    MOST_DISTANCE,
    STORED,
    TOLERANCE,
    DecodeEffect,
    ImageDifference,
    Parity,
    Verification,
)
from tlkit.inference.export.file_checks import batch_problems, distances_from_exact, normalized_pixels
from tlkit.inference.export.verified_images import Case, cases_of_paths, full_pixels, made_cases
from tlkit.inference.mask_predictor import classes_in_own_size, in_own_size
from tlkit.mask_classes import UnusableMaskError
from tlkit.mask_files import Positions, read_mask
from tlkit.models.mask_decoder import DecoderFacts
from tlkit.models.model_files import ModelFacts
from tlkit.models.network import Network
from tlkit.predictions import MaskPredictions
from tlkit.predictions.mask_predictions import confusion_of
from tlkit.preprocess import Preprocess
from tlkit.runs import RunDirectory
from tlkit.runs.run import Run
from tlkit.samples import Samples

EXACT_IMAGES = 4
"""Images of the run, and as many made ones, that also go through torch in float64; each has many pixels."""
TIE = 10.0
"""Difference of two logits, in tolerances of a probability and shares of the larger one, that rounding may turn."""


def verify_masks(
    directory: RunDirectory,
    split: str,
    network: Network,
    facts: ModelFacts,
    files: Sequence[ExportedModel],
    *,
    images: int,
) -> Verification:
    """Return how a run's stored masks and exported files of segmentation compare with its model loaded anew.

    The rules are those of `verify_run`; probabilities are compared at each pixel of the network's input. A pixel of a
    mask, in the size of its image, may have another class only where the logits of the two classes are as good as
    equal: less than 10 tolerances (1e-3) apart, or than this share of the larger one. The counts of pixels that the run
    stores must be those of its stored masks beside the true ones; a damaged stored mask, or one of another size, fails.

    Args:
        directory: of the run.
        split: whose images are compared.
        network: the model loaded anew.
        facts: its facts.
        files: the exported files.
        images: images of the run at most; 0 = all.
    """
    run, preprocess, notes = Run(directory), facts.preprocess, list[str]()
    predictions = run.task_predictions(split)
    assert isinstance(predictions, MaskPredictions), "the run is of segmentation"
    samples = run.samples
    real = cases_of_paths(samples.root, predictions.path.tolist(), preprocess, images, notes)
    made = made_cases(preprocess, notes)
    stored = _Compared(STORED, ANEW, "the run", TOLERANCE, preprocess)
    compared = [_of_file(file, preprocess) for file in files]
    effects: list[tuple[float, bool]] = []
    lacking = 0
    for place, case in enumerate([*real, *made]):
        is_real = place < len(real)
        pixels = full_pixels(case, preprocess)
        size = (pixels.shape[0], pixels.shape[1])
        anew = _said(network, case.scaled, preprocess, size)
        full = _said(network, case.scaled_full, preprocess, size) if case.is_reduced else anew
        if case.is_reduced and is_real:
            effects.append(_effect(anew, full))
        if is_real:
            try:
                mask = _stored_mask(directory, facts, case.name, size)
            except FileNotFoundError:
                lacking += 1
            except (OSError, UnusableMaskError) as error:
                stored.refuse(case.name, f"the stored mask cannot be used: {getattr(error, 'reason', error)}")
            else:
                stored.see(case.name, anew, None, mask, is_real=True)
                if why := _counts_problem(predictions, case, samples, mask):
                    stored.refuse(case.name, why)
        for file, one in zip(files, compared, strict=True):
            expected = anew if _is_reduced(file) else full
            if file.facts.kind == "network":
                given = case.scaled if _is_reduced(file) else case.scaled_full
                logits, proba = (part[0] for part in file.run(given[None]))
                mask = most_probable(logits, preprocess, height=size[0], width=size[1])
            else:
                _, proba, mask = (part[0] for part in file.run_with_masks(pixels[None]))
            one.see(case.name, expected, proba, mask, is_real=is_real)
    if lacking:
        notes.append(f"{lacking} of {len(real)} stored masks are missing; they are not compared.")
    parities = [stored.parity()] if real else []
    cases = [*real[:EXACT_IMAGES], *made[:EXACT_IMAGES]]
    parities += [one.parity(file, network, cases) for file, one in zip(files, compared, strict=True)]
    differences = [difference for one in (stored, *compared) for difference in one.differences]
    return Verification(
        directory.name,
        split,
        tuple(parities),
        tuple(sorted(differences, key=lambda one: -one.difference)),
        _decode_effect(effects),
        tuple(notes),
    )


@dataclass(frozen=True, eq=False)
class _Said:
    """What the loaded model says of an image.

    Attributes:
        logits: of the network's input, shape (C, h, w).
        mask: the class of each pixel of the image, shape (H, W).
    """

    logits: torch.Tensor
    mask: Positions


class _Compared:
    """Compares masks of one subject with those of the loaded model, image by image; keeps sums only."""

    def __init__(self, subject: str, reference: str, engine: str, tolerance: float, preprocess: Preprocess) -> None:
        self.subject, self.reference, self.engine, self.tolerance = subject, reference, engine, tolerance
        self.differences: list[ImageDifference] = []
        self.seen = self.pixels = self.same = self.alike = 0
        self._preprocess = preprocess
        self._refused: list[str] = []
        self._errors: dict[bool, list[float]] = {True: [], False: []}
        self._ends: tuple[Floats32, Floats32] | None = None

    def see(
        self, name: str, expected: _Said, proba: Floats32 | None, mask: npt.NDArray[np.integer], *, is_real: bool
    ) -> None:
        """Compare the probabilities (C, h, w), if any, and the mask (H, W) of an image with the model's."""
        other, wrong = _other_pixels(expected, mask, self._preprocess, TIE * self.tolerance)
        self.seen += is_real
        self.pixels += mask.size
        self.same += mask.size - other
        self.alike += not other
        error = 0.0
        if proba is not None:
            error = float(np.abs(proba - torch.softmax(expected.logits, dim=0).numpy()).max())
            self._errors[is_real].append(error)
            if is_real:
                low, high = self._ends or (proba, proba)
                self._ends = np.minimum(low, proba), np.maximum(high, proba)
        if wrong or not error <= self.tolerance:  # NaN is among them
            found = f"{wrong:,} of another class"
            self.differences.append(ImageDifference(self.subject, name, error, f"{mask.size:,} pixels", found))

    def refuse(self, name: str, why: str) -> None:
        """Note that what is stored of an image cannot be right."""
        self._refused.append(f"{name}: {why}")

    def parity(
        self, file: ExportedModel | None = None, network: Network | None = None, cases: Sequence[Case] = ()
    ) -> Parity:
        """Return the verdict on the images so far; of a file also on batches, rounding and movement."""
        reasons = []
        if self._refused:
            reasons.append(f"{len(self._refused)} findings about stored masks: {first_few(self._refused)}.")
        if self.differences:
            reasons.append(
                f"{len(self.differences)} images differ: a probability by more than {self.tolerance:g}, or pixels of "
                "another class whose logits are no tie."
            )
        distances = movement = None
        if file is not None and network is not None:
            reasons += batch_problems(file, self.tolerance, 1.0)
            distances = _distances(file, network, cases, self._preprocess)
            movement = float((self._ends[1] - self._ends[0]).max()) if self._ends and self.seen > 1 else None
            if movement is not None and not movement >= LEAST_MOVEMENT:
                reasons.append(
                    f"its probabilities move by {movement:.1e} between {self.seen} images. Outputs that hardly depend "
                    f"on the image prove nothing: at least {LEAST_MOVEMENT:g} is needed."
                )
            if distances is not None and not distances[0] <= MOST_DISTANCE * distances[1]:
                reasons.append(
                    f"its logits are {distances[0]:.1e} from torch in float64, more than {MOST_DISTANCE:g} times "
                    f"float32 torch's {distances[1]:.1e}."
                )
        verdict: Verdict = "FAIL" if reasons else "PASS" if self.seen > 1 else "NOT ENOUGH DATA"
        if verdict == "NOT ENOUGH DATA":
            reasons.append(f"it takes 2 images of the run at least, and {self.seen} can be read.")
        return Parity(
            self.subject,
            self.reference,
            self.engine,
            self.tolerance,
            images=self.seen,
            made=len(self._errors[False]),
            same_label=self.alike,
            largest=max(self._errors[True], default=None),
            largest_made=max(self._errors[False], default=None),
            movement=movement,
            distance=None if distances is None else distances[0],
            torch_distance=None if distances is None else distances[1],
            verdict=verdict,
            reasons=tuple(reasons),
            pixels=self.pixels,
            same_pixels=self.same,
        )


def _of_file(file: ExportedModel, preprocess: Preprocess) -> _Compared:
    facts = file.facts
    tolerance = CLOSE_TOLERANCE if facts.resize == "close" else TOLERANCE
    reference = ANEW if _is_reduced(file) else f"{ANEW}, full decode"
    return _Compared(file.path.name, reference, file.engine, tolerance, preprocess)


def _is_reduced(file: ExportedModel) -> bool:
    """Return whether the images of a file are decoded at a reduced scale."""
    return file.facts.kind == "network" and file.facts.preprocess.decode == "reduced"


def _said(network: Network, scaled: Pixels, preprocess: Preprocess, size: tuple[int, int]) -> _Said:
    """Return what torch says in float32 of scaled pixels (h, w, 3)."""
    with torch.inference_mode():
        logits: torch.Tensor = network(normalized_pixels([scaled], preprocess)).float()[0]
    return _Said(logits, in_own_size(logits, preprocess, height=size[0], width=size[1]))


def _other_pixels(said: _Said, mask: npt.NDArray[np.integer], preprocess: Preprocess, tie: float) -> tuple[int, int]:
    """Return how many pixels have another class than by the loaded model, and of these those that are no tie."""
    (height, width), expected = mask.shape, said.mask
    other = expected != mask
    if not other.any():
        return 0, 0
    wanted, called = expected[other], mask[other]
    right, given = np.zeros(len(wanted), dtype=np.float32), np.full(len(wanted), -np.inf, dtype=np.float32)
    for number, one in enumerate(classes_in_own_size(said.logits, preprocess, height=height, width=width)):
        if number in wanted or number in called:
            values = one.numpy()[other]
            right[wanted == number] = values[wanted == number]
            given[called == number] = values[called == number]
    return int(other.sum()), int((right - given > tie * np.maximum(1.0, np.abs(right))).sum())


def _stored_mask(directory: RunDirectory, facts: ModelFacts, path: str, size: tuple[int, int]) -> Positions:
    """Return the mask that the run stores for an image.

    Raises:
        OSError: there is none.
        UnusableMaskError: it is damaged or has another size.
    """
    file = directory.masks / PurePosixPath(path).with_suffix(".png")
    found = DecoderFacts.from_dict(facts.decoder).classes(facts.classes).positions(read_mask(file.read_bytes()))
    if found.shape != size:
        raise UnusableMaskError("it has another size than its image")
    return found


def _counts_problem(predictions: MaskPredictions, case: Case, samples: Samples, mask: Positions) -> str:
    """Return why the stored counts of an image are not those of its stored mask beside the true one; "" = they are."""
    assert case.row is not None, "it is an image of the run"
    row = samples.paths.tolist().index(case.name)
    size = len(predictions.classes)
    try:
        true = true_positions(samples, row, (mask.shape[0], mask.shape[1]))
    except DataError as error:
        return f"its counts cannot be checked. {error}"
    counts = predictions.take(np.array([case.row])).counts
    counted = np.zeros((size, size + 1), dtype=np.int64)
    counted[counts.true, counts.predicted + 1] = counts.pixels
    same = np.array_equal(confusion_of(true, mask, size), counted)
    return "" if same else "the stored counts of pixels are not those of its stored mask"


def _distances(
    file: ExportedModel, network: Network, cases: Sequence[Case], preprocess: Preprocess
) -> tuple[float, float] | None:
    """Return how far logits of a few images are from torch's in float64, and how far float32 torch's are."""
    if file.facts.resize == "close" or not cases:
        return None
    scaled = [case.scaled if _is_reduced(file) else case.scaled_full for case in cases]
    given = scaled if file.facts.kind == "network" else [full_pixels(case, preprocess) for case in cases]
    logits = np.stack([file.logits(pixels[None])[0] for pixels in given])
    return distances_from_exact(network, scaled, logits, preprocess)


def _effect(reduced: _Said, full: _Said) -> tuple[float, bool]:
    """Return the largest difference that a reduced decode makes to a probability, and whether the mask changes."""
    difference = torch.softmax(reduced.logits, dim=0) - torch.softmax(full.logits, dim=0)
    return float(difference.abs().max()), not np.array_equal(reduced.mask, full.mask)


def _decode_effect(effects: Sequence[tuple[float, bool]]) -> DecodeEffect | None:
    if not effects:
        return None
    errors = [error for error, _ in effects]
    return DecodeEffect(len(effects), max(errors), float(np.median(errors)), sum(other for _, other in effects))
