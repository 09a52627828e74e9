"""The engine that runs a model's backbone for prediction: the network in torch, or a graph that agrees with it."""

from __future__ import annotations

import logging
import threading
from typing import get_args

import numpy as np
import numpy.typing as npt
import torch

from tlkit.choices import ENGINE_TOLERANCE, GraphEngineName, PredictEngine, Views
from tlkit.data.augment.tta_views import views_of
from tlkit.data.loading.dataset import ImageDataset
from tlkit.errors import DataError, did_you_mean
from tlkit.features.engines.engine_choice import PROBE_IMAGES, available_engines, choose_engine, create_engine
from tlkit.features.engines.graph_engines import IMAGES_PER_RUN
from tlkit.features.engines.torch_engine import Engine
from tlkit.inference.concurrent_runs import filled, first_images
from tlkit.inference.devices import one_thread
from tlkit.inference.embed import PixelBackbone, folded_backbone
from tlkit.models.network import Network
from tlkit.preprocess import Preprocess

logger = logging.getLogger(__name__)

AUTO: GraphEngineName = "onnxruntime"
FEW_IMAGES = 512
"""With fewer images `auto` stays with torch: exporting the graph and opening a session takes longer than it saves."""
_ONE_AT_A_TIME = threading.Lock()
"""Held while torch has one thread, so that callers in several threads restore its number."""
COMPARED = 2 * IMAGES_PER_RUN
"""Images on which engines are compared; some at least are black."""
PROBABILITY_TOLERANCE = 1e-4
"""Largest difference of a probability from float32 torch on the compared images; `tlkit verify` allows as much."""


def require_engine(name: str) -> None:
    """Check the name of an engine.

    Raises:
        DataError: there is no such engine for predictions.
    """
    known = get_args(PredictEngine)
    if name not in known:
        raise DataError(
            f"There is no engine {name!r} for predictions. There are {', '.join(known)}."
            f"{did_you_mean(str(name), known)}"
        )


class PredictionEngines:
    """The engines of one network, each built once; the network must not change after that.

    OpenVINO has an engine for each batch size; ONNX Runtime takes any number of images.

    Args:
        network: the model, in evaluation mode, on `device`.
        preprocess: input size, mean and standard deviation.
        device: where torch runs it.
    """

    def __init__(self, network: Network, preprocess: Preprocess, *, device: str) -> None:
        self._network, self._preprocess, self._device = network, preprocess, device
        self._named: dict[tuple[GraphEngineName, int], Engine] = {}
        self._agreed: list[Engine | None] = []  # what `auto` found

    def of(
        self, engine: PredictEngine, dataset: ImageDataset, *, images: int, batch_size: int, tta: Views
    ) -> Engine | None:
        """Return an engine of the backbone, uint8 (B, 3, H, W) to features (B, D); None = the network in torch.

        Auto takes ONNX Runtime on a CPU for `FEW_IMAGES` images and more, where it agrees with torch on the first ones
        of the dataset. Predictions are float32 whatever the device, so on a GPU it takes torch.

        Raises:
            MissingExtraError: the package of a named engine is not installed; the message has its pip line.
            DataError: a named engine cannot run this network.
        """
        if engine == "torch":
            return None
        if engine != "auto":
            size = batch_size if engine == "openvino" else IMAGES_PER_RUN
            if (engine, size) not in self._named:
                self._named[engine, size] = self._build(engine, size)
            return self._named[engine, size]
        if images < FEW_IMAGES or available_engines(self._device)[0] != AUTO:
            logger.debug("Engine: torch (auto, %d images, %s). --engine or engine= changes it.", images, self._device)
            return None
        if not self._agreed:
            pixels, real = _first_images(dataset, self._preprocess, tta=tta)
            found = agreeing_engine(self._network, self._preprocess, pixels, real=real) if real else None
            self._agreed.append(found)
            name = "torch" if found is None else AUTO
            logger.info("Engine: %s (auto, %d images). --engine or engine= changes it.", name, images)
        return self._agreed[0]

    def _build(self, name: GraphEngineName, batch_size: int) -> Engine:
        black = torch.zeros(batch_size, 3, *self._preprocess.image_size, dtype=torch.uint8)
        try:
            return create_engine(name, folded_backbone(self._network.backbone, self._preprocess), black, device="cpu")
        except (RuntimeError, ValueError, TypeError, NotImplementedError) as error:  # an exporter's or a runtime's
            logger.debug("%s cannot run the backbone.", name, exc_info=True)
            raise DataError(
                f"The engine {name} cannot run this network ({type(error).__name__}). Use the engine torch, or auto."
            ) from error


def agreeing_engine(network: Network, preprocess: Preprocess, pixels: torch.Tensor, *, real: int) -> Engine | None:
    """Return the engine that `auto` prefers on a CPU if it agrees with float32 torch; else None.

    The features are held to the rule of `features.engine` (cosine and decisions of random classifiers), and the
    model's own probabilities to `PROBABILITY_TOLERANCE`.

    Args:
        network: the model, in evaluation mode, on the CPU.
        preprocess: mean and standard deviation.
        pixels: a full batch, uint8 (B, 3, H, W), whose first images are real.
        real: how many those are.
    """
    module = PixelBackbone(network.backbone, preprocess)
    engine = choose_engine(
        module,
        lambda: folded_backbone(network.backbone, preprocess),
        pixels,
        device="cpu",
        tolerance=ENGINE_TOLERANCE,
        key="engine",
    )
    if engine.name.startswith("torch"):
        return None
    with torch.inference_mode():
        expected = network.scores(module(pixels[:real]).float()).numpy()
    found = head_probabilities(network, engine(pixels)[:real])
    difference = float(np.abs(found - expected).max())
    if not difference <= PROBABILITY_TOLERANCE:  # NaN fails too
        logger.info(
            "%s changes a probability by %.1e, and %.0e is allowed, so torch predicts.",
            engine.name,
            difference,
            PROBABILITY_TOLERANCE,
        )
        return None
    logger.debug("%s: largest difference of a probability %.1e on %d images.", engine.name, difference, real)
    return engine


def head_probabilities(network: Network, features: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return what the network's head says (B, C), calibrated if it is, from features (B, D).

    It runs on `IMAGES_PER_RUN` rows at a time, the last ones filled with zeros, and in one thread: the bits of a matrix
    product depend on its number of rows and on the number of torch's threads (with torch 2.13 on 37 classes).
    """
    device, count = next(network.parameters()).device, len(features)
    padded = torch.from_numpy(np.pad(features, ((0, -count % IMAGES_PER_RUN), (0, 0)))).to(device)
    with _ONE_AT_A_TIME, one_thread(), torch.inference_mode():
        found = [network.scores(rows).cpu().numpy() for rows in torch.split(padded, IMAGES_PER_RUN)]
    return np.concatenate(found)[:count]


def _first_images(dataset: ImageDataset, preprocess: Preprocess, *, tta: Views) -> tuple[torch.Tensor, int]:
    """Return the first readable images, black ones after them, and the number of the former."""
    pictures = first_images(dataset, most=PROBE_IMAGES)
    if not len(pictures):
        return torch.zeros(COMPARED, 3, *preprocess.image_size, dtype=torch.uint8), 0
    view = next(views_of(torch.from_numpy(pictures), tta, size=preprocess.image_size))
    return filled(view, COMPARED), len(pictures)
