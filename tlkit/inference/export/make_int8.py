"""`make_int8`: a run's network in int8, and whether it is no worse than in float on the run's judged images."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx

from tlkit.arrays import Pixels
from tlkit.data.decode.decode_options import DecodeOptions
from tlkit.data.decode.decoding import UnreadableImageError, open_rgb
from tlkit.data.decode.resizing import reduction, resize_image
from tlkit.data.sources.read_bytes import read_bytes
from tlkit.errors import ModelError
from tlkit.exported.facts import PROBABILITIES, ExportedFacts
from tlkit.exported.int8_report import INT8_TOLERANCE, Int8Report, judge_int8
from tlkit.exported.network_input import normalize_pixels
from tlkit.exported.sessions import OnnxRuntimeSession
from tlkit.inference.export.quantization import quantize_network
from tlkit.preprocess import Preprocess
from tlkit.runs import RunDirectory
from tlkit.runs.run import Run
from tlkit.runs.run_options import options_of_run

logger = logging.getLogger(__name__)

CALIBRATION, HELD_OUT = 96, 48
"""Training images that give the ranges of the activations, and others on which attempts are compared; at most."""
BATCH = 32


def make_int8(
    directory: RunDirectory, network: onnx.ModelProto, facts: ExportedFacts, *, tolerance: float | None
) -> tuple[Int8Report, onnx.ModelProto]:
    """Return the verdict on a run's network in int8, and that network.

    It is calibrated on training images. Float and int8 are judged on every image of the run's judged split, at the
    optimization level at which tlkit runs files.

    Args:
        directory: the run.
        network: its network in float, which takes normalized images.
        facts: those of the network's file.
        tolerance: largest loss of accuracy that is tolerated; None = the default.

    Raises:
        ModelError: fewer than 2 training images can be read, or the network cannot be quantized.
    """
    run = Run(directory)
    split = run.judged_split()
    preprocess = facts.preprocess
    calibration, held_out = _training_images(run, preprocess)
    quantized = quantize_network(network, calibration=calibration, held_out=held_out)
    contents = [proto.SerializeToString() for proto in (network, quantized.proto)]
    sessions = [
        OnnxRuntimeSession(Path(name), content) for name, content in zip(("float", "int8"), contents, strict=True)
    ]
    stored = run.predictions(split)
    found: list[list[npt.NDArray[np.float32]]] = [[], []]
    kept: list[int] = []
    for rows, pixels in _batches(_pixels(run, stored.path.tolist(), preprocess)):
        kept += rows
        given = normalize_pixels(pixels, preprocess)
        for place, session in enumerate(sessions):
            found[place] += session((PROBABILITIES,), given)
    if not kept:
        raise ModelError(f"None of the {len(stored)} images of the {split} split can be read; int8 cannot be judged.")
    some = stored.take(np.array(kept, dtype=np.int64))
    tables = []
    for parts in found:
        proba = np.concatenate(parts).astype(np.float64)
        tables.append(replace(some, proba=proba, y_pred=proba.argmax(axis=1).astype(some.y_pred.dtype), tta="none"))
    report = judge_int8(
        *tables, split=split, tolerance=INT8_TOLERANCE if tolerance is None else tolerance, options=options_of_run(run)
    )
    report = replace(
        report,
        engine=sessions[0].engine,
        calibration=len(calibration),
        float_nodes=quantized.float_nodes,
        tried=quantized.tried,
        size=len(contents[1]),
        float_size=len(contents[0]),
    )
    return report, quantized.proto


def require_calibration_images(directory: RunDirectory) -> None:
    """Check that a run names training images, before its network is exported.

    Raises:
        ModelError: it names fewer than 2.
    """
    _require_enough(len(Run(directory).samples.split("train").paths), directory.path, "named")


def _require_enough(count: int, path: Path, what: str) -> None:
    if count < 2:
        raise ModelError(
            f"{count} training images of {path} are {what}; int8 needs 2 at least for its calibration. Restore the "
            "images, or export without --int8."
        )


def _training_images(run: Run, preprocess: Preprocess) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Return normalized training images that calibrate, and others; evenly spaced over the training split."""
    paths = run.samples.split("train").paths.tolist()
    count = min(len(paths), CALIBRATION + HELD_OUT)
    chosen = [paths[place] for place in np.unique(np.linspace(0, len(paths) - 1, count).astype(int))] if paths else []
    pixels = [image for _, image in _pixels(run, chosen, preprocess)]
    _require_enough(len(pixels), run.path, "readable")
    is_held_out = np.arange(len(pixels)) % 3 == 1
    images = normalize_pixels(np.stack(pixels), preprocess)
    return images[~is_held_out], images[is_held_out]


def _pixels(run: Run, paths: Sequence[str], preprocess: Preprocess) -> Iterator[tuple[int, Pixels]]:
    """Yield place and pixels (H, W, 3) of each image that can be read, in the input size."""
    root, options = run.samples.root, DecodeOptions(background=preprocess.background)
    for place, path in enumerate(paths):
        try:
            image, decoded = open_rgb(
                read_bytes(root / path), options, reduction=lambda w, h: reduction(w, h, preprocess)
            )
        except (OSError, UnreadableImageError) as error:
            logger.warning("%s cannot be read (%s); it is left out.", path, error)
            continue
        yield place, np.asarray(resize_image(image, preprocess, decoded.frame))


def _batches(images: Iterable[tuple[int, Pixels]]) -> Iterator[tuple[list[int], Pixels]]:
    rows: list[int] = []
    pixels: list[Pixels] = []
    for row, image in images:
        rows.append(row)
        pixels.append(image)
        if len(rows) == BATCH:
            yield rows, np.stack(pixels)
            rows, pixels = [], []
    if rows:
        yield rows, np.stack(pixels)
