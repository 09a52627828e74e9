"""`export_run`: writes a run's model as ONNX or OpenVINO files beside its other results, and verifies them."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal, get_args

import onnx
from torch import nn

from tlkit.choices import VERIFIED_IMAGES, ExportFormat
from tlkit.data.decode.decoding import DECODER
from tlkit.disk import atomic_file
from tlkit.errors import ModelError, RunError, TlkitError, did_you_mean, other_task
from tlkit.exported.export_folder import (
    EXPORT_FOLDER,
    FAST_MODEL_ONNX,
    MODEL_INT8,
    MODEL_ONNX,
    NETWORK_INT8,
    NETWORK_ONNX,
    NETWORK_OPENVINO,
    ExportFolder,
)
from tlkit.exported.facts import ExportedFacts
from tlkit.exported.int8_report import Int8Report
from tlkit.exported.model import open_exported
from tlkit.exported.verification import Verification
from tlkit.features.heads import load_head
from tlkit.inference.export.export_ladder import NetworkGraph, export_network
from tlkit.inference.export.head_graph import require_converter
from tlkit.inference.export.make_int8 import make_int8, require_calibration_images
from tlkit.inference.export.model_graph import onnx_content, with_preprocessing
from tlkit.inference.export.openvino_files import convert_to_openvino, require_openvino
from tlkit.inference.export.verify_run import verify_run
from tlkit.inference.stored_model import load_any_task
from tlkit.models.mask_decoder import DecoderFacts
from tlkit.models.model_files import ModelFacts, read_model_facts
from tlkit.models.model_format import task_of_model
from tlkit.preprocess import Decode
from tlkit.runs import RunDirectory, folder_of_run, write_lock
from tlkit.runs.answer_rules import AnswerRules

logger = logging.getLogger(__name__)

PACKAGES = ("tlkit", "torch", "timm", "onnx", "onnxscript", "onnxruntime", "openvino", "pillow", "numpy")
"""Packages whose versions an exported file names."""


@dataclass(frozen=True)
class Export:
    """What an export wrote.

    Attributes:
        files: the files, in the order in which they were written.
        rung: the exporter that succeeded; see `export_network`.
        refused: why each exporter before it was not taken.
        verification: how the files compare with the run.
        int8: the verdict on int8, whether or not its files were written; None = not requested.
    """

    files: tuple[Path, ...]
    rung: str
    refused: tuple[str, ...]
    verification: Verification
    int8: Int8Report | None = None

    @property
    def exit_code(self) -> int:
        """0 = the files agree with the model, and int8 passes; 1 = a comparison or int8 fails; 3 = not enough data."""
        codes = {self.verification.exit_code, 0 if self.int8 is None else self.int8.exit_code}
        return 1 if 1 in codes else max(codes)


@dataclass(frozen=True)
class _Planned:
    """A file to be written: its facts, and what writes it with facts in a folder."""

    name: str
    facts: ExportedFacts
    write: Callable[[Path, ExportedFacts], None]


def export_run(
    run: str | Path | object,
    *,
    format: ExportFormat = "onnx",
    fast: bool = False,
    decode: Decode | None = None,
    images: int = VERIFIED_IMAGES,
    int8: bool = False,
    tolerance: float | None = None,
    require: Literal["PASS"] | None = None,
    abstain_at_risk: float | None = None,
) -> Export:
    """Write a run's model to its folder `export`, verify the files, and return what was written.

    `onnx` writes `network.onnx`, which takes the network's float input, and `model.onnx`, which takes uint8 RGB pixels
    of any size and gives calibrated probabilities and the name of the class, or of segmentation the class of each
    pixel. `openvino` writes `network.xml` with `network.bin`. Earlier files of these names are replaced.

    Args:
        run: a run or its directory.
        format: onnx or openvino.
        fast: also write `model-fast.onnx`, which scales by ONNX's Resize: close to Pillow's pixels, not equal.
        decode: how JPEGs are to be decoded for the exported model; None = as in the run. A graph cannot imitate
            `reduced`, which lets the decoder scale; with `full`, tlkit and any other decoder give the same pixels.
        images: images of the run that the files are verified on at most.
        int8: also write `network-int8.onnx` and `model-int8.onnx`, judged against float32 on every image of the judged
            split, overall and by every column of the recipe's `audit.by`.
        tolerance: loss of accuracy that int8 may cost, overall and in each group, in [0, 1); None = 0.05.
        require: "PASS" = write the int8 files only if they pass.
        abstain_at_risk: wanted share of wrong answers among the answered; the files then state below which confidence
            the model abstains, from its validation images (see `tlkit abstain`).

    Raises:
        ModelError: the model cannot be exported; the message says why and what to do.
        RunError: there is no such run, or it has no stored model.
        MissingExtraError: OpenVINO, or skl2onnx for a head that is not linear, is not installed.
        PredictionsError: no threshold can be guaranteed for the risk.

    Example:
        >>> export_run("runs/pets", format="openvino", fast=True)
        Traceback (most recent call last):
        tlkit.errors.RunError: --fast is a variant of model.onnx. Leave it out, or use --format onnx.

        `export_run("runs/pets").files` names `network.onnx` and `model.onnx` in the run's folder `export`.
    """
    if format not in get_args(ExportFormat):
        known = get_args(ExportFormat)
        raise RunError(f"There is no format {format!r}. Use {' or '.join(known)}.{did_you_mean(str(format), known)}")
    if fast and format != "onnx":
        raise RunError("--fast is a variant of model.onnx. Leave it out, or use --format onnx.")
    _require_int8_options(int8=int8, tolerance=tolerance, require=require, format=format)
    if format == "openvino":
        require_openvino()
    directory = RunDirectory.open(folder_of_run(run))
    if task_of_model(directory.model) == "detection":
        raise ModelError(other_task(str(directory.path), "detection"))
    facts = _require_exportable(directory, int8=int8, format=format, decode=decode)
    if facts.task != "multiclass" and abstain_at_risk is not None:
        raise ModelError(
            f"--abstain-at-risk is about one class for each image, and {directory.path} is of the task {facts.task}. "
            "Leave it out."
        )
    head = None if facts.head_file is None else load_head(directory.model)
    if int8:
        require_calibration_images(directory)
    threshold = None
    if abstain_at_risk is not None:
        rules = AnswerRules.of(directory.path, risk=abstain_at_risk, coverage=None, method="lac")
        assert rules.threshold is not None, "a risk has a threshold, or is refused"
        threshold = rules.threshold.threshold
    with write_lock(directory.path / EXPORT_FOLDER):
        graph = export_network(lambda: _network(directory.model), image_size=facts.preprocess.image_size, head=head)
        planned = [
            replace(one, facts=replace(one.facts, answer_above=threshold, wanted_risk=abstain_at_risk))
            for one in _plan(directory, facts, graph, format=format, fast=fast, decode=decode)
        ]
        folder = ExportFolder(directory.path / EXPORT_FOLDER)
        folder.path.mkdir(exist_ok=True)
        _remove_outdated(folder, planned[0].facts.source)
        _write(folder, planned)
        report = None
        if int8:
            report, quantized = make_int8(directory, graph.proto, planned[0].facts, tolerance=tolerance)
            written = require is None or report.verdict == require
            report = replace(report, written=written)
            if written:
                planned += _plan_int8(planned[1].facts, planned[0].facts, quantized, report)
                _write(folder, planned[-2:])
            else:
                _remove_int8(folder)
            folder.record([], int8=report.to_dict())
        verification = verify_run(directory.path, images=images)
        verdicts = {parity.subject: parity.summary for parity in verification.parities}
        _write(folder, [replace(one, facts=replace(one.facts, verified=verdicts[one.name])) for one in planned])
    files = tuple(folder.path / one.name for one in planned)
    return Export(files, graph.rung, graph.refused, verification, report)


def _require_int8_options(*, int8: bool, tolerance: float | None, require: str | None, format: ExportFormat) -> None:
    """Check the options of int8.

    Raises:
        RunError: one is out of its range, or is given without int8.
    """
    problems = []
    if not int8 and (tolerance is not None or require is not None):
        problems.append("--tolerance and --require are about --int8. Add it, or leave them out.")
    if int8 and format != "onnx":
        problems.append("--int8 is for --format onnx: OpenVINO's own quantization (NNCF) is not part of tlkit.")
    if tolerance is not None and not 0 <= tolerance < 1:
        problems.append(f"--tolerance is {tolerance:g}. Use a loss of accuracy from 0 to below 1, such as 0.05.")
    if require not in (None, "PASS"):
        problems.append(f"--require is {require!r}. Only PASS can be required.")
    if problems:
        raise RunError(*problems)


def _plan_int8(
    model: ExportedFacts, network: ExportedFacts, proto: onnx.ModelProto, report: Int8Report
) -> list[_Planned]:
    planned = []
    for name, facts in ((NETWORK_INT8, network), (MODEL_INT8, model)):
        stated = replace(facts, precision="int8", gate=report.summary)
        content = with_preprocessing(proto, stated) if stated.kind == "model" else proto
        planned.append(_Planned(name, stated, _onnx_writer(content)))
    return planned


def _remove_int8(folder: ExportFolder) -> None:
    for name in (NETWORK_INT8, MODEL_INT8):
        path = folder.path / name
        if path.is_file():
            path.unlink()
            logger.info("Removed %s of an earlier export: int8 did not pass.", path)


def _require_exportable(
    directory: RunDirectory, *, int8: bool, format: ExportFormat, decode: Decode | None
) -> ModelFacts:
    """Return the facts of a run's model.

    Raises:
        ModelError: there is no stored model, its head cannot be part of such a graph, or int8 or the decode does
            not apply to its task.
        MissingExtraError: skl2onnx is needed and not installed.
    """
    facts = read_model_facts(directory.model)
    if facts.task == "segmentation" and decode == "reduced" and facts.preprocess.decode != "reduced":
        raise ModelError(
            "decode: reduced (--decode reduced) does not apply to segmentation, whose masks lie on every pixel of the "
            "image. Leave it out."
        )
    if int8 and facts.task != "multiclass":
        raise ModelError(
            f"--int8 is judged by the accuracy of classes, and {directory.path} is of the task {facts.task}. Export "
            "without it; the float32 files take the task."
        )
    if facts.head_file is not None:
        kind = str(facts.head.get("kind"))
        if int8 or format != "onnx":
            option = "--int8" if int8 else f"--format {format}"
            raise ModelError(
                f"{option} is for heads that are a layer of the network, and that of {directory.path} is a "
                f"scikit-learn estimator of kind {kind}. Leave it out, or fit with a linear head, such as "
                "strategy.head=logistic."
            )
        require_converter(kind)
    return facts


def _network(folder: Path) -> nn.Module:
    return load_any_task(folder)[0].eval()


def _plan(
    directory: RunDirectory,
    model: ModelFacts,
    graph: NetworkGraph,
    *,
    format: ExportFormat,
    fast: bool,
    decode: Decode | None,
) -> list[_Planned]:
    of_masks = model.task == "segmentation"
    decoder = DecoderFacts.from_dict(model.decoder) if of_masks else DecoderFacts()
    facts = ExportedFacts(
        kind="network",
        classes=model.classes,
        preprocess=model.preprocess.replace(decode=decode or model.preprocess.decode),
        architecture=model.architecture,
        head=decoder.kind if of_masks else str(model.head.get("kind", "linear")),
        run=directory.name,
        rung=graph.rung,
        decoder=DECODER,
        packages=_versions(_packages(model)),
        source=_digests(directory.model),
        task=model.task,
        rule=model.rule,
        quantiles=model.quantiles,
        mask_values=decoder.values,
        void=decoder.void,
    )
    if format == "openvino":
        converted = convert_to_openvino(graph.proto)
        return [_Planned(NETWORK_OPENVINO, facts, converted.write)]
    whole = replace(facts, kind="model", resize="exact")
    kinds = [(NETWORK_ONNX, facts, graph.proto), (MODEL_ONNX, whole, with_preprocessing(graph.proto, whole))]
    if fast:
        close = replace(whole, resize="close")
        kinds.append((FAST_MODEL_ONNX, close, with_preprocessing(graph.proto, close)))
    return [_Planned(name, stated, _onnx_writer(proto)) for name, stated, proto in kinds]


def _onnx_writer(proto: onnx.ModelProto) -> Callable[[Path, ExportedFacts], None]:
    def write(path: Path, facts: ExportedFacts) -> None:
        with atomic_file(path) as partial:
            partial.write_bytes(onnx_content(proto, facts))

    return write


def _write(folder: ExportFolder, planned: Sequence[_Planned]) -> None:
    names = []
    for one in planned:
        path = folder.path / one.name
        one.write(path, one.facts)
        names += [one.name] if path.suffix == ".onnx" else [one.name, path.with_suffix(".bin").name]
    folder.record(names)


def _remove_outdated(folder: ExportFolder, source: Mapping[str, str]) -> None:
    """Delete earlier exported files that are damaged or were made from another model than the run has now."""
    for path in folder.recorded():
        try:
            if open_exported(path).facts.source == source:
                continue
        except TlkitError:
            logger.debug("%s cannot be opened.", path, exc_info=True)
        logger.info("Removed %s, which is damaged or was made from an earlier model of the run.", path)
        for part in (path, path.with_suffix(".bin")):
            part.unlink(missing_ok=True)


def _packages(model: ModelFacts) -> tuple[str, ...]:
    if model.task == "segmentation":
        return (*PACKAGES, "segmentation-models-pytorch")
    return PACKAGES if model.head_file is None else (*PACKAGES, "scikit-learn", "skl2onnx")


def _versions(names: Sequence[str]) -> dict[str, str]:
    found = {}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            logger.debug("%s is not installed.", name)
    return found


def _digests(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of each file of a stored model."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}
