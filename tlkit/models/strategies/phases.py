"""The phase machine: gradients, training modes, optimizer groups and rates of a network, all from one phase."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Literal

from torch import nn

from tlkit.models.network import Network
from tlkit.models.strategies.strategy import BACKBONE, HEAD, Phase, stages_of

ParameterGroup = dict[str, object]


@dataclass(frozen=True)
class LayerRow:
    """What one block of the network does in a phase: a row of the table that a run logs at its start.

    Attributes:
        block: the block's name.
        trains: whether any of its parameters gets gradients.
        mode: "train" or "eval": whether normalisation statistics and dropout are live; "mixed" where some are.
        learning_rate: the highest peak learning rate among its parameters; 0 where they are frozen.
        lowest_rate: the lowest one among those that learn; differs from the highest under layer decay.
        parameters: how many parameters it has.
        trained: how many of them get gradients.
    """

    block: str
    trains: bool
    mode: Literal["train", "eval", "mixed"]
    learning_rate: float
    lowest_rate: float
    parameters: int
    trained: int


def apply_phase(network: Network, phase: Phase) -> tuple[nn.Module, ...]:
    """Let exactly the phase's parameters have gradients; return the modules that must stay in evaluation mode.

    Turning gradients off is half of freezing: a normalisation layer in training mode still moves its running
    statistics. The caller puts the returned modules into `eval()` each time `train()` is called.
    """
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(name in phase.rates)
        if name not in phase.rates:
            parameter.grad = None  # an optimizer passes over what has no gradient
    return frozen_modules(network)


def frozen_modules(network: nn.Module) -> tuple[nn.Module, ...]:
    """Return the outermost modules that have no part in learning, as the gradients of their parameters say.

    A module with parameters is at rest if none of them learns; one without (dropout, an activation) if the module
    around it is. Running statistics move only where all parameters of their layer learn: training the biases alone
    leaves the statistics as they were.
    """
    resting: list[nn.Module] = []

    def visit(module: nn.Module, *, around_learns: bool) -> None:
        own = [parameter.requires_grad for parameter in module.parameters()]
        keeps_statistics = any(getattr(module, name, None) is not None for name in ("running_mean", "running_var"))
        learns = (all(own) if keeps_statistics else any(own)) if own else around_learns
        if not learns:
            resting.append(module)
            return
        for child in module.children():
            visit(child, around_learns=learns)

    visit(network, around_learns=True)
    return tuple(resting)


def constant_tensors(network: Network, phases: Sequence[Phase]) -> frozenset[str]:
    """Return the names of the tensors in a network's state dict that training leaves as they are, in all phases.

    These are the parameters without a learning rate, and the buffers (running statistics) of modules that stay in
    evaluation mode. The network enters each phase for it; the caller enters the right one afterwards.
    """
    constant = {name for name, _ in network.named_parameters() if not any(phase.rates.get(name) for phase in phases)}
    constant |= {name for name, _ in network.named_buffers()}
    for phase in phases:
        resting = {module for outermost in apply_phase(network, phase) for module in outermost.modules()}
        for path, module in network.named_modules():
            if module not in resting:
                constant -= {f"{path}.{name}" for name, _ in module.named_buffers(recurse=False)}
    return frozenset(constant & network.state_dict().keys())


def parameter_groups(
    network: Network, phases: Sequence[Phase], *, learning_rate: float, weight_decay: float
) -> list[ParameterGroup]:
    """Return the optimizer's groups, the same for the whole run: every parameter that learns in any phase is in one.

    Parameters that share their rate in every phase share a group; the rates stand in it as `rates`, one a phase, 0
    where the group is frozen. So no phase adds or regroups anything, and a resumed run finds its optimizer as it was
    (Lightning #21901, #6891). Biases, normalisation parameters and what timm's model exempts by name (position
    embeddings, for example) get no weight decay.
    """
    exempt = {f"{BACKBONE}{name}" for name in getattr(network.backbone, "no_weight_decay", set)()}
    groups: dict[tuple[str, tuple[float, ...], bool], list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        rates = tuple(phase.rates.get(name, 0.0) for phase in phases)
        if any(rates):
            part = "head" if name.startswith(HEAD) else "backbone"
            decays = parameter.ndim > 1 and not name.endswith(".bias") and name not in exempt
            groups.setdefault((part, rates, decays), []).append(parameter)
    return [
        {
            "params": parameters,
            "lr": learning_rate * max(rates),
            "weight_decay": weight_decay if decays else 0.0,
            "name": f"{part} x{max(rates):.3g}{'' if decays else ', no decay'}",
            "rates": rates,
        }
        for (part, rates, decays), parameters in groups.items()
    ]


def layer_table(network: Network, rates: Mapping[str, float], *, learning_rate: float) -> list[LayerRow]:
    """Return what each block of the network does in training: read off the modules as they are, not off the plan."""
    members: dict[str, list[str]] = {}
    for name, label in _labels(network.backbone).items():
        members.setdefault(label, []).append(name)
    members["head"] = [name for name, _ in network.named_parameters() if name.startswith(HEAD)]
    parameters, modules = dict(network.named_parameters()), dict(network.named_modules())
    rows = []
    for label, names in members.items():
        trained = [name for name in names if parameters[name].requires_grad]
        peaks = [learning_rate * rates.get(name, 0.0) for name in trained] or [0.0]
        modes = {modules[name.rpartition(".")[0]].training for name in names}
        rows.append(
            LayerRow(
                block=label,
                trains=bool(trained),
                mode="mixed" if len(modes) > 1 else "train" if True in modes else "eval",
                learning_rate=max(peaks),
                lowest_rate=min(peaks),
                parameters=sum(parameters[name].numel() for name in names),
                trained=sum(parameters[name].numel() for name in trained),
            )
        )
    return rows


def _labels(backbone: nn.Module) -> dict[str, str]:
    """Return the label of the stage of each parameter, by the parameter's name in the network.

    A stage is named after the modules that lie wholly in it: "backbone: conv1, bn1" or "backbone: blocks.6, bn2".
    """
    stage_of, count = stages_of(backbone)
    prefixes: dict[int, dict[str, None]] = {stage: {} for stage in range(count)}
    for name, stage in stage_of.items():
        steps = name.split(".")
        ways = [".".join(steps[:depth]) for depth in range(1, len(steps) + 1)]
        shared = list(takewhile(lambda way: len(_stages_below(way, stage_of)) > 1, ways))
        prefixes[stage][ways[len(shared)]] = None
    return {f"{BACKBONE}{name}": "backbone: " + ", ".join(prefixes[stage]) for name, stage in stage_of.items()}


def _stages_below(way: str, stage_of: Mapping[str, int]) -> set[int]:
    return {stage for name, stage in stage_of.items() if name == way or name.startswith(f"{way}.")}
