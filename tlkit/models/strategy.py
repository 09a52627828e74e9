"""What trains and what stays frozen: gradients, modes, parameter groups and learning rates, decided in one place."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from torch import nn

from tlkit.models.network import Network
from tlkit.recipe import Strategy

ParameterGroup = dict[str, object]


@dataclass(frozen=True)
class LayerRow:
    """One line of the table that a run prints before it trains.

    Attributes:
        block: the block's name.
        trains: whether its parameters get gradients.
        mode: "train" or "eval": whether its normalisation statistics and dropout are live.
        learning_rate: the peak learning rate of its parameters; 0 where they are frozen.
        parameters: how many parameters it has.
    """

    block: str
    trains: bool
    mode: str
    learning_rate: float
    parameters: int


def freeze(network: Network, strategy: Strategy) -> tuple[nn.Module, ...]:
    """Set which parameters get gradients, and return the modules that must stay in evaluation mode.

    Turning gradients off is half of freezing: a normalisation layer in training mode still moves its running
    statistics. The caller puts the returned modules into `eval()` each time `train()` is called.
    """
    network.requires_grad_(True)
    if strategy.kind == "frozen":
        network.backbone.requires_grad_(False)
        return (network.backbone,)
    return ()


def parameter_groups(
    network: Network, strategy: Strategy, *, learning_rate: float, weight_decay: float
) -> list[ParameterGroup]:
    """Return the optimizer's groups: head and backbone, each with and without weight decay.

    Biases, normalisation parameters and what timm's model exempts by name (position embeddings, for example) get no
    weight decay. The backbone's learning rate is the head's times `backbone_lr_factor`.
    """
    rates = {"head": learning_rate, "backbone": learning_rate * _backbone_factor(strategy)}
    exempt = {f"backbone.{name}" for name in getattr(network.backbone, "no_weight_decay", set)()}
    groups: dict[tuple[str, bool], list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            part = "head" if name.startswith("head.") else "backbone"
            decays = parameter.ndim > 1 and name not in exempt
            groups.setdefault((part, decays), []).append(parameter)
    return [
        {
            "params": parameters,
            "lr": rates[part],
            "weight_decay": weight_decay if decays else 0.0,
            "name": f"{part}{'' if decays else ', no decay'}",
        }
        for (part, decays), parameters in groups.items()
    ]


def layer_table(network: Network, strategy: Strategy, *, learning_rate: float) -> list[LayerRow]:
    """Return what each block of the network does in training: read off the modules as they are, not off the plan."""
    backbone_rate = learning_rate * _backbone_factor(strategy)
    rows = []
    for name, module in _blocks(network):
        parameters = list(module.parameters())
        trains = any(parameter.requires_grad for parameter in parameters)
        rate = learning_rate if name == "head" else backbone_rate
        rows.append(
            LayerRow(
                block=name,
                trains=trains,
                mode="train" if any(part.training for part in module.modules()) else "eval",
                learning_rate=rate if trains else 0.0,
                parameters=sum(parameter.numel() for parameter in parameters),
            )
        )
    return rows


def _backbone_factor(strategy: Strategy) -> float:
    return strategy.backbone_lr_factor if strategy.kind == "full" else 0.0


def _blocks(network: Network) -> Iterator[tuple[str, nn.Module]]:
    """Yield the backbone's top-level blocks that hold parameters, and the head."""
    direct = nn.ParameterList(network.backbone.parameters(recurse=False))
    if len(direct):  # a vision transformer's class token and position embedding, for example
        yield "backbone (own)", direct.train(network.backbone.training)
    for name, module in network.backbone.named_children():
        if any(True for _ in module.parameters()):
            yield f"backbone.{name}", module
    yield "head", network.head
