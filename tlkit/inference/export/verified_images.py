"""The images on which exported files are compared with a model: those of its run, and images made for the test."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tlkit.arrays import Floats32, Pixels
from tlkit.data.decode.decode_options import DecodeOptions
from tlkit.data.decode.decoding import UnreadableImageError, open_rgb
from tlkit.data.decode.resizing import reduction, resize_image
from tlkit.data.sources.given_images import EncodedImage, read_images
from tlkit.data.sources.read_bytes import read_bytes
from tlkit.errors import first_few
from tlkit.evaluation.compared_models import AnyTable
from tlkit.inference.export.torture_images import torture_images
from tlkit.predictions import DetectionPredictions, MaskPredictions, NumberPredictions, Predictions
from tlkit.preprocess import Preprocess
from tlkit.runs import RunDirectory
from tlkit.runs.compare_runs import table_of
from tlkit.runs.run import Run


@dataclass(frozen=True)
class Case:
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


def cases_of_run(
    directory: RunDirectory, split: str, preprocess: Preprocess, most: int, notes: list[str]
) -> tuple[Floats32 | None, list[Case]]:
    """Return the stored probabilities of images of the run, or None where they cannot be compared, and the images."""
    run = Run(directory)
    stored = table_of(run, split)
    cases = cases_of_paths(run.samples.root, stored.path.tolist(), preprocess, most, notes)
    scores = _stored_scores(stored)
    tta = stored.tta if isinstance(stored, Predictions) else run.recipe.evaluate.tta
    problem = _not_comparable(directory, scores, tta)
    if problem:
        notes.append(f"The stored predictions are not compared: {problem}")
    elif scores is not None:
        kept = np.array([case.row for case in cases], dtype=np.int64)
        return scores[kept].astype(np.float32), cases
    return None, cases


def cases_of_paths(root: Path, paths: Sequence[str], preprocess: Preprocess, most: int, notes: list[str]) -> list[Case]:
    """Return images below a folder, at most `most` (0 = all), evenly spaced; unreadable ones are left out and noted."""
    rows = np.arange(len(paths))
    if most and len(rows) > most:
        rows = np.unique(np.linspace(0, len(rows) - 1, most).round().astype(np.int64))
        notes.append(f"{len(rows)} of {len(paths)} images are compared, evenly spaced; --images 0 compares all.")
    cases, lacking, refused = [], list[str](), list[str]()
    for row in rows.tolist():
        path = str(paths[row])
        try:
            cases.append(_case(path, row, read_bytes(root / path), preprocess))
        except FileNotFoundError:
            lacking.append(path)
        except (OSError, UnreadableImageError) as error:
            refused.append(f"{path} ({getattr(error, 'strerror', None) or error})")
    if lacking:
        notes.append(
            f"{len(lacking)} of {len(rows)} images are not compared: there is no such file below {root}: "
            f"{first_few(lacking)}. Were they moved? Put them there again, or run the command in the folder of the fit."
        )
    if refused:
        notes.append(f"{len(refused)} of {len(rows)} images cannot be read and are not compared: {first_few(refused)}.")
    return cases


def _stored_scores(stored: AnyTable) -> npt.NDArray[np.float64] | None:
    """Return the stored probabilities (N, C) or numbers (N, 1); None where a run stores neither, as of grades."""
    if isinstance(stored, NumberPredictions):
        return None if stored.grades else stored.y_pred[:, None]
    return None if isinstance(stored, MaskPredictions | DetectionPredictions) else stored.proba


def _not_comparable(directory: RunDirectory, scores: npt.NDArray[np.float64] | None, tta: str) -> str:
    """Return why stored predictions need not be equal to those of the model in float32; "" = they must be."""
    if scores is None:
        return "they hold no probabilities."
    if tta != "none":
        return f"they are averages over views ({tta})."
    dtype = directory.read_environment().get("features", {}).get("dtype", "float32")
    return "" if dtype == "float32" else f"they come from features in {dtype}."


def made_cases(preprocess: Preprocess, notes: list[str]) -> list[Case]:
    """Return images of every mode and of extreme sizes; those that tlkit does not read are noted."""
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


def _case(name: str, row: int | None, content: bytes, preprocess: Preprocess) -> Case:
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
    scaled = np.asarray(resize_image(image, preprocess, facts.frame))
    is_reduced = max(scales, default=1) > 1
    full = np.asarray(resize_image(open_rgb(content, options)[0], preprocess)) if is_reduced else scaled
    return Case(name, row, content, scaled, full, is_reduced)


def full_pixels(case: Case, preprocess: Preprocess) -> Pixels:
    """Return the pixels of an image in its own size, RGB (H, W, 3), on the model's background."""
    return np.asarray(open_rgb(case.content, DecodeOptions(background=preprocess.background))[0])
