"""Detector of unknown images: `unknown.json` and `unknown.safetensors` beside the model. Loading runs no code."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tlkit.arrays import Floats, Mask
from tlkit.disk import atomic_file, write_text
from tlkit.errors import ModelError, refuse_newer
from tlkit.features.ood.scores import OodScore, require_score
from tlkit.plain_values import from_plain, to_plain
from tlkit.stats.unknown_threshold import UnknownThreshold
from tlkit.stored_values import check_types, damaged, read_json

DETECTOR, ARRAYS = "unknown.json", "unknown.safetensors"
FORMAT_VERSION = 1
REMEDY = "Make it again with: tlkit unknown RUN"
ARRAY_NAMES = {"msp": set(), "energy": set(), "knn": {"reference"}, "mahalanobis": {"means", "factor"}}
TENSORS = ("model.safetensors", "head.skops")


@dataclass(frozen=True, eq=False)
class UnknownDetector:
    """A fitted score with its threshold; images that score above it are called unknown.

    Attributes:
        score: the score.
        threshold: from in-distribution validation images, with a value.
        model: sha256 (hex) of the model's files that it was made for.
        width: number of features.
    """

    score: OodScore
    threshold: UnknownThreshold
    model: str
    width: int

    def scores(self, x: npt.NDArray[np.floating], logits: npt.NDArray[np.floating]) -> Floats:
        """Return the score of images, shape (N,), from features (N, D) and logits (N, C); higher = more foreign."""
        return self.score.score(x, logits)

    def is_unknown(self, scores: Floats) -> Mask:
        """Return which images are called unknown, shape (N,)."""
        assert self.threshold.value is not None, "a stored threshold has a value"
        return np.asarray(scores > self.threshold.value)


def model_digest(folder: Path) -> str:
    """Return the sha256 (hex) of a stored model's tensors and head."""
    digest = hashlib.sha256()
    for name in TENSORS:
        if (folder / name).is_file():
            with (folder / name).open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def save_detector(folder: Path, detector: UnknownDetector) -> None:
    """Write a detector beside its model; each file appears whole or not at all, the one that names the other last."""
    from safetensors.numpy import save

    (folder / DETECTOR).unlink(missing_ok=True)
    content = save({name: np.ascontiguousarray(array) for name, array in detector.score.arrays.items()})
    with atomic_file(folder / ARRAYS) as partial:
        partial.write_bytes(content)
    values = {
        "format_version": FORMAT_VERSION,
        "score": detector.score.name,
        "k": detector.score.k,
        "width": detector.width,
        "threshold": to_plain(detector.threshold),
        "model": detector.model,
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    write_text(folder / DETECTOR, json.dumps(values, indent=2) + "\n")


def load_detector(folder: Path) -> UnknownDetector:
    """Return the detector that was stored beside a model.

    Raises:
        ModelError: there is none, it is damaged, a newer tlkit wrote it, or it was made for another model.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    path = folder / DETECTOR
    if not path.is_file():
        raise ModelError(
            f"{folder} has no threshold for unknown images ({DETECTOR} is missing). Make one with: tlkit unknown RUN"
        )
    values = read_json(path, error=ModelError, remedy=REMEDY)
    refuse_newer(f"{path} was", values.get("format_version"), known=FORMAT_VERSION, error=ModelError)
    content = (folder / ARRAYS).read_bytes() if (folder / ARRAYS).is_file() else b""
    if hashlib.sha256(content).hexdigest() != values.get("sha256"):
        raise ModelError(f"{folder / ARRAYS} is damaged or missing: its sha256 is not the one in {DETECTOR}. {REMEDY}")
    if values.get("model") != model_digest(folder):
        raise ModelError(f"{path} was made for another model than the one beside it. {REMEDY}")
    with damaged(path, error=ModelError, remedy=REMEDY):
        try:
            arrays = load(content)
        except SafetensorError as error:
            raise ValueError(str(error)) from error
        return _checked(values, arrays)


def _checked(values: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> UnknownDetector:
    """Return the detector after comparing the shapes of its arrays; raise ValueError where they do not fit."""
    name, k, width = require_score(str(values["score"])), values["k"], values["width"]
    threshold = from_plain(UnknownThreshold, values["threshold"])
    check_types(threshold)
    if set(arrays) != ARRAY_NAMES[name] or any(array.dtype != np.float32 for array in arrays.values()):
        raise ValueError(f"{ARRAYS} does not hold what {name} needs")
    rows = next((len(array) for array in arrays.values()), 0)
    if any(array.ndim != 2 or array.shape[1] != width for array in arrays.values()):
        raise ValueError("the arrays have another width than the features")
    if threshold.value is None or (name == "knn" and not 1 <= k <= rows):
        raise ValueError("threshold or k has no usable value")
    return UnknownDetector(OodScore(name, dict(arrays), int(k)), threshold, str(values["model"]), int(width))
