"""`verify_run`: compares stored predictions, the model loaded anew and exported files on the same images."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from tlkit.arrays import Floats32, Pixels
from tlkit.choices import VERIFIED_IMAGES, Verdict
from tlkit.disk import write_text
from tlkit.errors import ModelError
from tlkit.exported import EXPORT_FOLDER, ExportedModel, ExportFolder, open_exported
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
from tlkit.inference.export.export_ladder import score_unit
from tlkit.inference.export.file_checks import batch_problems, distances_from_exact, normalized_pixels
from tlkit.inference.export.verified_images import Case, cases_of_run, full_pixels, made_cases
from tlkit.inference.export.verify_masks import verify_masks
from tlkit.inference.stored_model import load_any_task
from tlkit.models.model_files import ModelFacts
from tlkit.models.network import Network
from tlkit.preprocess import Preprocess
from tlkit.runs import RunDirectory, find_model, folder_of_run

logger = logging.getLogger(__name__)

EXACT_IMAGES = 16
"""Images of the run, and as many made ones, that also go through torch in float64."""
INT8_DIFFERENCE = 1.0
"""Difference of a probability that int8 may have: any. Its accuracy is judged by `judge_int8`."""


def verify_run(run: str | Path | object, *, images: int = VERIFIED_IMAGES) -> Verification:
    """Return how a run's exported files compare with its model; the result is stored beside them.

    Three ways to the same probabilities are compared on the same images: the run's stored predictions, its model
    loaded anew, and each exported file at the optimization level at which tlkit runs it. The images are those of the
    run's test split (or val), and images of every mode and of extreme sizes. A file passes where

    - no probability differs by more than 1e-4 from torch's (1e-2 for a file that scales closely, not exactly),
    - its logits are at most twice as far from those of torch in float64 as float32 torch's are (root mean square),
    - its probabilities move by at least 1e-3 between images, so that a dead network does not pass.

    Of segmentation, probabilities are those of the network's input, and every pixel of the mask, in the size of the
    image, has the same class as in that of the loaded model, but for ties of its logits (see `verify_masks`).

    Args:
        run: a run or its directory.
        images: images of the run at most; 0 = all.

    Raises:
        ModelError: there is no exported file; a file has been changed or truncated; or it is not of this run's model.
        RunError: there is no such run.

    Example:
        >>> verify_run("runs/pets", images=4)
        Traceback (most recent call last):
        tlkit.errors.ModelError: There is no exported model in runs/pets/export. Export the run first: tlkit export RUN
    """
    directory = RunDirectory.open(folder_of_run(run))
    folder = ExportFolder(directory.path / EXPORT_FOLDER)
    files = [open_exported(path) for path in folder.files()]
    _require_source(files, directory.model)
    split = directory.judged_split()
    network, facts = load_any_task(find_model(directory.path))
    if network.task.task == "segmentation":
        result = verify_masks(directory, split, network, facts, files, images=images)
    else:
        result = _verify_scores(directory, split, network, facts, files, images=images)
    write_text(folder.verification, json.dumps(result.to_dict(), indent=2, ensure_ascii=False) + "\n")
    return result


def _verify_scores(
    directory: RunDirectory,
    split: str,
    network: Network,
    facts: ModelFacts,
    files: Sequence[ExportedModel],
    *,
    images: int,
) -> Verification:
    preprocess, unit = facts.preprocess, score_unit(network.task)
    notes: list[str] = []
    stored, real = cases_of_run(directory, split, preprocess, images, notes)
    made = made_cases(preprocess, notes)
    anew, anew_full = (
        _torch_scores(network, [getattr(case, name) for case in (*real, *made)], preprocess)
        for name in ("scaled", "scaled_full")
    )
    judge = _Judge(partial(_answers, network, facts.classes), real, made, unit=unit)
    if stored is not None and real:
        known = np.asarray(stored / unit, dtype=np.float32)  # of quantiles the median alone: val has moved the others
        judge.add(STORED, ANEW, "the run", known, anew[: len(real), : known.shape[1]])
    for file in files:
        if file.facts.precision == "int8":
            notes.append(
                f"{file.path.name} is not equal to the model by design; it must move and answer alike in a batch. How "
                f"much accuracy it costs was judged when it was exported: {file.facts.gate}."
            )
        reference = anew if file.facts.kind == "network" and file.facts.preprocess.decode == "reduced" else anew_full
        judge.add_file(file, reference, network)
    return Verification(
        directory.name,
        split,
        tuple(judge.parities),
        tuple(sorted(judge.differences, key=lambda one: -one.difference)),
        _decode_effect(real, anew, anew_full, judge.answers),
        tuple(notes),
    )


class _Judge:
    """Compares probabilities of the same images, or numbers in units of `unit`, and collects the results."""

    def __init__(
        self,
        answers: Callable[[Floats32], npt.NDArray[np.str_]],
        real: Sequence[Case],
        made: Sequence[Case],
        *,
        unit: float,
    ) -> None:
        self.parities: list[Parity] = []
        self.differences: list[ImageDifference] = []
        self.answers = answers
        self._unit, self._real, self._made = unit, real, made

    def add(
        self,
        subject: str,
        reference: str,
        engine: str,
        found: Floats32,
        expected: Floats32,
        *,
        tolerance: float = TOLERANCE,
        distances: tuple[float, float] | None = None,
        problems: Sequence[str] = (),
    ) -> None:
        """Compare probabilities (N, C): those of the real images first, then those of the made ones, if any."""
        real = len(self._real)
        error = np.abs(found.astype(np.float64) - expected).max(axis=1) if len(found) else np.zeros(0)
        labels, expected_labels = self.answers(found), self.answers(expected)
        reasons = [*problems]
        cases = [*self._real, *self._made]
        for place in np.flatnonzero(~(error <= tolerance)).tolist():  # NaN is among them
            names = str(expected_labels[place]), str(labels[place])
            self.differences.append(ImageDifference(subject, cases[place].name, float(error[place]), *names))
        wrong = int((~(error <= tolerance)).sum())
        if wrong:
            reasons.append(
                f"{wrong} of {len(error)} images differ by more than {tolerance:g}, up to {error.max():.2g}."
            )
        movement = float(np.ptp(found[:real], axis=0).max()) if real > 1 else None
        if movement is not None and not movement >= LEAST_MOVEMENT:
            reasons.append(
                f"its probabilities move by {movement:.1e} between {real} images. Outputs that hardly depend on the "
                f"image prove nothing: at least {LEAST_MOVEMENT:g} is needed."
            )
        if distances is not None and not distances[0] <= MOST_DISTANCE * distances[1]:
            reasons.append(
                f"its logits are {distances[0]:.1e} from torch in float64, more than {MOST_DISTANCE:g} times float32 "
                f"torch's {distances[1]:.1e}."
            )
        verdict: Verdict = "FAIL" if reasons else "PASS" if real > 1 else "NOT ENOUGH DATA"
        if verdict == "NOT ENOUGH DATA":
            reasons.append(f"it takes 2 images of the run at least, and {real} can be read.")
        self.parities.append(
            Parity(
                subject,
                reference,
                engine,
                tolerance,
                images=real,
                made=len(found) - real,
                same_label=int((labels == expected_labels).sum()),
                largest=float(error[:real].max()) if real else None,
                largest_made=float(error[real:].max()) if len(found) > real else None,
                movement=movement,
                distance=None if distances is None else distances[0],
                torch_distance=None if distances is None else distances[1],
                verdict=verdict,
                reasons=tuple(reasons),
            )
        )

    def add_file(self, file: ExportedModel, expected: Floats32, network: nn.Module) -> None:
        """Compare an exported file with the probabilities of torch."""
        reduced = file.facts.kind == "network" and file.facts.preprocess.decode == "reduced"
        cases = [*self._real, *self._made]
        scaled = [case.scaled if reduced else case.scaled_full for case in cases]
        given = scaled if file.facts.kind == "network" else [full_pixels(case, file.facts.preprocess) for case in cases]
        outputs = [file.run(pixels[None]) for pixels in given]
        logits, found = (np.concatenate(part) for part in zip(*outputs, strict=True))
        found = np.asarray(found / self._unit, dtype=np.float32)
        is_int8 = file.facts.precision == "int8"
        tolerance = INT8_DIFFERENCE if is_int8 else CLOSE_TOLERANCE if file.facts.resize == "close" else TOLERANCE
        made = range(len(self._real), min(len(cases), len(self._real) + EXACT_IMAGES))
        few = [*range(min(len(self._real), EXACT_IMAGES)), *made]
        distances = None
        if file.facts.resize != "close" and not is_int8:
            distances = distances_from_exact(network, [scaled[row] for row in few], logits[few], file.facts.preprocess)
        self.add(
            file.path.name,
            ANEW if reduced else f"{ANEW}, full decode",
            file.engine,
            found,
            expected,
            tolerance=tolerance,
            distances=distances,
            problems=batch_problems(file, CLOSE_TOLERANCE if is_int8 else tolerance, self._unit),
        )


def _require_source(files: Sequence[ExportedModel], model: Path) -> None:
    """Check that the files were made from the run's model.

    Raises:
        ModelError: the model has changed since.
    """
    for file in files:
        for name, digest in file.facts.source.items():
            path = model / name
            if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != digest:
                raise ModelError(
                    f"{file.path} was exported from another model than that of the run: {path} has changed since. "
                    "Export the run again: tlkit export RUN"
                )


def _answers(network: Network, classes: Sequence[str], scores: Floats32) -> npt.NDArray[np.str_]:
    """Return in words what scores (N, C) say, shape (N,): the class or grade, labels, or the number in its unit."""
    unit = score_unit(network.task)
    predicted = network.task.predicted(torch.from_numpy(np.ascontiguousarray(scores * np.float32(unit)))).numpy()
    if network.task.task == "multilabel":
        names = [[name for name, is_there in zip(classes, row, strict=True) if is_there] for row in predicted]
        return np.array([", ".join(one) or "none" for one in names], dtype=str)
    if network.task.task == "regression":
        return np.array([f"{number:.4g}" for number in predicted], dtype=str)
    return np.asarray(np.array(classes, dtype=str)[predicted])


def _torch_scores(network: Network, scaled: Sequence[Pixels], preprocess: Preprocess) -> Floats32:
    """Return the probabilities (N, C) of torch in float32, or numbers in deviations (N, 1), of pixels (H, W, 3)."""
    if not scaled:
        return np.zeros((0, 0), dtype=np.float32)
    with torch.inference_mode():
        parts = [
            network.scores(normalized_pixels(scaled[at : at + 32], preprocess)).numpy()
            for at in range(0, len(scaled), 32)
        ]
    return np.asarray(np.concatenate(parts) / score_unit(network.task), dtype=np.float32)


def _decode_effect(
    real: Sequence[Case], anew: Floats32, anew_full: Floats32, answers: Callable[[Floats32], npt.NDArray[np.str_]]
) -> DecodeEffect | None:
    rows = [place for place, case in enumerate(real) if case.is_reduced]
    if not rows:
        return None
    error = np.abs(anew[rows].astype(np.float64) - anew_full[rows]).max(axis=1)
    other = int((answers(anew[rows]) != answers(anew_full[rows])).sum())
    return DecodeEffect(len(rows), float(error.max()), float(np.median(error)), other)
