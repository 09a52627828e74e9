"""Cuts of a backbone between a frozen prefix, which runs once per image, and the suffix that trains.

The forward pass of a backbone is traced by torch.fx down to modules whose parameters all belong to one stage. A cut
lies after such a module, where its output is the only value that later modules read. So a residual or multi-branch
network is cut only where its branches have joined.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import cast

import torch
from torch import fx, nn

from tlkit.errors import reason_of
from tlkit.models.cost import macs_by_module
from tlkit.models.strategies.layers import stages_of

POOLED = "pooled"
"""The cut after the whole backbone: its output is the pooled feature vector."""
ROOT = "backbone"
EXAMPLES = 2


class NoCutError(Exception):
    """A backbone cannot be cut; the message completes "Training runs on pixels: "."""


@dataclass(frozen=True)
class Cut:
    """Where a backbone is cut, and what its prefix computes for an image.

    Attributes:
        after: name of the last module of the prefix, such as "blocks.5"; `POOLED` for the whole backbone.
        shape: of one image's activations, as the suffix takes them: (C, H, W), (H, W, C), (N, C) or (D,).
        channels_last: whether activations (C, H, W) are stored as (H, W, C), in which order convolutions compute.
        macs: multiply-accumulates of the prefix for one image; 0 where they cannot be counted.
        share: share of the backbone's multiply-accumulates that they are, in [0, 1]; NaN where unknown.
    """

    after: str
    shape: tuple[int, ...]
    channels_last: bool
    macs: int
    share: float

    @property
    def width(self) -> int:
        """Number of values of one image."""
        return math.prod(self.shape)

    @property
    def layer(self) -> str:
        """The cut in words, which is a part of cache keys: "blocks.5 (192x7x7, channels last)"."""
        order = ", channels last" if self.channels_last else ""
        return f"{self.after} ({'x'.join(map(str, self.shape))}{order})"

    def flatten(self, activations: torch.Tensor) -> torch.Tensor:
        """Return activations (B, *shape) as rows (B, width) in the order of storage."""
        return (activations.permute(0, 2, 3, 1) if self.channels_last else activations).flatten(1)

    def restore(self, rows: torch.Tensor) -> torch.Tensor:
        """Return rows (B, width) as activations (B, *shape)."""
        if not self.channels_last:
            return rows.view(len(rows), *self.shape)
        channels, height, width = self.shape
        return rows.view(len(rows), height, width, channels).permute(0, 3, 1, 2)


class Parts:
    """The prefixes and suffixes of a backbone.

    Attributes:
        backbone: maps normalized images (B, 3, H, W) to features (B, D).

    Raises:
        NoCutError: torch.fx cannot trace it, or it computes by other modules in training than in evaluation.
    """

    def __init__(self, backbone: nn.Module) -> None:
        self.backbone = backbone
        self._whole = _Whole(backbone)
        self._stage_of, count = stages_of(backbone)
        if count < 2:
            raise NoCutError("the backbone has no stages")
        tracer = _StageTracer(self._stage_of)
        try:
            self._graph = tracer.trace(self._whole)
            with _evaluating(backbone):
                in_evaluation = _StageTracer(self._stage_of).trace(self._whole)
        except Exception as error:  # torch.fx raises many kinds for code that depends on values
            raise NoCutError(f"torch.fx cannot trace the backbone ({reason_of(error)})") from error
        if str(self._graph) != str(in_evaluation):
            raise NoCutError("the backbone computes otherwise in training than in evaluation")
        self._nodes = list(self._graph.nodes)
        self._work: dict[tuple[int, int], Mapping[str, int]] = {}  # multiply-accumulates by module, by image size

    def last_boundary(self, learning: Collection[str]) -> str:
        """Return the module after which to cut so that the prefix is as long as possible.

        Args:
            learning: names of the backbone's parameters that learn.

        Raises:
            NoCutError: the first stage learns, or no single value crosses a boundary of stages.
        """
        found = None
        for place, node in enumerate(self._nodes):
            if any(name in learning for name in self._parameters_of(node)):
                break
            if node.op == "call_module" and self._is_boundary(place):
                found = node
        else:
            raise NoCutError("no parameter of the backbone learns")
        if found is None:
            raise NoCutError("no boundary between stages lies below the first parameter that learns")
        return _name(found)

    def prefix(self, after: str) -> nn.Module:
        """Return a copy of the modules up to a cut: normalized images (B, 3, H, W) to activations (B, *shape)."""
        place = self._place(after)
        graph, copied = fx.Graph(), dict[fx.Node, fx.Node]()
        for node in self._nodes[: place + 1]:
            copied[node] = graph.node_copy(node, lambda one: copied[one])
        graph.output(copied[self._nodes[place]])
        return copy.deepcopy(fx.GraphModule(self._whole, graph))

    def suffix(self, after: str) -> nn.Module:
        """Return the modules above a cut, shared with the backbone: activations (B, *shape) to features (B, D)."""
        place = self._place(after)
        graph = fx.Graph()
        copied = {self._nodes[place]: graph.placeholder("activations")}
        for node in self._nodes[place + 1 :]:
            if node.op == "output":
                graph.output(copied[cast(fx.Node, node.args[0])])
            elif _depends_on(node, copied):
                copied[node] = graph.node_copy(node, lambda one: copied[one])
        return fx.GraphModule(self._whole, graph)

    def work(self, after: str, image_size: tuple[int, int]) -> tuple[int, float]:
        """Return the multiply-accumulates up to a cut and their share of all; 0 and NaN where they are unknown."""
        if image_size not in self._work:
            self._work[image_size] = macs_by_module(self._whole, image_size)
        work = self._work[image_size]
        below = self._nodes[: self._place(after) + 1]
        macs = sum(work.get(str(node.target), 0) for node in below if node.op == "call_module")
        return macs, macs / work[""] if work.get("") else math.nan

    def _place(self, after: str) -> int:
        return next(
            place for place, node in enumerate(self._nodes) if node.op == "call_module" and _name(node) == after
        )

    def _is_boundary(self, place: int) -> bool:
        """Return whether only this node's value is read later, and all later modules belong to later stages."""
        before, after = self._nodes[: place + 1], self._nodes[place + 1 :]
        later = set(after)
        crossing = [node for node in before if any(user in later for user in node.users)]
        if crossing != [self._nodes[place]] or any(node.op in ("get_attr", "placeholder") for node in after):
            return False
        below, above = self._stages(before), self._stages(after)
        return bool(below and above) and max(below) < min(above)

    def _stages(self, nodes: Collection[fx.Node]) -> set[int]:
        return {self._stage_of[name] for node in nodes for name in self._parameters_of(node)}

    def _parameters_of(self, node: fx.Node) -> list[str]:
        """Return the names of the backbone's parameters that a node computes with."""
        if node.op not in ("call_module", "get_attr"):
            return []
        path = _name(node)
        return [name for name in self._stage_of if name == path or name.startswith(f"{path}.")]


def find_cut(parts: Parts, learning: Collection[str], *, image_size: tuple[int, int]) -> Cut:
    """Return the cut below the first parameter that learns, at a boundary of stages.

    The backbone must be in the mode in which it trains: a module of the prefix that computes otherwise in training,
    such as active dropout, leaves no cut.

    Args:
        parts: the parts of the backbone.
        learning: names of its parameters that learn in the present phase or have learned before.
        image_size: height and width in pixels.

    Raises:
        NoCutError: there is none; the message says why.
    """
    backbone, after = parts.backbone, parts.last_boundary(learning)
    prefix = parts.prefix(after)
    first = next(prefix.parameters())
    stream = torch.Generator().manual_seed(0)
    images = torch.randn(EXAMPLES, 3, *image_size, generator=stream).to(first)
    prefix.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    with torch.random.fork_rng(devices=()), torch.no_grad():
        trained = copy.deepcopy(prefix)(images)
        activations = prefix.eval()(images)
        if not isinstance(activations, torch.Tensor) or activations.ndim < 2 or len(activations) != EXAMPLES:
            raise NoCutError(f"{after} does not give one tensor per batch of images")
        if not torch.equal(trained, activations):
            raise NoCutError(f"dropout or statistics below {after} change in training")
        with _evaluating(backbone):
            whole, rest = backbone(images), parts.suffix(after)(activations)
        if not torch.allclose(whole, rest, rtol=1e-3, atol=1e-5):  # the whole may compute in another memory format
            raise NoCutError(f"the modules after {after} do not continue the forward pass")
    channels_last = (
        activations.ndim == 4
        and activations.is_contiguous(memory_format=torch.channels_last)
        and not activations.is_contiguous()
    )
    return Cut(after, tuple(activations.shape[1:]), channels_last, *parts.work(after, image_size))


class _Whole(nn.Module):
    """A backbone that takes images alone; timm's networks have further, optional arguments."""

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return features (B, D)."""
        return cast(torch.Tensor, self.backbone(images))


class _StageTracer(fx.Tracer):
    """Traces into the modules that hold parameters of several stages, and no further."""

    def __init__(self, stage_of: Mapping[str, int]) -> None:
        super().__init__()
        self._stage_of = stage_of

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """Return whether a module is one call of the graph."""
        if module_qualified_name == ROOT:
            return False
        inside = module_qualified_name.removeprefix(f"{ROOT}.") + "."
        return len({stage for name, stage in self._stage_of.items() if name.startswith(inside)}) < 2


@contextmanager
def _evaluating(module: nn.Module) -> Iterator[None]:
    """Put a module into evaluation mode within the block, and each of its modules back into its own mode."""
    modes = {part: part.training for part in module.modules()}
    module.eval()
    try:
        yield
    finally:
        for part, mode in modes.items():
            part.training = mode


def _name(node: fx.Node) -> str:
    """Return the path of a node's module or parameter in the backbone."""
    return str(node.target).removeprefix(f"{ROOT}.")


def _depends_on(node: fx.Node, copied: Mapping[fx.Node, fx.Node]) -> bool:
    """Return whether all inputs of a node, at least one, were copied."""
    return bool(node.all_input_nodes) and all(one in copied for one in node.all_input_nodes)
