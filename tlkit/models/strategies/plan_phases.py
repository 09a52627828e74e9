"""Strategies as phases: which parameters train in which epochs, and their learning rates."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from torch import nn

from tlkit.errors import ModelError
from tlkit.models.network import Network
from tlkit.models.strategies.layers import layers_of, require_number_of_stages, require_stages, stages_of
from tlkit.models.strategies.lora import is_adapter
from tlkit.recipe import Strategy

logger = logging.getLogger(__name__)

BACKBONE, HEAD = "backbone.", "head."


@dataclass(frozen=True)
class Phase:
    """Consecutive epochs in which the same parameters train.

    Attributes:
        name: what trains, such as "the classifier".
        first_epoch: its first epoch, from 0.
        epochs: number of epochs; the last phase continues if training does.
        rates: peak learning rate of each parameter that trains, by its name in the network, as a share of
            `train.learning_rate`; all other parameters are frozen.
    """

    name: str
    first_epoch: int
    epochs: int
    rates: Mapping[str, float]


def phase_at(phases: tuple[Phase, ...], epoch: int) -> Phase:
    """Return the phase of an epoch, from 0."""
    return next(phase for phase in reversed(phases) if phase.first_epoch <= epoch or phase is phases[0])


def plan_phases(network: Network, strategy: Strategy, *, epochs: int) -> tuple[Phase, ...]:
    """Return the phases of a strategy.

    - `frozen`: the head.
    - `full`: everything.
    - `lp_ft`: the head, then everything from that head (Kumar et al. 2022, "Fine-Tuning can Distort
      Pretrained Features and Underperform Out-of-Distribution", section 4).
    - `gradual`: the head, then one stage more at a time from the last one down (Howard & Ruder 2018, "Universal
      Language Model Fine-tuning", section 3.3).
    - `last_n`: the head and the last stages.
    - `norm_only`: the head and the normalization layers (Frankle et al. 2021, "Training BatchNorm and Only BatchNorm").
    - `bias_only`: the head and the biases (Zaken et al. 2022, "BitFit").
    - `lora`: the head and the low-rank adapters of `add_adapters` (Hu et al. 2021).

    Args:
        network: the network, with its adapters for `lora`.
        strategy: a recipe's `strategy` section.
        epochs: epochs of the whole run.

    Raises:
        ModelError: the backbone has no parameters of the kind that the strategy trains, or no usable stages.
    """
    head = {name: 1.0 for name, _ in network.named_parameters() if name.startswith(HEAD)}
    backbone = [name for name, _ in network.named_parameters() if name.startswith(BACKBONE)]
    match strategy.kind:
        case "frozen":
            return (Phase("the classifier", 0, epochs, head),)
        case "full":
            rates = _layer_rates(network, backbone, strategy.backbone_lr_factor, strategy.layer_decay)
            return (Phase("everything", 0, epochs, head | rates),)
        case "lp_ft":
            factor, probe = strategy.finetune_lr_factor, strategy.probe_epochs
            rates = dict.fromkeys(head, factor) | _layer_rates(network, backbone, factor, strategy.layer_decay)
            return Phase("the classifier", 0, probe, head), Phase("everything", probe, epochs - probe, rates)
        case "gradual":
            rates = _layer_rates(network, backbone, strategy.backbone_lr_factor, strategy.layer_decay)
            return _gradual(network, head, rates, each=strategy.epochs_per_stage, epochs=epochs)
        case "last_n":
            require_stages(network.backbone, purpose="strategy: last_n")
            stage_of, count = stages_of(network.backbone)
            require_number_of_stages(strategy.stages, count)
            rates = _layer_rates(network, backbone, strategy.backbone_lr_factor, strategy.layer_decay)
            return (_last_stages(strategy.stages, stage_of, count, head, rates, first=0, epochs=epochs),)
        case "norm_only":
            chosen, what = norm_parameters(network.backbone), "normalization layers"
        case "bias_only":
            chosen, what = {name for name in backbone if name.endswith((".bias", "_bias"))}, "biases"
        case "lora":
            chosen, what = {name for name in backbone if is_adapter(name)}, "weights that can have low-rank adapters"
    if not chosen:
        raise ModelError(f"strategy is {strategy.kind}, but the backbone has no {what}. Use another strategy.")
    return (Phase(f"the classifier and {what}", 0, epochs, head | dict.fromkeys(chosen, strategy.backbone_lr_factor)),)


def norm_parameters(backbone: nn.Module) -> set[str]:
    """Return the network's names of parameters of normalization layers: modules whose class name has "norm"."""
    found = set()
    for path, module in backbone.named_modules():
        is_norm = any("norm" in kind.__name__.lower() for kind in type(module).__mro__)
        holds_others = any(True for child in module.children() for _ in child.parameters())
        if is_norm and not holds_others:
            prefix = f"{BACKBONE}{path}." if path else BACKBONE
            found |= {f"{prefix}{name}" for name, _ in module.named_parameters(recurse=False)}
    return found


def _layer_rates(network: Network, names: Iterable[str], factor: float, decay: float) -> dict[str, float]:
    """Return factor · decay^(layers above), with the head as the top layer: layer-wise decay.

    Bao et al. 2021, "BEiT", appendix; tested against `timm.optim.param_groups_layer_decay`.
    """
    if decay < 1:
        require_stages(network.backbone, purpose="strategy.layer_decay")
    layer_of, top = layers_of(network.backbone)
    return {name: factor * decay ** (top - layer_of[name.removeprefix(BACKBONE)]) for name in names}


def _gradual(
    network: Network, head: Mapping[str, float], rates: Mapping[str, float], *, each: int, epochs: int
) -> tuple[Phase, ...]:
    require_stages(network.backbone, purpose="strategy: gradual")
    stage_of, count = stages_of(network.backbone)
    reached = min(count, (epochs - 1) // each)
    if reached < count:
        logger.info(
            "train.epochs is %d: only the last %d of the backbone's %d stages are unfrozen.", epochs, reached, count
        )
    ends = [*(each * (n + 1) for n in range(reached)), epochs]
    return tuple(
        _last_stages(n, stage_of, count, head, rates, first=each * n, epochs=ends[n] - each * n)
        for n in range(reached + 1)
    )


def _last_stages(
    n: int,
    stage_of: Mapping[str, int],
    count: int,
    head: Mapping[str, float],
    rates: Mapping[str, float],
    *,
    first: int,
    epochs: int,
) -> Phase:
    chosen = {name: rate for name, rate in rates.items() if stage_of[name.removeprefix(BACKBONE)] >= count - n}
    name = "the classifier" if n == 0 else f"the classifier and the last {n} of {count} stages"
    return Phase(name, first, epochs, {**head, **chosen})
