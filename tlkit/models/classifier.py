"""The LightningModule: any timm backbone with a linear head, trained by a strategy. Usable in anyone's own script."""

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
from tlkit.models.model_files import ModelCard
from tlkit.models.network import Network
from tlkit.models.optim import accumulation_factor, create_optimizer, create_schedule, steps_per_epoch
from tlkit.models.process_group import all_gather, share_of_step, share_statistics, whole_tensor
from tlkit.models.strategies.lora import add_adapters, merge_adapters
from tlkit.models.strategies.phase_tables import phase_table
from tlkit.models.strategies.phases import LayerRow, apply_phase, constant_tensors, layer_table, parameter_groups
from tlkit.models.strategies.strategy import Phase, phase_at, plan_phases, stages_of
from tlkit.models.training_step import NotFiniteError, batch_seed
from tlkit.preprocess import Preprocess
from tlkit.recipe import Strategy, TrainSection, check_sections, plain_values
from tlkit.tables import to_lines

logger = logging.getLogger(__name__)


class Classifier(pl.LightningModule):
    """Fine-tune a pretrained backbone on images of named classes.

    A batch begins with normalised images (B, 3, H, W) float32 and targets (B,) int64; anything after these two is
    ignored, but for the rows (B,) int64 that `train.loss: group_dro` takes as the third. `train_loss`, `val_loss` and
    `val_accuracy` are logged once an epoch; the validation loss is the plain cross-entropy in nats, without label
    smoothing, class weights and the like, so that it can be compared between runs.

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

        A checkpoint of Lightning holds these arguments as plain values, so that `Classifier.load_from_checkpoint(path)`
        needs nothing else, neither the pretrained weights nor `weights_only=False`.

        Args:
            backbone: timm's name, a backbone already built, or what a checkpoint holds of one.
            classes: class names in target order; at least two.
            weights: where the backbone's weights come from, as in a recipe's `model.weights`; not used where
                `backbone` is already built.
            drop_rate: dropout on the features before the head, in [0, 1).
            strategy: what trains: a recipe's `strategy` section, its kind ("full"), or a mapping of its keys; default:
                the head alone.
            train: a recipe's `train` section, or a mapping of some of its keys.
            class_weights: weight of each class in the training loss; default: all 1.
            class_counts: training images of each class, which `train.logit_adjustment` needs.
            num_groups: number of groups, which `train.loss: group_dro` needs; `loss.set_groups` says who is in which.
            steps_per_epoch: optimizer steps per epoch, for the schedule; default: asked of the trainer.
            seed: of the head's initialisation and of dropout.

        Raises:
            ModelError: the backbone cannot be had or lacks what the strategy would train, or the classes are not two or
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
        self.head_facts: Mapping[str, Any] = {}  # of a head that no gradient trained
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
        self._enter(self.phases[0])
        self._add_loss(class_weights, class_counts, num_groups)
        decay = self.settings.ema_decay
        self.average = (
            AveragedNetwork(self.network, decay=decay, constant=self._constant) if decay is not None else None
        )
        # over images: with this nan_strategy torchmetrics 1.9 ignores the weights that a value is given
        self.epoch_loss = MeanMetric(nan_strategy="disable")  # travels in checkpoints from within an epoch
        self.mean_val_loss = MeanMetric(nan_strategy="disable")
        self.mean_val_accuracy = MeanMetric(nan_strategy="disable")

    @property
    def preprocess(self) -> Preprocess:
        """What the network expects of its input."""
        return self.source.preprocess

    def card(self) -> ModelCard:
        """Return all that a stored model needs beside its tensors."""
        return ModelCard(
            architecture=self.source.name,
            classes=self.classes,
            preprocess=self.preprocess,
            drop_rate=self.drop_rate,
            weights=self.source.weights,
            options=self.source.options,
            head=self.head_facts,
        )

    def plain_network(self) -> Network:
        """Return the network as it is stored and served: plain layers only, low-rank changes summed into the weights.

        It is the average where `train.ema_decay` asks for one. Where there is nothing to sum it is the very network;
        else a copy, so that training can go on.
        """
        if self.strategy.kind != "lora":
            return self.judged
        network = copy.deepcopy(self.judged)
        merge_adapters(network)
        return network

    def frozen_tensors(self) -> dict[str, torch.Tensor]:
        """Return the entries of the state dict that training leaves as they are, those of the average included."""
        return {
            name: tensor
            for name, tensor in self.state_dict().items()
            if name.removeprefix("average.").removeprefix("network.") in self._constant
        }

    def layers(self, phase: Phase | None = None) -> list[LayerRow]:
        """Return the table of blocks in a phase: trains?, mode, learning rate, parameters; default: the phase at hand.

        The table is read off the network, which enters the phase for it and returns.
        """
        if phase is None or phase is self.phase:
            return layer_table(self.network, self.phase.rates, learning_rate=self.settings.learning_rate)
        before = self.phase
        self._enter(phase)
        rows = self.layers()
        self._enter(before)
        return rows

    def train(self, mode: bool = True) -> Classifier:
        """Set training mode for all but the frozen modules, which stay in evaluation mode."""
        super().train(mode)
        if mode:
            for module in self.frozen_modules:
                module.eval()
        return self

    def setup(self, stage: str) -> None:
        """Show all that learns in any phase to what averages gradients across processes: it looks before the first."""
        if self.trainer.world_size > 1 and stage == "fit":
            for name, parameter in self.network.named_parameters():
                parameter.requires_grad_(any(phase.rates.get(name, 0.0) for phase in self.phases))

    def on_fit_start(self) -> None:
        """Enter training mode: since version 2.2 Lightning keeps the mode that it finds (PR #18951)."""
        self._enter(self.phase)
        self.train()

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Make what is random in this batch (dropout) a function of seed, epoch and batch, whatever came before it."""
        self._enter_phase_of(self.current_epoch)  # an epoch that is resumed in its midst does not start
        seed = batch_seed(self.seed, epoch=self.current_epoch, batch=batch_idx, rank=self.global_rank)
        if self.device.type == "cpu":
            torch.default_generator.manual_seed(seed)
        else:
            torch.manual_seed(seed)  # of all devices; one that is not in use costs half a millisecond

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return logits, shape (B, C), for normalised images (B, 3, H, W)."""
        return cast(torch.Tensor, self.network(images))

    def training_step(self, batch: Sequence[torch.Tensor], batch_idx: int) -> torch.Tensor:
        """Return the training loss of a batch.

        Raises:
            NotFiniteError: the loss is not a finite number; the weights are those before this batch.
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
        """Return what training minimises on a batch, whose mixing follows from seed, epoch and batch number.

        Where it is one process's part of a batch, all of them must ask: group DRO looks at the groups of the whole.
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
        """Return what this process's images weigh in the loss of all: a part of group DRO's is weighed already."""
        if isinstance(self.loss, GroupDROLoss):
            return 1.0
        weight = cast(torch.Tensor | None, getattr(self.loss, "weight", None))
        return len(targets) if weight is None else weight[targets].sum()

    def optimizer_step(self, *arguments: Any, **options: Any) -> None:
        """Take an optimizer step, and take its result into the average."""
        super().optimizer_step(*arguments, **options)
        if self.average is not None:
            self.average.update(self.network)

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Stop before a step that would destroy the weights.

        Raises:
            NotFiniteError: a gradient is not a finite number. In precision 16 torch's loss scaling sees to that.
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
        """Add the loss of the epoch so far, for a checkpoint from within an epoch."""
        so_far = torch.stack([self.epoch_loss.mean_value, self.epoch_loss.weight]).clone()
        checkpoint["epoch_loss"] = all_gather(so_far, processes=self.trainer.world_size).tolist()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take up the loss of the epoch so far; an epoch that begins starts from nothing.

        Raises:
            ModelError: the checkpoint is a run's, which holds only the weights that training changes.
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
        """Enter the epoch's phase, and begin its loss at nothing; not called for an epoch resumed in its midst."""
        self._enter_phase_of(self.current_epoch)
        self.epoch_loss.reset()

    def on_validation_start(self) -> None:
        """Judge the same network in every process."""
        share_statistics(self, processes=self.trainer.world_size)

    def validation_step(self, batch: Sequence[torch.Tensor], batch_idx: int) -> dict[str, torch.Tensor]:
        """Log the plain cross-entropy and the accuracy of a batch; return `y_pred` (B,) for callbacks."""
        images, targets = batch[0], batch[1]
        logits: torch.Tensor = self.judged(images).float()
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
        if steps is None:  # drops a loader's restored position on resume (Lightning #20550); ours passes the number
            steps = steps_per_epoch(self.trainer)
        schedule = create_schedule(optimizer, self.settings, phases=self.phases, steps_per_epoch=steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    @property
    def judged(self) -> Network:
        """The network that is evaluated and stored: the moving average where there is one."""
        return self.network if self.average is None else self.average.network

    def _add_loss(
        self, weights: Mapping[str, float] | None, counts: Mapping[str, int] | None, num_groups: int | None
    ) -> None:
        weight = None if weights is None else torch.tensor([weights[name] for name in self.classes])
        self.loss = create_loss(self.settings, weight=weight, groups=num_groups)
        strength = self.settings.logit_adjustment
        if strength and counts is None:
            raise ModelError("train.logit_adjustment needs the images of each class. Pass class_counts.")
        images = [counts[name] if counts else 1 for name in self.classes]
        self.register_buffer("adjustment", logit_adjustment(strength, images), persistent=False)

    def _add_adapters(self) -> None:
        """Give the layers above the stem their low-rank changes, where the strategy asks for them."""
        if self.strategy.kind == "lora":
            stage_of, _ = stages_of(self.network.backbone)
            stem = {name for name, stage in stage_of.items() if stage == 0}
            rank, alpha = self.strategy.rank, self.strategy.alpha
            add_adapters(self.network.backbone, rank=rank, alpha=alpha, without=stem, seed=self.seed)

    def _enter_phase_of(self, epoch: int) -> None:
        """Enter the phase that an epoch lies in, which follows from the epoch alone, and log its table once."""
        phase = phase_at(self.phases, epoch)
        if phase is self.phase and self._table_logged:
            return
        self._enter(phase)
        last = "on" if phase is self.phases[-1] else f"to {phase.first_epoch + phase.epochs}"
        text = "\n".join(f"  {line}" for line in to_lines([phase_table(self.layers())]))
        logger.info("From epoch %d %s, %s learns:\n%s", phase.first_epoch + 1, last, phase.name, text)
        self._table_logged = True

    def _enter(self, phase: Phase) -> None:
        """Freeze all that does not learn in a phase: gradients, statistics, dropout."""
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
