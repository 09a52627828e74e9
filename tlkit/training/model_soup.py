"""Model soup: the greedy mean of the best epochs' weights."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from tlkit.data.loading.batch import Batch
from tlkit.data.loading.datamodule import ImageFolderDataModule
from tlkit.lightning import pl
from tlkit.models.averaging import mean_state, moved_statistics, renew_statistics
from tlkit.models.training_step import cut_of
from tlkit.training.checkpoint_files import FrozenWeights
from tlkit.training.prefix_batches import PrefixBatches
from tlkit.training.prepare import Prepared
from tlkit.training.resume import origin_of
from tlkit.training.start_checkpoint import read_whole

logger = logging.getLogger(__name__)

FORMAT_VERSION = 1


@dataclass(frozen=True)
class SoupTrial:
    """One epoch that was added to the mean.

    Attributes:
        epoch: the epoch, from 1.
        value: the monitored figure of the mean with this epoch, on the validation images.
        taken: whether it stayed in the mean.
    """

    epoch: int
    value: float
    taken: bool


@dataclass(frozen=True)
class Soup:
    """The epochs whose mean a model is.

    Attributes:
        monitor: "val_loss" or "val_accuracy".
        tried: the epochs in the order in which they were tried, the best one first.
        statistics: number of layers whose running statistics were computed again for each mean.
    """

    monitor: str
    tried: tuple[SoupTrial, ...]
    statistics: int

    @property
    def epochs(self) -> tuple[int, ...]:
        """The epochs in the mean, in order."""
        return tuple(sorted(one.epoch for one in self.tried if one.taken))

    @property
    def best_value(self) -> float:
        """The figure of the best epoch alone."""
        return self.tried[0].value

    @property
    def value(self) -> float:
        """The figure of the mean; never worse than that of the best epoch."""
        return next(one.value for one in reversed(self.tried) if one.taken)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {"format_version": FORMAT_VERSION, **asdict(self), "epochs": self.epochs, "value": self.value}


def average_best_epochs(
    prepared: Prepared, batches: pl.LightningDataModule, folder: Path, ranked: Sequence[tuple[str, float]]
) -> Soup | None:
    """Average the best epochs greedily, put the mean into the classifier, and return what was tried.

    Wortsman et al. 2022, "Model soups", recipe 1: the epochs are tried from the best down, and each stays in the mean
    if validation is not worse with it. The best epoch comes first, so the mean is never worse than it on the images
    that chose it; other images must show how good it is. Running statistics of batch normalization that changed in
    training are computed again for each mean, on the training images without augmentation. All figures are float32.

    Args:
        prepared: the prepared recipe; its classifier holds the best epoch's weights.
        batches: the data module of the validation batches.
        folder: the checkpoints; with fewer than two of the best epochs, the result is None.
        ranked: file names and figures of the best epochs, best first.

    Raises:
        RunError: a checkpoint was trained on other frozen weights.
    """
    origin, classifier, frozen = origin_of(prepared), prepared.classifier, FrozenWeights.of(prepared)
    found = [read_whole(folder / name, origin=origin, frozen=frozen) for name, _ in ranked]
    kept = [(checkpoint["epoch"] + 1, checkpoint["state_dict"]) for checkpoint in found if checkpoint is not None]
    if len(kept) < 2 or found[0] is None:
        logger.warning("There are fewer than two epochs to average; the model is the best epoch's.")
        return None
    logger.info("Averaging the best %d epochs: each stays in if validation is not worse with it.", len(kept))
    monitor = prepared.recipe.train.monitor
    classifier.to(prepared.device)
    moved = moved_statistics(classifier, [state for _, state in kept])
    own = {id(module) for module in classifier.eval_network.modules()}
    layers = [module for module in moved if id(module) in own]
    taken = [kept[0][1]]
    best = _figure(prepared, batches, monitor)
    tried = [SoupTrial(kept[0][0], best, taken=True)]
    current = {name: value.clone() for name, value in classifier.state_dict().items()}
    for epoch, state in kept[1:]:
        classifier.load_state_dict({**frozen.tensors, **mean_state([*taken, state])})
        if layers:
            renew_statistics(classifier.eval_network, layers, _training_images(prepared))
        value = _figure(prepared, batches, monitor)
        stays = value <= best if monitor.endswith("loss") else value >= best
        tried.append(SoupTrial(epoch, value, taken=stays))
        logger.info("With epoch %d: %s %.4g, %s.", epoch, monitor, value, "kept" if stays else "left out")
        if stays:
            taken.append(state)
            best, current = value, {name: value.clone() for name, value in classifier.state_dict().items()}
    classifier.load_state_dict(current)
    soup = Soup(monitor, tuple(tried), len(layers))
    epochs = ", ".join(map(str, soup.epochs))
    logger.info(
        "The model is the mean of epochs %s: %s %.4g, best epoch %.4g.", epochs, monitor, soup.value, soup.best_value
    )
    return soup


@torch.no_grad()
def _figure(prepared: Prepared, batches: pl.LightningDataModule, monitor: str) -> float:
    """Return the plain loss or the accuracy of the evaluated network on the validation images."""
    network = prepared.classifier.eval_network.eval()
    total, images = 0.0, 0
    if isinstance(batches, ImageFolderDataModule | PrefixBatches):
        loader = batches.eval_dataloader("val")
    else:
        loader = batches.val_dataloader()
    for batch in _on_device(loader, batches, prepared.device):
        logits, targets = network(batch.image, cut_of(batch)).float(), batch.target
        if monitor == "val_loss":
            total += prepared.classifier.task.losses(logits, targets).sum().item()
        else:
            total += (logits.argmax(dim=1) == targets).sum().item()
        images += len(targets)
    return total / images


def _training_images(prepared: Prepared) -> Iterator[torch.Tensor]:
    data = prepared.data
    for batch in _on_device(data.eval_dataloader("train"), data, prepared.device):
        yield batch.image


def _on_device(loader: Any, batches: pl.LightningDataModule, device: str) -> Iterator[Batch]:
    for batch in loader:
        moved = batch._replace(image=batch.image.to(device), target=batch.target.to(device))
        yield batches.on_after_batch_transfer(moved, 0)
