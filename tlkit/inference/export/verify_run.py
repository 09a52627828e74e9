"""`verify_run`: compares stored predictions, the model loaded anew and exported files on the same images."""

from __future__ import annotations

import copy
import hashlib
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from tlkit.data.decode.decode_options import DecodeOptions
from tlkit.data.decode.decoding import UnreadableImageError, open_rgb
from tlkit.data.decode.resizing import fit, reduction
from tlkit.data.loading.batch import normalize
from tlkit.data.sources.given_images import EncodedImage, read_images
from tlkit.data.sources.read_bytes import read_bytes
from tlkit.disk import write_text
from tlkit.errors import ModelError
from tlkit.exported import EXPORT_FOLDER, ExportedModel, ExportFolder, open_exported
from tlkit.exported.verification import (
    CLOSE_TOLERANCE,
    LEAST_MOVEMENT,
    MOST_DISTANCE,
    TOLERANCE,
    DecodeEffect,
    ImageDifference,
    Parity,
    Verdict,
    Verification,
)
from tlkit.inference.export.torture_images import torture_images
from tlkit.inference.predictor import Predictor, load_model
from tlkit.predictions import Predictions
from tlkit.preprocess import Preprocess
from tlkit.runs import RunDirectory
from tlkit.runs.run import Run

logger = logging.getLogger(__name__)

DEFAULT_IMAGES = 200
"""Images of the run that are compared at most, evenly spaced."""
EXACT_IMAGES = 16
"""Images of the run, and as many made ones, that also go through torch in float64."""
BATCH = 7
"""Size of the larger batches; the smaller ones have one image."""
ROUNDING = 4 * float(np.finfo(np.float32).eps)
"""Distance from float64, as a share of the largest logit, below which nothing is wrong: rounding of the output."""
INT8_DIFFERENCE = 1.0
"""Difference of a probability that int8 may have: any. Its accuracy is judged by `judge_int8`."""
STORED = "stored predictions"
ANEW = "model loaded anew"

Floats = npt.NDArray[np.float32]
Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class _Case:
    """An image to compare.

    Attributes:
        name: its path, or what it is.
        row: its row in the stored predictions; None for an image made for the test.
        content: the encoded image.
        scaled: its pixels in the input size as the run's preprocessing gives them.
        scaled_full: the same after a full decode.
        is_reduced: whether the decoder scales it.
    """

    name: str
    row: int | None
    content: bytes
    scaled: Pixels
    scaled_full: Pixels
    is_reduced: bool


def verify_run(run: str | Path | object, *, images: int = DEFAULT_IMAGES) -> Verification:
    """Return how a run's exported files compare with its model; the result is stored beside them.

    Three ways to the same probabilities are compared on the same images: the run's stored predictions, its model
    loaded anew, and each exported file at the optimization level at which tlkit runs it. The images are those of the
    run's test split (or val), and images of every mode and of extreme sizes. A file passes where

    - no probability differs by more than 1e-4 from torch's (1e-2 for a file that scales closely, not exactly),
    - its logits are at most twice as far from those of torch in float64 as float32 torch's are (root mean square),
    - its probabilities move by at least 1e-3 between images, so that a dead network does not pass.

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
    directory = RunDirectory.open(Path(getattr(run, "path", run)))  # type: ignore[arg-type]
    folder = ExportFolder(directory.path / EXPORT_FOLDER)
    files = [open_exported(path) for path in folder.files()]
    _require_source(files, directory.model)
    split = directory.judged_split()
    predictor = load_model(directory.path, device="cpu")
    notes: list[str] = []
    stored, real = _cases_of_run(directory, split, predictor, images, notes)
    made = _made_cases(predictor, notes)
    network, preprocess = predictor.network, predictor.card.preprocess
    anew, anew_full = (
        _torch_probabilities(network, [getattr(case, name) for case in (*real, *made)], preprocess)
        for name in ("scaled", "scaled_full")
    )
    judge = _Judge(predictor.card.classes, real, made)
    if stored is not None and real:
        judge.add(STORED, ANEW, "the run", stored, anew[: len(real)])
    for file in files:
        if file.facts.precision == "int8":
            notes.append(
                f"{file.path.name} is not equal to the model by design; it must move and answer alike in a batch. How "
                f"much accuracy it costs was judged when it was exported: {file.facts.gate}."
            )
        reference = anew if file.facts.kind == "network" and file.facts.preprocess.decode == "reduced" else anew_full
        judge.add_file(file, reference, network)
    result = Verification(
        directory.name,
        split,
        tuple(judge.parities),
        tuple(sorted(judge.differences, key=lambda one: -one.difference)),
        _decode_effect(real, anew, anew_full),
        tuple(notes),
    )
    write_text(folder.verification, json.dumps(result.to_dict(), indent=2, ensure_ascii=False) + "\n")
    return result


class _Judge:
    """Compares probabilities of the same images, and collects the results."""

    def __init__(self, classes: Sequence[str], real: Sequence[_Case], made: Sequence[_Case]) -> None:
        self.parities: list[Parity] = []
        self.differences: list[ImageDifference] = []
        self._classes, self._real, self._made = classes, real, made

    def add(
        self,
        subject: str,
        reference: str,
        engine: str,
        found: Floats,
        expected: Floats,
        *,
        tolerance: float = TOLERANCE,
        distances: tuple[float, float] | None = None,
        problems: Sequence[str] = (),
    ) -> None:
        """Compare probabilities (N, C): those of the real images first, then those of the made ones, if any."""
        real = len(self._real)
        error = np.abs(found.astype(np.float64) - expected).max(axis=1) if len(found) else np.zeros(0)
        labels, expected_labels = found.argmax(axis=1), expected.argmax(axis=1)
        reasons = [*problems]
        cases = [*self._real, *self._made]
        for place in np.flatnonzero(~(error <= tolerance)).tolist():  # NaN is among them
            names = self._classes[expected_labels[place]], self._classes[labels[place]]
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

    def add_file(self, file: ExportedModel, expected: Floats, network: nn.Module) -> None:
        """Compare an exported file with the probabilities of torch."""
        reduced = file.facts.kind == "network" and file.facts.preprocess.decode == "reduced"
        cases = [*self._real, *self._made]
        scaled = [case.scaled if reduced else case.scaled_full for case in cases]
        given = scaled if file.facts.kind == "network" else [_full_pixels(case) for case in cases]
        outputs = [file.run(pixels[None]) for pixels in given]
        logits, found = (np.concatenate(part) for part in zip(*outputs, strict=True))
        is_int8 = file.facts.precision == "int8"
        tolerance = INT8_DIFFERENCE if is_int8 else CLOSE_TOLERANCE if file.facts.resize == "close" else TOLERANCE
        made = range(len(self._real), min(len(cases), len(self._real) + EXACT_IMAGES))
        few = [*range(min(len(self._real), EXACT_IMAGES)), *made]
        distances = None
        if file.facts.resize != "close" and not is_int8:
            distances = _distances(network, [scaled[row] for row in few], logits[few], file.facts.preprocess)
        self.add(
            file.path.name,
            ANEW if reduced else f"{ANEW}, full decode",
            file.engine,
            found,
            expected,
            tolerance=tolerance,
            distances=distances,
            problems=_batch_problems(file, CLOSE_TOLERANCE if is_int8 else tolerance),
        )


def _batch_problems(file: ExportedModel, tolerance: float) -> list[str]:
    """Return whether images have other probabilities in a batch of seven than alone."""
    height, width = file.facts.preprocess.image_size
    size = (height, width) if file.facts.kind == "network" else (height + 13, 2 * width + 5)
    images = np.random.Generator(np.random.PCG64(1)).integers(0, 256, (BATCH, *size, 3), dtype=np.uint8)
    alone = np.concatenate([file.probabilities(image[None]) for image in images])
    error = float(np.abs(file.probabilities(images) - alone).max())
    return [] if error <= tolerance else [f"a batch of {BATCH} differs by {error:.1e} from the same images alone."]


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


def _cases_of_run(
    directory: RunDirectory, split: str, predictor: Predictor, most: int, notes: list[str]
) -> tuple[Floats | None, list[_Case]]:
    """Return the stored probabilities of images of the run, or None where they cannot be compared, and the images."""
    run = Run(directory)
    stored, samples = run.predictions(split), run.samples
    rows = np.arange(len(stored))
    if most and len(rows) > most:
        rows = np.unique(np.linspace(0, len(rows) - 1, most).round().astype(np.int64))
        notes.append(f"{len(rows)} of {len(stored)} images are compared, evenly spaced; --images 0 compares all.")
    cases = []
    for row in rows.tolist():
        path = str(stored.path[row])
        try:
            cases.append(_case(path, row, read_bytes(samples.root / path), predictor.card.preprocess))
        except (OSError, UnreadableImageError) as error:
            logger.warning("%s cannot be read (%s); it is not compared.", path, error)
    if len(cases) < len(rows):
        notes.append(f"{len(rows) - len(cases)} of {len(rows)} images cannot be read; the log names them.")
    problem = _not_comparable(directory, stored)
    if problem:
        notes.append(f"The stored predictions are not compared: {problem}")
    elif stored.proba is not None:
        kept = np.array([case.row for case in cases], dtype=np.int64)
        return stored.proba[kept].astype(np.float32), cases
    return None, cases


def _not_comparable(directory: RunDirectory, stored: Predictions) -> str:
    """Return why stored predictions need not be equal to those of the model in float32; "" = they must be."""
    if stored.proba is None:
        return "they hold no probabilities."
    if stored.tta != "none":
        return f"they are averages over views ({stored.tta})."
    dtype = directory.read_environment().get("features", {}).get("dtype", "float32")
    return "" if dtype == "float32" else f"they come from features in {dtype}."


def _made_cases(predictor: Predictor, notes: list[str]) -> list[_Case]:
    preprocess = predictor.card.preprocess
    named = list(torture_images(preprocess.image_size))
    encoded = read_images([image for _, image in named], background=preprocess.background)
    cases, refused = [], []
    for (name, _), image in zip(named, encoded, strict=True):
        assert isinstance(image, EncodedImage), "the images are in memory"
        if image.problem:
            refused.append(name)
        else:
            cases.append(_case(name, None, image.content, preprocess))
    if refused:
        notes.append(f"Not read by tlkit, so not compared: {', '.join(refused)}.")
    return cases


def _case(name: str, row: int | None, content: bytes, preprocess: Preprocess) -> _Case:
    """Return an image, scaled.

    Raises:
        UnreadableImageError: it cannot be decoded.
    """
    options = DecodeOptions(background=preprocess.background)
    scales: list[int] = []

    def note_scale(width: int, height: int) -> int:
        scales.append(reduction(width, height, preprocess))
        return scales[-1]

    image, facts = open_rgb(content, options, reduction=note_scale)
    scaled = np.asarray(fit(image, preprocess, facts.frame))
    is_reduced = max(scales, default=1) > 1
    full = np.asarray(fit(open_rgb(content, options)[0], preprocess)) if is_reduced else scaled
    return _Case(name, row, content, scaled, full, is_reduced)


def _full_pixels(case: _Case) -> Pixels:
    return np.asarray(open_rgb(case.content)[0])


def _torch_probabilities(network: nn.Module, scaled: Sequence[Pixels], preprocess: Preprocess) -> Floats:
    """Return the probabilities (N, C) of torch in float32, of pixels (H, W, 3)."""
    if not scaled:
        return np.zeros((0, 0), dtype=np.float32)
    with torch.inference_mode():
        parts = [
            torch.softmax(network(_normalized(scaled[at : at + 32], preprocess)).float(), dim=1).numpy()
            for at in range(0, len(scaled), 32)
        ]
    return np.concatenate(parts)


def _normalized(scaled: Sequence[Pixels], preprocess: Preprocess) -> torch.Tensor:
    return normalize(torch.from_numpy(np.stack(scaled)).permute(0, 3, 1, 2), preprocess).contiguous()


def _distances(
    network: nn.Module, scaled: Sequence[Pixels], logits: Floats, preprocess: Preprocess
) -> tuple[float, float] | None:
    """Return the root mean square distance of logits, and of torch's in float32, from torch's in float64.

    Float32 torch is two computations, one for each memory format, whose sums run in different orders; the larger
    distance counts. Where it is smaller than the rounding of the largest logit, that rounding stands for it.

    Returns:
        None where the network does not run in float64.
    """
    images = _normalized(scaled, preprocess)
    try:
        with torch.inference_mode():
            exact = copy.deepcopy(network).double()(images.double()).numpy()
            single = [
                copy.deepcopy(network).to(memory_format=order)(images.to(memory_format=order)).float().numpy()  # type: ignore[call-overload]
                for order in (torch.channels_last, torch.contiguous_format)
            ]
    except RuntimeError:  # a layer that makes float32 tensors of its own
        logger.info("The network does not run in float64; the rule about rounding is not applied.")
        return None
    floor = ROUNDING * float(np.abs(exact).max())
    distance, *own = (float(np.sqrt(np.mean((values - exact) ** 2))) for values in (logits, *single))
    return distance, max(*own, floor)


def _decode_effect(real: Sequence[_Case], anew: Floats, anew_full: Floats) -> DecodeEffect | None:
    rows = [place for place, case in enumerate(real) if case.is_reduced]
    if not rows:
        return None
    error = np.abs(anew[rows].astype(np.float64) - anew_full[rows]).max(axis=1)
    other = int((anew[rows].argmax(axis=1) != anew_full[rows].argmax(axis=1)).sum())
    return DecodeEffect(len(rows), float(error.max()), float(np.median(error)), other)
