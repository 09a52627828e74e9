"""Layers and stages of a backbone: timm's own groups of parameters, or the network's numbered modules."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from torch import nn

from tlkit.errors import ModelError
from tlkit.models.backbone import timm_groups

NEARLY_ALL = 0.9
"""Share of the parameters from which on a child of a network is its trunk."""
ALL_IN_ONE = 0.99
"""Share of the parameters in the last stage from which on stages are of no use."""


def layers_of(backbone: nn.Module) -> tuple[dict[str, int], int]:
    """Return the layer of each parameter by name, 0 at the stem, and the layer of a classifier on top.

    Layers are the groups of timm's `group_matcher`, which timm's layer-wise learning rates use too. Where that is
    missing, raises, or joins stages that hold most of the network, they are the blocks of `numbered_modules`; without
    those, the network's direct children.
    """
    return _groups(backbone, coarse=False)


def stages_of(backbone: nn.Module) -> tuple[dict[str, int], int]:
    """Return the stage of each parameter of a backbone by name, 0 at the stem, and the number of stages.

    Stages are the coarse groups of timm's `group_matcher`; where that is of no use (see `layers_of`) they are the
    `numbered_modules` or the direct children. A last group of a final norm alone (ConvNeXt, Swin) belongs to the stage
    before it.
    """
    stage_of, _ = _groups(backbone, coarse=True)
    last = max(stage_of.values())
    top = [parameter for name, parameter in backbone.named_parameters() if stage_of[name] == last]
    if last > 0 and all(parameter.ndim <= 1 for parameter in top):
        stage_of = {name: min(stage, last - 1) for name, stage in stage_of.items()}
        last -= 1
    return stage_of, last + 1


def require_stages(backbone: nn.Module, *, purpose: str) -> None:
    """Check that a backbone's last stage is not the whole backbone.

    Args:
        backbone: a network without its classifier.
        purpose: what needs the stages, such as "strategy: last_n".

    Raises:
        ModelError: the last stage holds nearly all parameters.
    """
    stage_of, count = stages_of(backbone)
    sizes = {name: parameter.numel() for name, parameter in backbone.named_parameters()}
    share = sum(sizes[name] for name, stage in stage_of.items() if stage == count - 1) / sum(sizes.values())
    if share >= ALL_IN_ONE:
        raise ModelError(
            f"{purpose} needs the stages of the backbone, but timm groups its parameters in no usable way, and the "
            f"last group holds {share:.1%} of them. Use strategy: full, lp_ft or frozen, or another model."
        )


def require_number_of_stages(stages: int, count: int) -> None:
    """Check that a backbone of `count` stages has as many as a strategy names.

    Raises:
        ModelError: it has fewer.
    """
    if stages > count:
        raise ModelError(f"strategy.stages is {stages}, but the backbone has {count} stages.")


def numbered_modules(sizes: Mapping[str, int], *, trunk: float = NEARLY_ALL) -> list[str]:
    """Return the numbered modules that a network is made of, in order, such as `stages.0` to `stages.3`.

    They are the numbered children, at least two, of one module that together hold more than half of the parameters. The
    search begins at the network and follows the child that is its trunk, unless it is numbered itself (`layer4`).
    Without such modules the list is empty.

    Args:
        sizes: number of parameters of each tensor by its name, in the network's order.
        trunk: smallest share of the parameters that makes a child the trunk.

    Example:
        >>> numbered_modules({"stem.weight": 1, "stages.0.weight": 4, "stages.1.weight": 90, "norm.weight": 1})
        ['stages.0', 'stages.1']
        >>> numbered_modules({"layer1.0.weight": 1, "layer4.0.weight": 4, "layer4.1.weight": 9})
        []
    """
    total = sum(sizes.values())
    inside = ""
    while children := _children(sizes, inside):
        numbered = [path for path in children if path.rpartition(".")[2].isdecimal()]
        if len(numbered) > 1 and 2 * sum(children[path] for path in numbered) > total:
            return numbered
        largest = max(children, key=lambda path: children[path])
        if children[largest] < trunk * total or largest[-1].isdecimal():
            break
        inside = f"{largest}."
    return []


def _groups(backbone: nn.Module, *, coarse: bool) -> tuple[dict[str, int], int]:
    """Return the group of each parameter, numbered from 0 at the stem, and the group of a classifier on top."""
    sizes = {name: parameter.numel() for name, parameter in backbone.named_parameters()}
    stages = numbered_modules(sizes)
    found = timm_groups(backbone, coarse=coarse)
    if found is not None and _separates_stages(stages, found[0], sizes):
        return found
    if not stages:
        order = list(dict.fromkeys(name.partition(".")[0] for name in sizes))
        return {name: order.index(name.partition(".")[0]) for name in sizes}, len(order)
    return _by_order(sizes, stages if coarse else [block for stage in stages for block in _blocks(stage, sizes)])


def _separates_stages(stages: list[str], group_of: Mapping[str, int], sizes: Mapping[str, int]) -> bool:
    """Return whether no group joins parameters of two stages that are more than half of the network's."""
    joined: dict[int, dict[str, int]] = {}
    for name, group in group_of.items():
        stage = next((stage for stage in stages if name.startswith(f"{stage}.")), None)
        if stage is not None:
            members = joined.setdefault(group, {})
            members[stage] = members.get(stage, 0) + sizes[name]
    half = sum(sizes.values()) / 2
    return all(len(members) < 2 or sum(members.values()) <= half for members in joined.values())


def _blocks(stage: str, sizes: Mapping[str, int]) -> list[str]:
    """Return the blocks of a stage: the numbered modules that it is made of, or the stage itself."""
    own = {name.removeprefix(f"{stage}."): size for name, size in sizes.items() if name.startswith(f"{stage}.")}
    return [f"{stage}.{block}" for block in numbered_modules(own, trunk=0.5)] or [stage]


def _by_order(names: Iterable[str], modules: list[str]) -> tuple[dict[str, int], int]:
    """Return the groups that begin at each of some modules: 0 before the first, and each until the next begins."""
    starts = {module: place for place, module in enumerate(modules, start=1)}
    group_of, group = {}, 0
    for name in names:
        parts = name.split(".")
        paths = (".".join(parts[:depth]) for depth in range(1, len(parts)))
        group = next((starts[path] for path in paths if path in starts), group)
        group_of[name] = group
    ranks = {group: rank for rank, group in enumerate(sorted(set(group_of.values())))}
    return {name: ranks[group] for name, group in group_of.items()}, len(ranks)


def _children(sizes: Mapping[str, int], inside: str) -> dict[str, int]:
    """Return the child modules of the module whose names begin with `inside`, and their numbers of parameters."""
    children: dict[str, int] = {}
    for name, size in sizes.items():
        if name.startswith(inside) and "." in name[len(inside) :]:
            path = inside + name[len(inside) :].partition(".")[0]
            children[path] = children.get(path, 0) + size
    return children
