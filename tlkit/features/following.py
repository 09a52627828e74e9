"""Layers of a network that change places: which takes the very output of which, and whether the output is the same."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn


def find_followers(
    module: nn.Module,
    example: torch.Tensor,
    *,
    of: Callable[[nn.Module], bool],
    among: Callable[[nn.Module], bool],
) -> tuple[dict[str, str | None], torch.Tensor]:
    """Run a network, and return what follows some of its layers, and its output.

    Args:
        module: any network in evaluation mode.
        example: an input of it.
        of: tells the layers that are asked about.
        among: tells the layers that may follow them.

    Returns:
        By the name of each layer asked about that the example passes once: the name of the one that takes its output,
        unless something was added to that in place before, or None. A layer that is passed more than once follows none.
    """
    made: dict[int, tuple[str, torch.Tensor, int]] = {}  # the tensors are kept, so that no id is used twice
    calls: list[str] = []
    pairs: list[tuple[str, str]] = []

    def note(name: str, output: torch.Tensor) -> None:
        calls.append(name)
        made[id(output)] = (name, output, output._version)

    def match(name: str, given: torch.Tensor) -> None:
        calls.append(name)
        before, _, version = made.get(id(given), ("", given, -1))
        if version == given._version:
            pairs.append((before, name))

    asked, handles = set(), []
    for name, part in module.named_modules():
        if of(part):
            asked.add(name)
            handles.append(part.register_forward_hook(lambda _, __, output, name=name: note(name, output)))
        elif among(part):
            handles.append(part.register_forward_pre_hook(lambda _, inputs, name=name: match(name, inputs[0])))
    try:
        with torch.no_grad():
            output: torch.Tensor = module(example)
    finally:
        for handle in handles:
            handle.remove()
    once = {name for name in calls if calls.count(name) == 1}
    follower = {before: name for before, name in pairs if before in once and name in once}
    return {name: follower.get(name) for name in dict.fromkeys(calls) if name in once & asked}, output


def replace_part(module: nn.Module, name: str, part: nn.Module) -> None:
    """Put another module in the place of the one with this dotted name."""
    parent, _, last = name.rpartition(".")
    setattr(module.get_submodule(parent), last, part)


def share_changed(before: torch.Tensor, after: torch.Tensor) -> float:
    """Return the largest change of any output, as a share of the largest output; NaN where one of them is none."""
    return float((after - before).abs().max() / before.abs().max().clamp_min(1e-12))
