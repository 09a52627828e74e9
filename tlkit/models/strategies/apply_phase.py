"""Applies a phase to a network: gradients, frozen modules, optimizer groups and the layer table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Literal

from torch import nn

from tlkit.models.network import Network
from tlkit.models.strategies.layers import require_number_of_stages, require_stages, stages_of
from tlkit.models.strategies.lora import add_adapters
from tlkit.models.strategies.plan_phases import BACKBONE, HEAD, Phase
from tlkit.recipe import Strategy

ParameterGroup = dict[str, object]


@dataclass(frozen=True)
class LayerRow:
    """One block of the network in a phase: a row of the table that a run logs.

    Attributes:
        block: the block's name.
        mode: "train" or "eval", the mode of normalization statistics and dropout; "mixed" if modules differ.
        learning_rate: highest peak learning rate of its parameters; 0 if they are frozen.
        lowest_rate: lowest peak learning rate of those that train; differs from the highest under layer decay.
        parameters: number of parameters.
        trained: number of parameters that get gradients.
    """

    block: str
    mode: Literal["train", "eval", "mixed"]
    learning_rate: float
    lowest_rate: float
    parameters: int
    trained: int

    @property
    def trains(self) -> bool:
        """Whether any of its parameters gets gradients."""
        return self.trained > 0


def apply_phase(network: Network, phase: Phase) -> tuple[nn.Module, ...]:
    """Require gradients of exactly the phase's parameters; return the modules that must stay in evaluation mode.

    Without gradients a normalization layer in training mode still updates its running statistics. So the caller calls
    `eval()` of the returned modules after each `train()`.
    """
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(name in phase.rates)
        if name not in phase.rates:
            parameter.grad = None  # an optimizer skips parameters without a gradient
    return frozen_modules(network)


def add_adapters_of_strategy(network: Network, strategy: Strategy, *, seed: int) -> None:
    """Add LoRA adapters to a network's backbone for strategy `lora`: to its last stages, or to all but the stem.

    Raises:
        ModelError: the backbone has fewer stages than the strategy names.
    """
    if strategy.kind != "lora":
        return
    stage_of, count = stages_of(network.backbone)
    if strategy.stages is not None:
        require_stages(network.backbone, purpose="strategy.stages")
        require_number_of_stages(strategy.stages, count)
    lowest = min(1, count - 1) if strategy.stages is None else count - strategy.stages
    without = {name for name, stage in stage_of.items() if stage < lowest}
    add_adapters(network.backbone, rank=strategy.rank, alpha=strategy.alpha, without=without, seed=seed)


def require_gradients(network: Network, phases: Sequence[Phase]) -> None:
    """Require gradients of all parameters that any phase trains."""
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(any(phase.rates.get(name, 0.0) for phase in phases))


def frozen_modules(network: nn.Module) -> tuple[nn.Module, ...]:
    """Return the outermost frozen modules, by `requires_grad` of their parameters.

    A module with parameters is frozen if none of them trains. A module without parameters (dropout, an activation) is
    frozen if its parent is. A layer with running statistics is frozen unless all its parameters train: training the
    biases alone does not change the statistics.
    """
    frozen: list[nn.Module] = []

    def visit(module: nn.Module, *, parent_trains: bool) -> None:
        own = [parameter.requires_grad for parameter in module.parameters()]
        keeps_statistics = any(getattr(module, name, None) is not None for name in ("running_mean", "running_var"))
        trains = (all(own) if keeps_statistics else any(own)) if own else parent_trains
        if not trains:
            frozen.append(module)
            return
        for child in module.children():
            visit(child, parent_trains=trains)

    visit(network, parent_trains=True)
    return tuple(frozen)


def constant_tensors(network: Network, phases: Sequence[Phase]) -> frozenset[str]:
    """Return the names of the tensors in a network's state dict that training changes in no phase.

    These are the parameters without a learning rate, and the buffers (running statistics) of modules that stay in
    evaluation mode. Side effect: leaves the network in the last phase; call `apply_phase` again.
    """
    constant = {name for name, _ in network.named_parameters() if not any(phase.rates.get(name) for phase in phases)}
    constant |= {name for name, _ in network.named_buffers()}
    for phase in phases:
        frozen = {module for outermost in apply_phase(network, phase) for module in outermost.modules()}
        for path, module in network.named_modules():
            if module not in frozen:
                constant -= {f"{path}.{name}" for name, _ in module.named_buffers(recurse=False)}
    return frozenset(constant & network.state_dict().keys())


def parameter_groups(
    network: Network, phases: Sequence[Phase], *, learning_rate: float, weight_decay: float
) -> list[ParameterGroup]:
    """Return the optimizer's groups for the whole run: each parameter that trains in any phase is in one.

    Parameters with equal rates in every phase share a group. Its `rates` holds one rate per phase, 0 where the group is
    frozen. The groups are fixed for the run, so that the optimizer state can be restored (Lightning #21901, #6891).
    Biases, normalization parameters and what timm's model exempts by name (such as position embeddings) get no weight
    decay.
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
    """Return the row of each block; what trains is read from `requires_grad` and `.training`, not from the plan."""
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
                mode="mixed" if len(modes) > 1 else "train" if True in modes else "eval",
                learning_rate=max(peaks),
                lowest_rate=min(peaks),
                parameters=sum(parameters[name].numel() for name in names),
                trained=sum(parameters[name].numel() for name in trained),
            )
        )
    return rows


def _labels(backbone: nn.Module) -> dict[str, str]:
    """Return the label of each parameter's stage, by the parameter's name in the network.

    The label names the largest modules whose parameters are all in that stage: "backbone: conv1, bn1" or
    "backbone: blocks.6, bn2".
    """
    stage_of, count = stages_of(backbone)
    prefixes: dict[int, dict[str, None]] = {stage: {} for stage in range(count)}
    for name, stage in stage_of.items():
        parts = name.split(".")
        paths = [".".join(parts[:depth]) for depth in range(1, len(parts) + 1)]
        shared = list(takewhile(lambda path: len(_stages_below(path, stage_of)) > 1, paths))
        prefixes[stage][paths[len(shared)]] = None
    return {f"{BACKBONE}{name}": "backbone: " + ", ".join(prefixes[stage]) for name, stage in stage_of.items()}


def _stages_below(path: str, stage_of: Mapping[str, int]) -> set[int]:
    return {stage for name, stage in stage_of.items() if name == path or name.startswith(f"{path}.")}
