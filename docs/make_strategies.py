"""Measures what each strategy trains and freezes, in each family of networks, and prints docs/strategies.md.

`tests/models/test_strategies_table.py` measures again and compares.
"""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import tlkit.torchvision_cure  # noqa: F401  before Lightning, which imports torchvision

import pytorch_lightning as pl
import timm
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from tlkit.models.backbone import Backbone, create_backbone
from tlkit.models.classifier import Classifier
from tlkit.models.weights.weight_files import WeightsFacts, tensors_digest
from tlkit.preprocess import Preprocess

SIZE_PX = 64
FAMILIES = {
    "ResNet": "test_resnet",
    "EfficientNet": "test_efficientnet",
    "ConvNeXt": "test_convnext2",
    "ViT": "test_vit",
    "Swin": "swin_tiny_patch4_window7_224",  # timm has no test_swin; see SMALL_SWIN
}
SMALL_SWIN: dict[str, Any] = {
    "embed_dim": 16,
    "depths": (1, 1, 2, 1),
    "num_heads": (1, 1, 2, 2),
    "window_size": 4,
    "drop_path_rate": 0.0,  # stochastic depth would change the features in training mode
}
STRATEGIES: dict[str, dict[str, Any]] = {
    "frozen": {},
    "full": {},
    "lp_ft": {"probe_epochs": 1},
    "gradual": {},
    "last_n": {"stages": 2},
    "norm_only": {},
    "bias_only": {},
    "lora": {"rank": 4},
}
EPOCHS = 3
HEAD = """\
# What each strategy trains, and what it freezes

Measured by `python docs/make_strategies.py > docs/strategies.md` on small networks of each family with random weights,
trained for 3 epochs; a test measures it again and compares.

- *trains*: parameters with gradients in the last epoch, of all parameters (including a classifier with 2 classes, and
  the low-rank adapters of `lora`).
- *frozen unchanged*: the sha256 over every parameter and buffer that the strategy freezes in all epochs (including norm
  statistics) is the same before and after training.
- *live features equal*: with the trained tensors reset, the backbone in training mode gives, bit for bit, the features
  of a fresh one in evaluation mode. If upper stages train with norm statistics, the features below them are compared;
  `-` if the statistics train from the stem on.

| strategy | family | phases | trains | frozen unchanged | live features equal |
|---|---|---|---|---|---|
"""


@dataclass(frozen=True)
class Measured:
    """The measurement of one strategy in one family.

    Attributes:
        strategy: its kind.
        family: the family's name.
        phases: number of phases.
        trained: parameters with gradients in the last phase.
        total: all parameters.
        frozen_unchanged: whether the frozen tensors have the same hash as before; None without any.
        trained_changed: whether every tensor that trains has changed.
        live_features_equal: whether the features in training mode equal those of a fresh backbone in evaluation mode;
            None if norm statistics train from the stem on.
    """

    strategy: str
    family: str
    phases: int
    trained: int
    total: int
    frozen_unchanged: bool | None
    trained_changed: bool
    live_features_equal: bool | None

    def row(self) -> str:
        """Return the line of the table."""
        words = {True: "yes", False: "NO", None: "-"}
        return (
            f"| {self.strategy} | {self.family} | {self.phases} | {self.trained:,} of {self.total:,} "
            f"| {words[self.frozen_unchanged]} | {words[self.live_features_equal]} |"
        )


def small_backbone(family: str) -> Backbone:
    """Return a small network of a family with random weights, without the network."""
    torch.manual_seed(0)
    if family != "Swin":
        return create_backbone(FAMILIES[family], weights="none", image_size=(SIZE_PX, SIZE_PX))
    module = timm.create_model(FAMILIES[family], img_size=SIZE_PX, num_classes=0, **SMALL_SWIN)
    facts = WeightsFacts("none", "random initialisation", "", "not applicable")
    preprocess = Preprocess(image_size=(SIZE_PX, SIZE_PX))
    return Backbone(FAMILIES[family], module, module.num_features, preprocess, facts, SMALL_SWIN)


def measure(strategy: str, family: str) -> Measured:
    """Train a small network by a strategy, and compare frozen tensors and features before and after."""
    classifier = Classifier(
        small_backbone(family),
        classes=["a", "b"],
        strategy={"kind": strategy, **STRATEGIES[strategy]},
        train={"epochs": EPOCHS, "learning_rate": 0.01, "schedule": "constant"},
    )
    network = classifier.network
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    images = torch.randn(6, 3, SIZE_PX, SIZE_PX, generator=torch.Generator().manual_seed(1)) * 2 + 1
    _train(classifier, images)
    after = network.state_dict()
    trained = {name for name, parameter in network.named_parameters() if parameter.requires_grad}
    moving = set(_live_statistics(network))
    frozen = [name for name in before if name not in trained | moving]
    # a tensor whose gradient is 0 does not change
    changed = all(not torch.equal(before[name], after[name]) for name in trained if _has_gradient(network, name))
    network.load_state_dict({name: after[name] if name in frozen else before[name] for name in after})
    fresh = small_backbone(family).module.eval()
    equal = _same_features(classifier.train().network.backbone, fresh, images, stop_at=moving)
    return Measured(
        strategy,
        family,
        len(classifier.phases),
        sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad),
        sum(parameter.numel() for parameter in network.parameters()),
        _digest(before, frozen) == _digest(after, frozen) if frozen else None,
        changed,
        equal,
    )


def _train(classifier: Classifier, images: torch.Tensor) -> None:
    loader = DataLoader(TensorDataset(images, torch.arange(len(images)) % 2), batch_size=3)
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Lightning: workers, log intervals, modules in evaluation mode
        pl.Trainer(
            max_epochs=EPOCHS,
            accelerator="cpu",
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            default_root_dir=folder,
        ).fit(classifier, loader)


def _live_statistics(network: nn.Module) -> Iterator[str]:
    for path, module in network.named_modules():
        if module.training and getattr(module, "running_mean", None) is not None:
            yield from (f"{path}.{name}" for name, _ in module.named_buffers(recurse=False))


def _same_features(live: nn.Module, fresh: nn.Module, images: torch.Tensor, *, stop_at: set[str]) -> bool | None:
    """Compare the outputs of two backbones, layer by layer, up to the first whose norm statistics train."""
    streams = []
    for backbone in (live, fresh):
        outputs: list[tuple[str, torch.Tensor]] = []
        for path, module in backbone.named_modules():
            is_layer = all(name == "parametrizations" for name, _ in module.named_children())
            if is_layer and "parametrizations" not in path:
                module.register_forward_hook(lambda _, __, out, path=path, to=outputs: to.append((path, out)))
        with torch.no_grad():
            outputs.append(("", backbone(images)))
        streams.append(outputs)
    live_norms = tuple(f"{name.removesuffix('running_mean')}" for name in stop_at if name.endswith("running_mean"))
    for compared, ((path, ours), (_, theirs)) in enumerate(zip(*streams, strict=True)):
        if f"backbone.{path}.".startswith(live_norms):
            return True if compared > 2 else None  # the stem's convolution alone is no evidence
        if not torch.equal(ours, theirs):
            return False
    return True


def _has_gradient(network: nn.Module, name: str) -> bool:
    gradient = network.get_parameter(name).grad
    return gradient is not None and bool(gradient.any())


def _digest(tensors: dict[str, torch.Tensor], names: list[str]) -> str:
    return tensors_digest({name: tensors[name] for name in names})


def page() -> str:
    """Return the whole page."""
    rows = [measure(strategy, family).row() for strategy in STRATEGIES for family in FAMILIES]
    return HEAD + "\n".join(rows) + "\n"


if __name__ == "__main__":
    print(page(), end="")  # noqa: T201
