"""Predictions that say which images are unknown: beyond the stored threshold of an out-of-distribution score."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from tlkit.arrays import Floats, Mask
from tlkit.choices import BATCH_SIZE
from tlkit.data.sources.given_images import GivenImages
from tlkit.errors import ModelError
from tlkit.features.ood.store import UnknownDetector, load_detector
from tlkit.inference.predictor import ROWS, Predictor
from tlkit.models.network import Network, ScoredHead
from tlkit.predictions import Predictions, Unreadable
from tlkit.runs import find_model, folder_of_run

UNKNOWN, SCORE = "unknown", "unknown_score"
"""Group columns that hold whether an image is unknown ("yes", "no"), and its score."""


@dataclass(frozen=True, eq=False)
class UnknownPredictions:
    """Predictions, and which of the images are unknown to the model.

    Attributes:
        predictions: the model's predictions, unchanged, with the group columns `unknown` and `unknown_score`.
        score: of each image, shape (N,), higher = more foreign.
        unknown: which images are beyond the threshold, shape (N,).
        detector: the score and the threshold.
    """

    predictions: Predictions
    score: Floats
    unknown: Mask
    detector: UnknownDetector


def predict_unknown(
    model: Predictor,
    images: GivenImages,
    *,
    run: str | Path | object,
    batch_size: int = BATCH_SIZE,
    progress: Callable[[int, int], None] | None = None,
    on_unreadable: Callable[[Unreadable], None] | None = None,
) -> UnknownPredictions:
    """Return a model's predictions and which images are unknown to it, in one pass through the network.

    Args:
        model: the model of the run.
        images: what `Predictor.predict` takes.
        run: the run, its directory or the model's folder, where `tlkit.find_unknown` stored the threshold.
        batch_size: images per forward pass.
        progress: called with (images predicted, images in all) after each batch.
        on_unreadable: as for `Predictor.predict`.

    Raises:
        ModelError: the run has no stored threshold, or one for another model.
        DataError: as for `Predictor.predict`.
    """
    detector = load_detector(find_model(folder_of_run(run)))
    if model.network.head.in_features != detector.width:
        raise ModelError(f"The threshold takes {detector.width} features; the model has others. Use the run's own.")
    seen: list[npt.NDArray[np.float32]] = []

    def note_features(_: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        seen.append(inputs[0].detach().float().cpu().numpy())

    handle = model.network.head.register_forward_pre_hook(note_features)
    try:
        predictions = model.predict(  # torch: the check of another engine would pass features through the head, too
            images, batch_size=batch_size, engine="torch", progress=progress, on_unreadable=on_unreadable
        )
    finally:
        handle.remove()
    x = np.concatenate(seen)
    assert len(x) == len(predictions), "a row of features per prediction"
    score = detector.scores(x, logits_of(model.network, x))
    unknown = detector.is_unknown(score)
    columns = pd.DataFrame(
        {UNKNOWN: np.where(unknown, "yes", "no"), SCORE: [f"{value:.6g}" for value in score.tolist()]}
    ).astype("string")
    return UnknownPredictions(replace(predictions, groups=columns), score, unknown, detector)


def logits_of(network: Network, x: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
    """Return the logits (N, C) of features (N, D); log probabilities where the head is scikit-learn's."""
    network.eval()
    device = next(network.parameters()).device
    with torch.inference_mode():
        blocks = (np.array(x[at : at + ROWS], dtype=np.float32) for at in range(0, len(x), ROWS))
        parts = [network.head(torch.from_numpy(block).to(device)).float().cpu().numpy() for block in blocks]
    return np.concatenate(parts) if parts else np.zeros((0, 0), dtype=np.float32)


def gives_logits(network: Network) -> bool:
    """Return whether the head gives logits; scikit-learn's other heads give probabilities, whose energy is constant."""
    return not isinstance(network.head, ScoredHead)
