"""`Classifier`: the LightningModule of a timm backbone with a linear head, trained by a strategy."""

from __future__ import annotations

import copy
import logging
import math
from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch
from torch import nn
from torch.nn import functional

from tlkit.errors import ModelError
from tlkit.lightning import MeanMetric, OptimizerLRScheduler, pl
from tlkit.models.averaging import AveragedNetwork
from tlkit.models.backbone import Backbone, create_backbone
from tlkit.models.losses import GroupDROLoss, create_loss, logit_adjustment
from tlkit.models.mixup import mix_batch
from tlkit.models.model_files import ModelFacts
from tlkit.models.network import Network
from tlkit.models.optim import accumulation_factor, create_optimizer, create_schedule, steps_per_epoch
from tlkit.models.process_group import all_gather, share_of_step, share_statistics, whole_tensor
from tlkit.models.strategies.apply_phase import LayerRow, apply_phase, constant_tensors, layer_table, parameter_groups
from tlkit.models.strategies.lora import add_adapters, merge_adapters
from tlkit.models.strategies.phase_tables import phase_table
from tlkit.models.strategies.plan_phases import Phase, phase_at, plan_phases, stages_of
from tlkit.models.training_step import NotFiniteError, batch_seed
from tlkit.preprocess import Preprocess
from tlkit.recipe import Strategy, TrainSection, check_sections, plain_values
from tlkit.tables import to_lines

logger = logging.getLogger(__name__)


class Classifier(pl.LightningModule):
    """Fine-tunes a pretrained backbone on images of named classes.

    A batch holds normalized images (B, 3, H, W) float32 and targets (B,) int64. `train.loss: group_dro` needs rows (B,)
    int64 as the third part; other parts are ignored. `train_loss`, `val_loss` and `val_accuracy` are logged once an
    epoch. The validation loss is the plain cross-entropy in nats, without label smoothing and class weights, so that
    runs can be compared.

    Example:
        >>> classifier = Classifier("test_resnet", classes=["ant", "bee"], weights="none")
        >>> classifier(torch.zeros(4, 3, 64, 64)).shape
        torch.Size([4, 2])
    """

    def __init__(
        self,
        backbone: str | Backbone | Mapping[str, Any],
        *,
        classes: Sequence[str],
        weights: str = "hub",
        drop_rate: float = 0.0,
        strategy: Strategy | str | Mapping[str, Any] | None = None,
        train: TrainSection | Mapping[str, Any] | None = None,
        class_weights: Mapping[str, float] | None = None,
        class_counts: Mapping[str, int] | None = None,
        num_groups: int | None = None,
        steps_per_epoch: int | None = None,
        seed: int = 0,
    ) -> None:
        """Build the network and freeze what the strategy freezes.

        Lightning's checkpoints hold these arguments as plain values, so `Classifier.load_from_checkpoint(path)` needs
        neither the pretrained weights nor `weights_only=False`.

        Args:
            backbone: timm's name, a backbone, or the mapping of one in a checkpoint.
            classes: class names in target order; at least two.
            weights: source of the weights, as in a recipe's `model.weights`, where `backbone` is a name.
            drop_rate: dropout on the features before the head, in [0, 1).
            strategy: a recipe's `strategy` section, its kind ("full"), or a mapping of its keys; default: frozen.
            train: a recipe's `train` section, or a mapping of some of its keys.
            class_weights: weight of each class in the training loss; default: all 1.
            class_counts: training images of each class, for `train.logit_adjustment`.
            num_groups: number of groups, for `train.loss: group_dro`; `loss.set_groups` sets the group of each image.
            steps_per_epoch: optimizer steps per epoch, for the schedule; default: those of the trainer.
            seed: of the head's initialization and of dropout.

        Raises:
            ModelError: the backbone is not available or lacks what the strategy trains, or the classes are not two or
                more different names.
            RecipeError: `strategy` or `train` is wrong; every problem is named.
        """
        super().__init__()
        _require_classes(classes, class_weights, class_counts)
        given = {"strategy": strategy, "train": train}
        recipe = check_sections({k: v for k, v in given.items() if v is not None}, source="Classifier")
        self.seed = seed
        self.source = _backbone(backbone, weights=weights)
        self.classes = tuple(classes)
        self.drop_rate = drop_rate
        self.strategy, self.settings = recipe.strategy, recipe.train
        self.steps_per_epoch = steps_per_epoch
        sections = plain_values(recipe)
        self.save_hyperparameters(
            {
                "backbone": self.source.to_dict(),
                "classes": list(classes),
                "drop_rate": drop_rate,
                "strategy": sections["strategy"],
                "train": sections["train"],
                "class_weights": class_weights and {name: float(weight) for name, weight in class_weights.items()},
                "class_counts": class_counts and {name: int(count) for name, count in class_counts.items()},
                "num_groups": num_groups,
                "steps_per_epoch": steps_per_epoch,
                "seed": seed,
            }
        )
        self.head_facts: Mapping[str, Any] = {}  # of a scikit-learn head
        self.network = Network(
            self.source.module,
            num_features=self.source.num_features,
            num_classes=len(self.classes),
            drop_rate=drop_rate,
        )
        self.network.init_head(seed)
        self._add_adapters()
        self.phases = plan_phases(self.network, self.strategy, epochs=self.settings.epochs)
        self._constant = constant_tensors(self.network, self.phases)
        self._table_logged = False
        self.enter_phase(self.phases[0])
        self._add_loss(class_weights, class_counts, num_groups)
        decay = self.settings.ema_decay
        self.average = (
            AveragedNetwork(self.network, decay=decay, constant=self._constant) if decay is not None else None
        )
        # means over images: with this nan_strategy torchmetrics 1.9 ignores weights of values
        self.epoch_loss = MeanMetric(nan_strategy="disable")  # a checkpoint within an epoch holds it
        self.mean_val_loss = MeanMetric(nan_strategy="disable")
        self.mean_val_accuracy = MeanMetric(nan_strategy="disable")

    @property
    def preprocess(self) -> Preprocess:
        """The preprocessing that the network expects."""
        return self.source.preprocess

    def card(self) -> ModelFacts:
        """Return the card of the stored model."""
        return ModelFacts(
            architecture=self.source.name,
            classes=self.classes,
            preprocess=self.preprocess,
            drop_rate=self.drop_rate,
            weights=self.source.weights,
            options=self.source.options,
            head=self.head_facts,
        )

    def plain_network(self) -> Network:
        """Return the network as it is stored: the moving average if there is one; LoRA adapters merged, in a copy."""
        if self.strategy.kind != "lora":
            return self.eval_network
        network = copy.deepcopy(self.eval_network)
        merge_adapters(network)
        return network

    def frozen_tensors(self) -> dict[str, torch.Tensor]:
        """Return the entries of the state dict that training does not change, in the network and in the average."""
        return {
            name: tensor
            for name, tensor in self.state_dict().items()
            if name.removeprefix("average.").removeprefix("network.") in self._constant
        }

    def layers(self, phase: Phase | None = None) -> list[LayerRow]:
        """Return what each block does in a phase, by default the current one; the network enters the phase to see."""
        if phase is None or phase is self.phase:
            return layer_table(self.network, self.phase.rates, learning_rate=self.settings.learning_rate)
        before = self.phase
        self.enter_phase(phase)
        rows = self.layers()
        self.enter_phase(before)
        return rows

    def train(self, mode: bool = True) -> Classifier:
        """Set the training mode; frozen modules stay in evaluation mode."""
        super().train(mode)
        if mode:
            for module in self.frozen_modules:
                module.eval()
        return self

    def setup(self, stage: str) -> None:
        """Require gradients of all parameters that any phase trains: DDP reads this once, before the first phase."""
        if self.trainer.world_size > 1 and stage == "fit":
            for name, parameter in self.network.named_parameters():
                parameter.requires_grad_(any(phase.rates.get(name, 0.0) for phase in self.phases))

    def on_fit_start(self) -> None:
        """Set the training mode: Lightning keeps the mode that it finds since 2.2 (PR #18951)."""
        self.enter_phase(self.phase)
        self.train()

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Seed the batch's random numbers (dropout) by seed, epoch and batch."""
        self._enter_phase_of_epoch(
            self.current_epoch
        )  # on_train_epoch_start is not called for an epoch that is resumed within
        seed = batch_seed(self.seed, epoch=self.current_epoch, batch=batch_idx, rank=self.global_rank)
        if self.device.type == "cpu":
            torch.default_generator.manual_seed(seed)
        else:
            torch.manual_seed(seed)  # seeds all devices, which takes half a millisecond for an unused one

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return logits, shape (B, C), of normalized images (B, 3, H, W)."""
        return cast(torch.Tensor, self.network(images))

    def training_step(self, batch: Sequence[torch.Tensor], batch_idx: int) -> torch.Tensor:
        """Return the training loss of a batch.

        Raises:
            NotFiniteError: the loss is not a finite number; the batch has not changed the weights.
        """
        batch_size = len(batch[1])
        processes = self.trainer.world_size
        loss = self.batch_loss(batch, epoch=self.current_epoch, batch_idx=batch_idx, processes=processes)
        share, whole = share_of_step(loss, self._basis(batch[1]), processes=processes)
        if not torch.isfinite(whole):
            raise NotFiniteError("loss", whole.item(), epoch=self.current_epoch + 1, batch=batch_idx + 1)
        self.epoch_loss.update(whole.expand(batch_size))
        self.log("train_loss", self.epoch_loss, on_step=False, on_epoch=True, prog_bar=True)
        return loss * share * accumulation_factor(self.trainer, batch_idx)

    def batch_loss(
        self, batch: Sequence[torch.Tensor], *, epoch: int, batch_idx: int, processes: int = 1
    ) -> torch.Tensor:
        """Return the training loss of a batch, in nats, which is mixed by seed, epoch and batch number.

        With several processes all must call, each with its part of the batch: group DRO needs the groups of the whole.
        """
        settings = self.settings
        mixes = epoch < settings.epochs - settings.mixup_off_epochs
        mixed = mix_batch(
            batch[0],
            batch[1],
            mixup=settings.mixup if mixes else 0.0,
            cutmix=settings.cutmix if mixes else 0.0,
            seed=batch_seed(self.seed, epoch=epoch, batch=batch_idx, rank=self.global_rank),
        )
        logits = self(mixed.images).float() + self.adjustment
        if isinstance(self.loss, GroupDROLoss):
            groups = self.loss.groups_in(batch)
            return cast(torch.Tensor, self.loss(logits, batch[1], groups, processes=processes))
        loss: torch.Tensor = self.loss(logits, mixed.first)
        if mixed.share < 1:
            loss = mixed.share * loss + (1 - mixed.share) * self.loss(logits, mixed.second)
        return loss

    def _basis(self, targets: torch.Tensor) -> torch.Tensor | float:
        """Return the weight of this process's images in the loss over all processes; group DRO has weighed its own."""
        if isinstance(self.loss, GroupDROLoss):
            return 1.0
        weight = cast(torch.Tensor | None, getattr(self.loss, "weight", None))
        return len(targets) if weight is None else weight[targets].sum()

    def optimizer_step(self, *arguments: Any, **options: Any) -> None:
        """Take an optimizer step, and update the moving average."""
        super().optimizer_step(*arguments, **options)
        if self.average is not None:
            self.average.update(self.network)

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Check the gradients before a step.

        Raises:
            NotFiniteError: a gradient is not a finite number; in precision 16 torch's loss scaling handles that.
        """
        if self.trainer.precision == "16-mixed":
            return
        learning = (parameter for group in optimizer.param_groups for parameter in group["params"])
        gradients = [parameter.grad for parameter in learning if parameter.grad is not None]
        norm = whole_tensor(nn.utils.get_total_norm(gradients)).item()
        if not math.isfinite(norm):
            raise NotFiniteError(
                "gradient", norm, epoch=self.current_epoch + 1, batch=self.trainer.fit_loop.batch_idx + 1
            )

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the epoch's loss so far, for a checkpoint within an epoch."""
        so_far = torch.stack([self.epoch_loss.mean_value, self.epoch_loss.weight]).clone()
        checkpoint["epoch_loss"] = all_gather(so_far, processes=self.trainer.world_size).tolist()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore the epoch's loss so far.

        Raises:
            ModelError: the checkpoint is that of a run, which holds only the weights that training changes.
        """
        missing = self.state_dict().keys() - checkpoint["state_dict"].keys()
        if missing and missing <= self.frozen_tensors().keys():
            raise ModelError(
                f"This checkpoint holds only the weights that training changes; {len(missing)} frozen tensors are not "
                "in it. Load the run's model with tlkit.load_model, or continue the run with --resume."
            )
        self.epoch_loss.reset()
        if "epoch_loss" in checkpoint:
            so_far = torch.tensor(checkpoint["epoch_loss"]).reshape(-1, 2)[self.global_rank]
            self.epoch_loss.mean_value.copy_(so_far[0])
            self.epoch_loss.weight.copy_(so_far[1])

    def on_train_epoch_start(self) -> None:
        """Enter the epoch's phase, and reset its loss; not called for an epoch that is resumed within."""
        self._enter_phase_of_epoch(self.current_epoch)
        self.epoch_loss.reset()

    def on_validation_start(self) -> None:
        """Broadcast norm statistics, so that every process evaluates the same network."""
        share_statistics(self, processes=self.trainer.world_size)

    def validation_step(self, batch: Sequence[torch.Tensor], batch_idx: int) -> dict[str, torch.Tensor]:
        """Log the plain cross-entropy and the accuracy of a batch; return `y_pred` (B,) for callbacks."""
        images, targets = batch[0], batch[1]
        logits: torch.Tensor = self.eval_network(images).float()
        y_pred = logits.argmax(dim=1)
        self.mean_val_loss.update(functional.cross_entropy(logits, targets, reduction="none"))
        self.mean_val_accuracy.update((y_pred == targets).float())
        self.log("val_loss", self.mean_val_loss, prog_bar=True)
        self.log("val_accuracy", self.mean_val_accuracy, prog_bar=True)
        return {"y_pred": y_pred}

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Return the optimizer and its per-step schedule."""
        groups = parameter_groups(
            self.network,
            self.phases,
            learning_rate=self.settings.learning_rate,
            weight_decay=self.settings.weight_decay,
        )
        optimizer = create_optimizer(groups, self.settings)
        steps = self.steps_per_epoch
        if steps is None:  # this drops a loader's position on resume (Lightning #20550), so `fit` passes the number
            steps = steps_per_epoch(self.trainer)
        schedule = create_schedule(optimizer, self.settings, phases=self.phases, steps_per_epoch=steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    @property
    def eval_network(self) -> Network:
        """The network that is evaluated and stored: the moving average if there is one."""
        return self.network if self.average is None else self.average.network

    def _add_loss(
        self, weights: Mapping[str, float] | None, counts: Mapping[str, int] | None, num_groups: int | None
    ) -> None:
        weight = None if weights is None else torch.tensor([weights[name] for name in self.classes])
        self.loss = create_loss(self.settings, weight=weight, groups=num_groups)
        strength = self.settings.logit_adjustment
        if strength and counts is None:
            raise ModelError("train.logit_adjustment needs the number of images of each class. Pass class_counts.")
        images = [counts[name] if counts else 1 for name in self.classes]
        self.register_buffer("adjustment", logit_adjustment(strength, images), persistent=False)

    def _add_adapters(self) -> None:
        """Add LoRA adapters to the layers above the stem for strategy `lora`."""
        if self.strategy.kind == "lora":
            stage_of, _ = stages_of(self.network.backbone)
            stem = {name for name, stage in stage_of.items() if stage == 0}
            rank, alpha = self.strategy.rank, self.strategy.alpha
            add_adapters(self.network.backbone, rank=rank, alpha=alpha, without=stem, seed=self.seed)

    def _enter_phase_of_epoch(self, epoch: int) -> None:
        """Enter the phase of an epoch, and log its table once."""
        phase = phase_at(self.phases, epoch)
        if phase is self.phase and self._table_logged:
            return
        self.enter_phase(phase)
        last = "on" if phase is self.phases[-1] else f"to {phase.first_epoch + phase.epochs}"
        text = "\n".join(f"  {line}" for line in to_lines([phase_table(self.layers())]))
        logger.info("Training %s from epoch %d %s:\n%s", phase.name, phase.first_epoch + 1, last, text)
        self._table_logged = True

    def enter_phase(self, phase: Phase) -> None:
        """Freeze what does not train in a phase: gradients, norm statistics, dropout."""
        self.phase = phase
        self.frozen_modules = apply_phase(self.network, phase)
        self.train(self.training)


def _require_classes(
    classes: Sequence[str], weights: Mapping[str, float] | None, counts: Mapping[str, int] | None
) -> None:
    if len(classes) < 2 or len(set(classes)) != len(classes):
        raise ModelError(f"A classifier needs two or more different class names. Got {list(classes)} instead.")
    if weights is not None and set(weights) != set(classes):
        raise ModelError(
            f"class_weights must name each class once. Got {sorted(weights)} for classes {sorted(classes)}."
        )
    if counts is not None and (set(counts) != set(classes) or min(counts.values()) < 1):
        raise ModelError(f"class_counts must give each class 1 or more images. Got {dict(counts)}.")


def _backbone(given: str | Backbone | Mapping[str, Any], *, weights: str) -> Backbone:
    if isinstance(given, Backbone):
        return given
    return create_backbone(given, weights=weights) if isinstance(given, str) else Backbone.from_dict(given)
