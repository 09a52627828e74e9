"""`ExportedModel`: an exported file that has been checked, with its facts and the session that runs it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from tlkit.arrays import Floats32
from tlkit.errors import ModelError
from tlkit.exported.embedded_digest import require_digest
from tlkit.exported.facts import LOGITS, MASK, NETWORK_INPUT, PROBABILITIES, REMEDY, ExportedFacts, facts_of_text
from tlkit.exported.network_input import normalize_pixels
from tlkit.exported.sessions import OnnxRuntimeSession, OpenVinoSession, Session
from tlkit.input_files import refuse_pipe

SUFFIXES = (".onnx", ".xml")
"""Endings of exported files; weights of an .xml lie beside it, in a .bin."""


class ExportedModel:
    """An exported file: images to probabilities, without torch.

    Attributes:
        path: the file.
        facts: what it states about itself.
        engine: name and version of what runs it.
        is_concurrent: whether several threads may run it at the same time.
    """

    def __init__(self, path: Path, facts: ExportedFacts, session: Session) -> None:
        self.path = path
        self.facts = facts
        self.engine = session.engine
        self.is_concurrent = session.is_concurrent
        self._session = session

    def __repr__(self) -> str:
        return f"ExportedModel({self.path}, {self.facts.architecture}, {len(self.facts.classes)} classes)"

    def logits(self, images: npt.NDArray[np.uint8]) -> Floats32:
        """Return the scores (N, C) before the softmax; arguments as for `probabilities`."""
        return self.run(images)[0]

    def probabilities(self, images: npt.NDArray[np.uint8]) -> Floats32:
        """Return probabilities, shape (N, C), in the order of the facts' `classes`; of numbers these, shape (N, 1).

        Those of segmentation are (N, C, h, w), in the size of the network's input; so are its logits.

        Args:
            images: uint8 RGB, shape (N, H, W, 3). A file of the kind `model` takes any H and W; one of the kind
                `network` the input size, as `tlkit.data.decode.resizing.resize_image` gives it.

        Raises:
            ModelError: the images have another type or shape.
        """
        return self.run(images)[1]

    def run(self, images: npt.NDArray[np.uint8]) -> tuple[Floats32, Floats32]:
        """Return logits and probabilities, each of shape (N, C); arguments and errors as for `probabilities`."""
        self._require_pixels(images)
        size = self.facts.preprocess.image_size
        if self.facts.kind == "network":
            if images.shape[1:3] != size:
                raise ModelError(
                    f"{self.path} takes images of {size[0]}x{size[1]} px (H x W). Got {images.shape[1]}x"
                    f"{images.shape[2]}. Scale them first, or use model.onnx."
                )
            return self.run_normalized(normalize_pixels(images, self.facts.preprocess))
        logits, proba = self._session((LOGITS, self.facts.scores_output), np.ascontiguousarray(images))
        return logits, proba

    def masks(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """Return the position of each pixel's class, shape (N, H, W); for files of segmentation of the kind `model`.

        Args:
            images: uint8 RGB, shape (N, H, W, 3), of any H and W.

        Raises:
            ModelError: the images have another type or shape.
        """
        self._require_masks(images)
        (found,) = self._session((MASK,), np.ascontiguousarray(images))
        return found

    def run_with_masks(self, images: npt.NDArray[np.uint8]) -> tuple[Floats32, Floats32, npt.NDArray[np.uint8]]:
        """Return logits and probabilities, (N, C, h, w) each, and masks (N, H, W); arguments as for `masks`."""
        self._require_masks(images)
        logits, proba, found = self._session((LOGITS, PROBABILITIES, MASK), np.ascontiguousarray(images))
        return logits, proba, found

    def _require_masks(self, images: npt.NDArray[np.uint8]) -> None:
        assert (self.facts.kind, self.facts.task) == ("model", "segmentation"), "no other file has masks"
        self._require_pixels(images)

    def _require_pixels(self, images: npt.NDArray[np.uint8]) -> None:
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != 3 or 0 in images.shape:
            raise ModelError(f"{self.path} takes uint8 RGB of shape (N, H, W, 3). Got {images.dtype} {images.shape}.")

    def run_normalized(self, image: Floats32) -> tuple[Floats32, Floats32]:
        """Return logits and probabilities of normalized images (N, 3, H, W); for files of the kind `network`."""
        assert self.facts.kind == "network", "a file of the kind `model` takes pixels"
        logits, proba = self._session((LOGITS, self.facts.scores_output), image)
        return logits, proba


def is_exported(path: str | Path) -> bool:
    """Return whether a path ends as exported files do.

    Example:
        >>> is_exported("export/model.onnx"), is_exported("runs/quickstart")
        (True, False)
    """
    return Path(path).suffix.lower() in SUFFIXES


def open_exported(path: str | Path, *, threads: int = 0) -> ExportedModel:
    """Return an exported file, ready to run, after its digest has been checked.

    Args:
        path: `network.onnx`, `model.onnx` or `network.xml`.
        threads: threads of one run; 0 = as many as there are cores.

    Raises:
        ModelError: there is no such file; it was not exported by tlkit; it has been changed or truncated; or the
            engine refuses it.
        MissingExtraError: OpenVINO is needed and not installed.
    """
    path = Path(path)
    if not is_exported(path):
        raise ModelError(f"{path} is no exported model. Name a file that ends in {' or '.join(SUFFIXES)}.")
    refuse_pipe(path, error=ModelError)
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise ModelError(f"There is no {path}. {REMEDY}") from None
    except IsADirectoryError:
        raise ModelError(f"{path} is a folder. Name a file in it.") from None
    session: Session
    if path.suffix.lower() == ".xml":
        session = OpenVinoSession(path, content, threads=threads)
    else:
        require_digest(content, path=path)
        session = OnnxRuntimeSession(path, content, threads=threads)
    facts = facts_of_text(session.facts, path=path)
    if (session.input == NETWORK_INPUT) != (facts.kind == "network"):
        raise ModelError(f"{path} contradicts itself: its input is {session.input}, its kind {facts.kind}. {REMEDY}")
    return ExportedModel(path, facts, session)
