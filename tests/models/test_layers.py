"""Stages and layers of networks for which timm has no usable groups."""

from __future__ import annotations

import pytest
import timm
import torch
from messages import saying
from torch import nn

from tlkit.errors import ModelError
from tlkit.models.network import Network
from tlkit.models.strategies.apply_phase import add_adapters_of_strategy, layer_table
from tlkit.models.strategies.layers import layers_of, stages_of
from tlkit.models.strategies.lora import is_adapter
from tlkit.models.strategies.plan_phases import plan_phases
from tlkit.recipe import check_sections


def strategy_of(kind, **keys):
    return check_sections({"strategy": {"kind": kind, **keys}}, source="test").strategy


@pytest.mark.parametrize(
    ("name", "stages", "layers"),
    [
        ("poolformer_s12", 5, 13),  # has no groups: a stem, 4 stages, and 12 blocks
        ("pit_ti_224", 4, 13),  # its groups put the stages into one
        ("rdnet_tiny", 8, 8),  # its coarse groups are not implemented
        ("csatv2", 5, 25),
    ],
)
def test_stages_are_the_numbered_modules_where_timm_has_no_usable_groups(name, stages, layers):
    with torch.device("meta"):
        module = timm.create_model(name, num_classes=0)
    stage_of, count = stages_of(module)
    layer_of, top = layers_of(module)
    assert (count, top) == (stages, layers)
    last = module.feature_info[-1]["module"]  # timm's own name of the last stage
    inside = {key for key in stage_of if key.startswith(f"{last}.")}
    deep = {key for key, stage in stage_of.items() if stage == count - 1}
    after = {key for key in deep - inside if "norm" in key}
    assert inside and deep == inside | after  # the final norm belongs to it
    for group_of in (stage_of, layer_of):
        order = [group_of[key] for key, _ in module.named_parameters()]
        assert order == sorted(order) and set(order) == set(range(max(order) + 1))


class Ungrouped(nn.Module):
    """A network of numbered stages for which there are no groups; with `groups`, a `group_matcher` of its own."""

    def __init__(self, stages, groups=None):
        super().__init__()
        self.stem = nn.Linear(1, 1)
        self.stages = nn.ModuleList(nn.Sequential(*(nn.Linear(4, 4) for _ in range(blocks))) for blocks in stages)
        if groups is not None:
            self.group_matcher = groups


def raises(coarse=False):
    raise AssertionError


def whole(coarse=False):
    return {"stem": r"^stem", "blocks": r"^stages"}


def by_stage(coarse=False):
    return {"stem": r"^stem", "blocks": r"^stages\.(\d+)"}


@pytest.mark.parametrize("groups", [None, raises, whole, by_stage])
def test_every_strategy_uses_the_stages_of_such_a_network(groups):
    network = Network(Ungrouped([2, 2, 2], groups), num_features=4, num_classes=2)
    (last,) = plan_phases(network, strategy_of("last_n", stages=1), epochs=3)
    assert {name.partition(".")[2][:8] for name in last.rates if name.startswith("backbone")} == {"stages.2"}
    gradual = plan_phases(network, strategy_of("gradual"), epochs=5)
    trained = [sum(name.startswith("backbone") for name in phase.rates) for phase in gradual]
    assert trained == [0, 4, 8, 12, 14]
    (decayed,) = plan_phases(network, strategy_of("full", layer_decay=0.5, backbone_lr_factor=1.0), epochs=3)
    rates = sorted({decayed.rates[name] for name in decayed.rates if name.startswith("backbone")})
    assert rates == [0.5**above for above in range(4 if groups is by_stage else 7, 0, -1)]
    (frozen,) = plan_phases(network, strategy_of("frozen"), epochs=3)
    blocks = [row.block for row in layer_table(network, frozen.rates, learning_rate=0.1)]
    assert blocks == ["backbone: stem", *(f"backbone: stages.{n}" for n in range(3)), "head"]


def test_a_network_without_stages_is_refused_where_they_are_needed():
    network = Network(nn.Sequential(nn.Linear(64, 64)), num_features=64, num_classes=2)
    for strategy in (strategy_of("last_n", stages=1), strategy_of("gradual"), strategy_of("full", layer_decay=0.9)):
        with pytest.raises(ModelError, match=saying("strategy", "100.0%", "full", "frozen").pattern):
            plan_phases(network, strategy, epochs=5)
    assert plan_phases(network, strategy_of("full"), epochs=5)
    lora = strategy_of("lora", rank=2)
    add_adapters_of_strategy(network, lora, seed=0)
    assert any(is_adapter(name) for name in plan_phases(network, lora, epochs=5)[0].rates)
