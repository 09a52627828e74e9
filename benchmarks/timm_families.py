"""Every family of timm: its smallest network is created, planned, stored and loaded, at its own and at other sizes.

For each module of timm's registry the network with the fewest parameters is made with random weights. The table shows
its stages and layers; the share of parameters that each strategy trains, in its last phase (`gradual`: in the first
phase that trains the backbone); whether the stored network loads with the same logits to the bit; and what an odd size
and a larger square, to which the stored weights are carried, do: "ok", or the words by which they are refused. What
fails without such words is a failure, and the exit code is then 1.

Usage: python benchmarks/timm_families.py [--families beit swin_transformer ...] [--most 200]

--most: networks of more million parameters are only planned, on torch's meta device.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tlkit.torchvision_cure  # noqa: F401  before timm

import timm
import torch

from tlkit.errors import TlkitError, reason_of
from tlkit.models.backbone import Backbone, create_backbone
from tlkit.models.classifier import Classifier
from tlkit.models.model_files import save_artifact
from tlkit.models.network import Network, load_network
from tlkit.models.strategies.apply_phase import add_adapters_of_strategy
from tlkit.models.strategies.layers import layers_of, stages_of
from tlkit.models.strategies.plan_phases import plan_phases
from tlkit.recipe import check_sections

STRATEGIES: tuple[dict[str, Any], ...] = (
    {"kind": "frozen"},
    {"kind": "last_n", "stages": 1},
    {"kind": "gradual"},
    {"kind": "norm_only"},
    {"kind": "bias_only"},
    {"kind": "lora", "rank": 4},
    {"kind": "lp_ft", "probe_epochs": 1},
    {"kind": "full", "layer_decay": 0.75},
)
HEAD = (
    "family",
    "network",
    "M",
    "stages",
    "layers",
    *(s["kind"] for s in STRATEGIES),
    "stored",
    "odd size",
    "larger size",
)


def smallest(family: str) -> str:
    """Return the network of a family with the fewest parameters, counted without memory for them."""
    counts = {}
    for name in timm.list_models(module=family):
        with torch.device("meta"):
            counts[name] = sum(parameter.numel() for parameter in timm.create_model(name).parameters())
    return min(counts, key=lambda name: counts[name])


def row(name: str, *, most: float) -> list[str]:
    """Return the cells of a network, from its parameters on."""
    with torch.device("meta"):
        module = timm.create_model(name, num_classes=0)
    millions = sum(parameter.numel() for parameter in module.parameters()) / 1e6
    plan = [tried(lambda s=strategy: share(module, s)) for strategy in STRATEGIES]
    groups = [str(stages_of(module)[1]), str(layers_of(module)[1])]
    tries = ["too large"] * 3
    if millions <= most:
        with tempfile.TemporaryDirectory() as folder:
            run = Path(folder) / "run"
            backbone = create_backbone(name, weights="none")
            height, width = backbone.preprocess.image_size
            stored = tried(lambda: store(backbone, run / "model"))
            odd = tried(lambda: resized(name, "none", (height + 19, width - 13)))
            tries = [stored, odd, tried(lambda: resized(name, f"run:{run}", (height + 64, width + 64)))]
    return [f"{millions:.1f}", *groups, *plan, *tries]


def tried(action: Callable[[], str]) -> str:
    """Return what an action returns, the words by which it is refused, or the error that nothing has put into words."""
    try:
        return action()
    except TlkitError as error:
        return f"refused: {error.problems[0]}"
    except Exception as error:
        return f"FAILED: {type(error).__name__}: {reason_of(error)}"


def share(module: torch.nn.Module, keys: dict[str, Any]) -> str:
    """Return the share of parameters that a strategy trains in its last phase."""
    strategy = check_sections({"strategy": keys}, source="benchmark").strategy
    with torch.device("meta"):
        network = Network(module, num_features=module.num_features, num_classes=2)
    if strategy.kind == "lora":  # adapters change the module
        network = Network(timm.create_model(timm_name(module), num_classes=0), num_features=8, num_classes=2)
        add_adapters_of_strategy(network, strategy, seed=0)
    phases = plan_phases(network, strategy, epochs=len(list(module.parameters())) + 2)
    phase = phases[1] if strategy.kind == "gradual" else phases[-1]
    sizes = {key: parameter.numel() for key, parameter in network.named_parameters()}
    return f"{100 * sum(sizes[key] for key in phase.rates) / sum(sizes.values()):.1f} %"


def timm_name(module: torch.nn.Module) -> str:
    return str(module.pretrained_cfg["architecture"])


def store(backbone: Backbone, folder: Path) -> str:
    """Return "ok" where a stored network loads with equal logits and equal groups."""
    classifier = Classifier(backbone, classes=["a", "b"], strategy="full").eval()
    save_artifact(folder, classifier.plain_network().state_dict(), classifier.facts())
    network, _ = load_network(folder)
    images = torch.randn(1, 3, *backbone.preprocess.image_size, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        same = torch.equal(network(images), classifier(images))
    same = same and stages_of(network.backbone) == stages_of(classifier.network.backbone)
    return "ok" if same else "FAILED: other logits"


def resized(name: str, weights: str, size: tuple[int, int]) -> str:
    """Return "ok" where a network takes images of another size."""
    create_backbone(name, weights=weights, image_size=size)
    return "ok"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--families", nargs="+", choices=timm.list_modules(), default=timm.list_modules())
    parser.add_argument("--most", type=float, default=200)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.manual_seed(0)
    start, rows = time.monotonic(), []
    print(*HEAD, sep=" | ")
    for family in arguments.families:
        name = smallest(family)
        try:
            cells = row(name, most=arguments.most)
        except Exception as error:
            cells = [tried(lambda error=error: (_ for _ in ()).throw(error))]
        rows.append([family, name, *cells])
        print(*rows[-1], sep=" | ", flush=True)
    failed = [cells[1] for cells in rows if any(cell.startswith("FAILED") for cell in cells)]
    refused = [cells[1] for cells in rows if any(cell.startswith("refused") for cell in cells)]
    print(f"{len(rows)} families, timm {timm.__version__}, {time.monotonic() - start:.0f} s")
    print(f"{len(refused)} with something refused in words: {', '.join(refused) or 'none'}")
    print(f"{len(failed)} failed: {', '.join(failed) or 'none'}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
