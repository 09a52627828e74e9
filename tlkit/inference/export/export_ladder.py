"""A network as an ONNX graph, by the first of four exporters whose graph is valid and agrees with torch."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, cast, get_args

import numpy as np
import numpy.typing as npt
import onnx
import torch
from torch import nn
from torch.export import Dim

from tlkit.errors import ModelError, reason_of
from tlkit.exported.facts import LOGITS, NETWORK_INPUT, NUMBER, PROBABILITIES, Rung
from tlkit.exported.verification import MOST_DISTANCE
from tlkit.features.engines.graph_engines import stdout_discarded
from tlkit.features.heads import Head
from tlkit.inference.export.file_checks import distances_of_logits
from tlkit.inference.export.head_graph import FEATURES, with_head
from tlkit.models.fused_attention import unfused_attention
from tlkit.models.network import Network
from tlkit.models.task_heads import MulticlassHead, RegressionHead, TaskHead

logger = logging.getLogger(__name__)

EXAMPLE_IMAGES = 2
"""Images that the exporter runs; with one, torch.export takes the batch size for a constant."""
TRIED_BATCHES = (1, 3)
"""Batch sizes at which a graph must agree with torch."""
OPSET = 20
"""Operator set of the TorchScript exporter; torch.export's chooses the same by itself in torch 2.13."""
TOLERANCE = 1e-4
"""Largest difference of a probability from torch's, on noise, at which a graph is accepted."""
MOST_BYTES = 2**31 - 1
"""Largest ONNX file in one piece: the limit of protobuf."""

RUNGS: tuple[Rung, ...] = get_args(Rung)


class WithProbabilities(nn.Module):
    """A network with two outputs, float32: logits (N, K), and the scores (N, C) of its task, mostly probabilities.

    Attributes:
        task: computes the scores from the logits.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.task: TaskHead = network.task if isinstance(network, Network) else MulticlassHead()

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return logits and probabilities, or numbers (N, 1), of normalized images (N, 3, H, W)."""
        logits = self.network(image).float()
        return logits, self.task.scores(logits)

    @property
    def output(self) -> str:
        """Name of the second output."""
        return NUMBER if self.task.task == "regression" else PROBABILITIES

    @property
    def unit(self) -> float:
        """What a difference of the second output is measured in: the deviation of the training numbers, or 1."""
        return score_unit(self.task)


def score_unit(task: TaskHead) -> float:
    """Return what a difference of scores is measured in: the deviation of the training numbers; 1 for probabilities."""
    return task.std if isinstance(task, RegressionHead) else 1.0


class FeatureNetwork(nn.Module):
    """A network's backbone: features, float32 (N, D)."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        assert isinstance(network, Network), "only tlkit's networks have a scikit-learn head"
        self.backbone = network.backbone

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Return the features of normalized images (N, 3, H, W)."""
        features: torch.Tensor = self.backbone(image).float()
        return features


@dataclass(frozen=True)
class NetworkGraph:
    """An exported network.

    Attributes:
        proto: the ONNX model, without metadata.
        rung: the exporter that made it.
        refused: why each exporter before it was not taken.
    """

    proto: onnx.ModelProto
    rung: Rung
    refused: tuple[str, ...]


def export_network(
    build: Callable[[], nn.Module], *, image_size: tuple[int, int], head: Head | None = None
) -> NetworkGraph:
    """Return a network as an ONNX graph with a dynamic batch size.

    The rungs: torch.export's exporter; the same without its optimizer, which makes invalid files of some networks; the
    same with timm's attention unfused, for attention over other than four axes; the TorchScript exporter. A rung counts
    where onnx's checker accepts the graph, ONNX Runtime opens it, and its probabilities agree with torch's on noise, or
    its logits are about as near to those of torch in float64 as float32 torch's are.

    Args:
        build: returns the network in evaluation mode, on the CPU, float32; called again where attention is unfused.
        image_size: height and width of the input.
        head: the scikit-learn head of the network; its backbone is exported, and skl2onnx converts the head.

    Raises:
        ModelError: the head cannot be converted; no exporter makes a valid graph, or it is too large for one file.
    """
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn((sum(TRIED_BATCHES), 3, *image_size), generator=generator)
    refused: list[str] = []
    for rung in RUNGS:
        context = nullcontext() if rung.startswith("dynamo") else unfused_attention()
        with context:
            network = build()
            module = WithProbabilities(network).eval()
        try:
            if head is None:
                proto = _export(module, noise[:EXAMPLE_IMAGES], rung, outputs=(LOGITS, module.output))
            else:
                backbone = _export(FeatureNetwork(network).eval(), noise[:EXAMPLE_IMAGES], rung, outputs=(FEATURES,))
                proto = with_head(backbone, head)
            problem = _problem(proto, module, noise)
        except ModelError:
            raise
        except Exception as error:  # exporters, checker and runtime raise any class
            problem = reason_of(error)
            logger.debug("%s failed.", rung, exc_info=True)
        if not problem:
            return NetworkGraph(_without_traces(proto), rung, tuple(refused))
        refused.append(f"{rung}: {problem}")
        logger.info("Exporter %s was not taken: %s", rung, problem[:200])
    raise ModelError(f"No exporter makes a valid ONNX graph of this network. {' | '.join(refused)[:1500]}")


def _export(module: nn.Module, example: torch.Tensor, rung: Rung, *, outputs: Sequence[str]) -> onnx.ModelProto:
    names: dict[str, Any] = {"input_names": [NETWORK_INPUT], "output_names": list(outputs)}
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        if rung == "TorchScript":
            buffer = io.BytesIO()
            batch = {name: {0: "batch"} for name in (NETWORK_INPUT, *outputs)}
            with stdout_discarded():
                torch.onnx.export(
                    module,
                    (example,),
                    cast(Any, buffer),
                    dynamo=False,
                    opset_version=OPSET,
                    dynamic_axes=batch,
                    **names,
                )
            return onnx.load_from_string(buffer.getvalue())
        program = torch.onnx.export(
            module,
            (example,),
            dynamo=True,
            optimize=rung == "dynamo",
            dynamic_shapes=({0: Dim("batch")},),
            verbose=False,
            **names,
        )
        assert program is not None, "torch.export's exporter returns a program"
        return program.model_proto


def _without_traces(proto: onnx.ModelProto) -> onnx.ModelProto:
    """Return a graph without the exporter's notes, among them stack traces with paths of this machine."""
    graphs = [proto.graph]
    while graphs:
        graph = graphs.pop()
        for noted in (graph, *graph.node, *graph.value_info, *graph.input, *graph.output, *graph.initializer):
            noted.doc_string = ""
            del noted.metadata_props[:]
        graphs += [part.g for node in graph.node for part in node.attribute if part.HasField("g")]
    proto.doc_string = ""
    return proto


def _rounds_as_torch(network: nn.Module, images: torch.Tensor, logits: npt.NDArray[np.float32]) -> bool:
    """Return whether logits are at most twice as far from torch's in float64 as torch's in float32 are.

    Noise drives some networks far beyond what images do, to where float32 alone moves probabilities by more than the
    tolerance.
    """
    found = distances_of_logits(network, images, logits)
    return found is not None and found[0] <= MOST_DISTANCE * found[1]


def _problem(proto: onnx.ModelProto, module: WithProbabilities, noise: torch.Tensor) -> str:
    """Return why a graph cannot be used; "" = it can.

    Raises:
        ModelError: it is too large for one file.
    """
    import onnxruntime

    if proto.ByteSize() > MOST_BYTES:
        raise ModelError(
            f"The network has {proto.ByteSize() / 1e9:.1f} GB as an ONNX graph; one file holds up to 2 GB. Export a "
            "smaller architecture."
        )
    onnx.checker.check_model(proto, full_check=True)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
    at = 0
    for count in TRIED_BATCHES:
        images = noise[at : at + count]
        at += count
        with torch.no_grad():
            expected = module(images)[1].numpy()
        logits, found = session.run([LOGITS, module.output], {NETWORK_INPUT: images.numpy()})
        if found.shape != expected.shape:
            return f"it gives {found.shape} for {count} images, not {expected.shape}"
        error = float(np.abs(found - expected).max()) / module.unit
        if not error <= TOLERANCE and not _rounds_as_torch(module.network, images, logits):  # NaN fails too
            return f"its probabilities differ by {error:.1e} from torch's at batch {count}"
    return ""
