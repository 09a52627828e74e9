"""`Classifier`: the LightningModule of a timm backbone with a linear head, trained by a strategy."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

import torch
from torch import nn

from tlkit.choices import WEIGHTS, TrainedTask
from tlkit.errors import ModelError
from tlkit.lightning import OptimizerLRScheduler, pl
from tlkit.models import classifier_arguments as arguments
from tlkit.models.averaging import AveragedNetwork
from tlkit.models.backbone import Backbone
from tlkit.models.box_head import box_facts
from tlkit.models.data_facts import decoder_of_data, require_same_task, samples_of, shares_of_annotators
from tlkit.models.epoch_means import EvaluationMeans, WeightedMean, gather_mean, restore_mean
from tlkit.models.losses import GroupDROLoss, loss_and_adjustment, loss_of, targets_of, weight_in_loss
from tlkit.models.mask_decoder import DecoderFacts
from tlkit.models.mixup import mix_batch_of_epoch
from tlkit.models.model_files import ModelFacts
from tlkit.models.network import Network
from tlkit.models.optim import optimizer_with_schedule, steps_per_epoch
from tlkit.models.optimizer_step import Batch, StepWeight, ends_step, group_dro_loss
from tlkit.models.process_group import share_of_step, share_statistics
from tlkit.models.strategies.apply_phase import (
    LayerRow,
    add_adapters_of_strategy,
    apply_phase,
    constant_tensors,
    layer_table,
    require_gradients,
)
from tlkit.models.strategies.lora import merge_adapters
from tlkit.models.strategies.phase_tables import log_phase
from tlkit.models.strategies.plan_phases import Phase, phase_at, plan_phases
from tlkit.models.task_heads import TaskLoss, create_task_loss, task_head
from tlkit.models.text_start import start_from_text
from tlkit.models.trainer_numbers import TrainerNumbers, check_arguments
from tlkit.models.training_step import batch_seed, cut_of, require_finite_gradient, require_finite_loss, seed_device
from tlkit.preprocess import Preprocess
from tlkit.recipe import Strategy, TrainSection
from tlkit.samples import Samples


class Classifier(pl.LightningModule):
    """Fine-tunes a pretrained backbone on images of named classes; or of several labels, grades or numbers, by `task`.

    A batch holds normalized images (B, 3, H, W) float32, targets (B,) int64, and the rows (B,) int64 of the images in
    their table, which `train.loss: group_dro` needs. `train_loss`, `val_loss` and `val_accuracy` are logged once an
    epoch, `test_loss` and `test_accuracy` by `trainer.test`. The loss of val and test is the plain cross-entropy in
    nats, without label smoothing and class weights, so that runs can be compared. Of other tasks targets are (B, L) or
    (B,) float32, or masks (B, H, W) int64, or boxes (B, M, 5) float32; `val_loss` is the plain loss of the task,
    and grades and numbers have `val_mae` for an accuracy, masks `val_iou`, boxes none.

    In a script of your own, numbers that both the trainer and `train` state are warned about where they differ; see
    `tlkit.models.trainer_numbers` for which counts. `learning_rate` is what Lightning's LearningRateFinder sets.

    Example:
        >>> classifier = Classifier("test_resnet", classes=["ant", "bee"], weights="none")
        >>> classifier(torch.zeros(4, 3, 64, 64)).shape
        torch.Size([4, 2])
    """

    def __init__(
        self,
        backbone: str | Backbone | Mapping[str, Any],
        *,
        classes: Sequence[str] | None = None,
        weights: str = WEIGHTS,
        drop_rate: float = 0.0,
        strategy: Strategy | str | Mapping[str, Any] | None = None,
        train: TrainSection | Mapping[str, Any] | None = None,
        class_weights: Mapping[str, float] | None = None,
        class_counts: Mapping[str, int] | None = None,
        num_groups: int | None = None,
        task: TrainedTask = "multiclass",
        target_scale: tuple[float, float] | None = None,
        positive_weights: Mapping[str, float] | None = None,
        decoder: DecoderFacts | Mapping[str, Any] | None = None,
        steps_per_epoch: int | None = None,
        seed: int = 0,
    ) -> None:
        """Build the network and freeze what the strategy freezes.

        Lightning's checkpoints hold these arguments as plain values, so `Classifier.load_from_checkpoint(path)` needs
        neither the pretrained weights nor `weights_only=False`.

        Args:
            backbone: timm's name, a backbone, or the mapping of one in a checkpoint.
            classes: class names in target order, at least two; default: those of the trainer's data module, with which
                the network is built when a verb of the trainer starts.
            weights: source of the weights, as in a recipe's `model.weights`, where `backbone` is a name.
            drop_rate: dropout on the features before the head, in [0, 1).
            strategy: a recipe's `strategy` section, its kind ("full"), or a mapping of its keys; default: frozen.
            train: a recipe's `train` section, or a mapping of some of its keys.
            class_weights: weight of each class in the training loss; default: all 1.
            class_counts: training images of each class, for `train.logit_adjustment`.
            task: what the model says of an image. `classes` are then labels, or grades from the lowest on.
            target_scale: mean and standard deviation of the training numbers, for `task: regression`; default: those
                of the trainer's data module.
            positive_weights: weight of the images with each label in the training loss, for `task: multilabel`.
            decoder: what stands above the backbone, for `task: segmentation`; default: the library's U-Net. The
                numbers of the classes in masks are those of the trainer's data module; without one from 0. For `task:
                detection` its channels are those of the pyramid.
            num_groups: number of groups, for `train.loss: group_dro`; `loss.set_groups` sets the group of each image.
            steps_per_epoch: optimizer steps per epoch, for the schedule; default: those of the trainer. A fit that
                resumes within an epoch needs it, since asking the trainer drops the loader's position.
            seed: of the head's initialization and of dropout.

        Raises:
            ModelError: the backbone is not available or lacks what the strategy trains, or the classes are not two or
                more different names.
            RecipeError: `strategy` or `train` is wrong, or does not apply to the task; every problem is named.
        """
        super().__init__()
        recipe = check_arguments({"task": task, "strategy": strategy, "train": train})
        self.seed = seed
        self._from_checkpoint = isinstance(backbone, Mapping)  # which holds the head, too
        self.source = arguments.backbone_of(backbone, weights=weights, task=task)
        self.classes: tuple[str, ...] = ()
        self.drop_rate = drop_rate
        self.target_scale = None if target_scale is None else (float(target_scale[0]), float(target_scale[1]))
        self.task = task_head(task, scale=self.target_scale, train=recipe.train)
        self._positive_weights = positive_weights
        self.decoder = arguments.decoder_facts(decoder)
        self.strategy = recipe.strategy
        self.numbers = TrainerNumbers(recipe.train, in_own_script=isinstance(train, Mapping))
        self._class_weights, self._class_counts, self._num_groups = class_weights, class_counts, num_groups
        self.steps_per_epoch = steps_per_epoch
        self.save_hyperparameters(
            arguments.hyperparameters(recipe, self.source, class_weights=class_weights, class_counts=class_counts)
            | {"drop_rate": drop_rate, "num_groups": num_groups, "steps_per_epoch": steps_per_epoch, "seed": seed}
            | {"task": task, "target_scale": self.target_scale and list(self.target_scale)}
            | {"decoder": self.decoder.to_dict() if task in ("segmentation", "detection") else None}
            | {"positive_weights": positive_weights and {n: float(w) for n, w in positive_weights.items()}}
        )
        self.head_facts: Mapping[str, Any] = {}  # of a scikit-learn head
        self.epoch_loss = WeightedMean()  # a checkpoint within an epoch holds it
        self._step_weight = StepWeight()
        self._waiting: list[tuple[Batch, int]] = []
        self.soft: torch.Tensor | None = None  # shares of the classes of the training images (N, C); not stored
        self.means = nn.ModuleDict({"val": EvaluationMeans(), "test": EvaluationMeans()})
        for means in self.means.values():
            cast(EvaluationMeans, means).task = self.task
        self.frozen_modules: tuple[nn.Module, ...] = ()
        if classes is not None or task == "regression":
            self._build(classes or ())

    def _build(self, classes: Sequence[str]) -> None:
        """Build the network, the loss and the average, and freeze what the strategy freezes."""
        if self.task.task != "regression":
            least = 1 if self.task.task == "detection" else 2
            arguments.require_classes(classes, self._class_weights, self._class_counts, least=least)
        self.classes = tuple(classes)
        self.save_hyperparameters({"classes": list(classes)})
        count = len(self.classes)
        self.network = arguments.network_of(
            self.source, count, drop_rate=self.drop_rate, task=self.task, decoder=self.decoder
        )
        self.network.init_head(self.seed)
        if not self._from_checkpoint and getattr(self.strategy, "head", "linear") == "text":
            start_from_text(self.network, self.source.weights.source, self.classes)
        add_adapters_of_strategy(self.network, self.strategy, seed=self.seed)
        self.average: AveragedNetwork | None = None
        self._plan()
        self.loss: nn.Module
        if self.task.task == "multiclass":
            self.loss, adjustment = loss_and_adjustment(
                self.settings,
                self.classes,
                weights=self._class_weights,
                counts=self._class_counts,
                groups=self._num_groups,
            )
        else:
            self.loss = create_task_loss(
                self.task,
                self.classes,
                weights=self._class_weights,
                positive_weights=self._positive_weights,
                asymmetric=self.settings.loss == "asymmetric",
            )
            adjustment = torch.zeros(())
        self.register_buffer("adjustment", adjustment, persistent=False)
        if (decay := self.settings.ema_decay) is not None:
            self.average = AveragedNetwork(self.network, decay=decay, constant=self._constant)

    def _plan(self) -> None:
        """Plan the phases of the strategy, and enter the first."""
        self.phases = plan_phases(self.network, self.strategy, epochs=self.settings.epochs)
        self._constant = constant_tensors(self.network, self.phases)
        self._table_logged = False
        self.enter_phase(self.phases[0])
        if self.average is not None:
            self.average.constant = self._constant

    @property
    def preprocess(self) -> Preprocess:
        """The preprocessing that the network expects."""
        return self.source.preprocess

    def facts(self) -> ModelFacts:
        """Return the facts of the stored model; a ModelError is raised where the classes are not known yet."""
        self._require_network()
        facts = arguments.model_facts_of(self.source, self.classes, drop_rate=self.drop_rate, head=self.head_facts)
        decoder = self.decoder.to_dict() if self.task.task == "segmentation" else {}
        if self.task.task == "detection":
            decoder = box_facts(self.decoder.channels)
        quantiles = getattr(self.task, "quantiles", None)
        return replace(facts, task=self.task.task, target_scale=self.target_scale, quantiles=quantiles, decoder=decoder)

    def plain_network(self) -> Network:
        """Return the network as it is stored: the moving average if there is one; LoRA adapters merged, in a copy."""
        network = self.eval_network
        if self.strategy.kind == "lora":
            network = copy.deepcopy(network)
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
        """Return what each block does in a phase, by default the current one; the phase is entered for that time."""
        self._require_network()
        before = self.phase
        if phase is not None and phase is not before:
            self.enter_phase(phase)
        rows = layer_table(self.network, self.phase.rates, learning_rate=self.settings.learning_rate)
        if self.phase is not before:
            self.enter_phase(before)
        return rows

    def train(self, mode: bool = True) -> Classifier:
        """Set the training mode; frozen modules stay in evaluation mode."""
        super().train(mode)
        for module in self.frozen_modules if mode else ():
            module.eval()
        return self

    def setup(self, stage: str) -> None:
        """Take the classes of the data module, and the length of training from the trainer.

        An `ImageFolderDataModule` also gives the mean and the standard deviation of the training numbers, the numbers
        of the classes in masks, and the shares of several annotators.

        Several processes: require gradients of all parameters that any phase trains, which DDP reads once.

        Raises:
            ModelError: there are no classes, or those of the data module are others, or of another task.
            RecipeError: the trainer's epochs contradict the strategy or the schedule.
        """
        classes = arguments.classes_of(self.trainer)
        samples = samples_of(self.trainer)
        if samples is not None:
            self._take(samples)
        if not self.classes and classes is not None and self.task.task != "regression":
            self._build(classes)
        self._require_network()
        if stage != "predict" and classes is not None:
            arguments.require_same_classes(self.classes, classes)
        if stage != "fit":
            return
        if self.numbers.follow(self.trainer, strategy=self.strategy, each=self.steps_per_epoch):
            self._plan()
        if self.trainer.world_size > 1:
            require_gradients(self.network, self.phases)

    def _take(self, samples: Samples) -> None:
        """Take from the images of the data module what no argument has stated."""
        require_same_task(self.task.task, samples)
        if samples.masks is not None:
            self.decoder = decoder_of_data(self.decoder, samples.masks)
            self.save_hyperparameters({"decoder": self.decoder.to_dict()})
        if self.target_scale is None and samples.target_scale is not None and not self._from_checkpoint:
            self._set_target_scale(samples.target_scale)
        if self.soft is None:
            self.soft = shares_of_annotators(samples.split("train"))

    def _set_target_scale(self, scale: tuple[float, float]) -> None:
        """Let the network give its numbers in standard deviations of these from their mean."""
        self.target_scale = scale
        self.task = task_head("regression", scale=scale, train=self.settings)
        self.save_hyperparameters({"target_scale": list(scale)})
        cast(TaskLoss, self.loss).head = self.network.task = self.task
        if self.average is not None:
            self.average.network.task = self.task
        for means in self.means.values():
            cast(EvaluationMeans, means).task = self.task

    def on_fit_start(self) -> None:
        """Set the training mode, which Lightning keeps as it is since 2.2 (PR #18951), and warn of disagreements."""
        self.enter_phase(self.phase)
        self.train()
        if self.trainer.is_global_zero:
            arguments.warn_of_preprocessing(self.preprocess, self.trainer)
            has_weights = self._class_weights is not None
            self.numbers.warn(self.trainer, each=self.steps_per_epoch, has_class_weights=has_weights)

    def on_train_start(self) -> None:
        """Apply a learning rate that was set since the optimizer was made, as LearningRateFinder does."""
        self.numbers.apply_learning_rate(self.trainer)

    @property
    def settings(self) -> TrainSection:
        """The `train` section, with the epochs of the trainer where the section states none."""
        return self.numbers.settings

    @property
    def learning_rate(self) -> float:
        """The highest learning rate of the classifier; setting it scales those of the backbone."""
        return self.settings.learning_rate

    @learning_rate.setter
    def learning_rate(self, value: float) -> None:
        self.numbers.set_learning_rate(value)
        self.hparams["train"]["learning_rate"] = value

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Seed the batch's random numbers (dropout) by seed, epoch and batch."""
        self._enter_phase_of_epoch()  # on_train_epoch_start is not called for an epoch that is resumed within
        seed = batch_seed(self.seed, epoch=self.current_epoch, batch=batch_idx, rank=self.global_rank)
        seed_device(seed, self.device)

    def forward(self, images: torch.Tensor, after: str = "") -> torch.Tensor:
        """Return logits (B, C) of normalized images (B, 3, H, W), or of activations after a module; see `Network`."""
        self._require_network()
        return cast(torch.Tensor, self.network(images, after))

    def training_step(self, batch: Sequence[torch.Tensor], batch_idx: int) -> torch.Tensor:
        """Return the loss of a batch, so scaled that a step has the gradient of the mean loss of all its images.

        Raises:
            NotFiniteError: the loss is not a finite number; the batch has not changed the weights.
        """
        starts, processes = batch_idx % self.trainer.accumulate_grad_batches == 0, self.trainer.world_size
        weight = basis = weight_in_loss(self.loss, targets_of(batch, self.soft))
        if isinstance(self.loss, GroupDROLoss):  # the batches of a step wait for the last of them
            self._waiting = [*([] if starts else self._waiting), (batch, batch_idx)]
            if not ends_step(self.trainer, batch_idx):
                return 0 * cast(torch.Tensor, self.network.head.bias).sum()
            loss = self.group_dro_loss(self._waiting, epoch=self.current_epoch, processes=processes)
            weight, basis = sum(len(waiting[1]) for waiting, _ in self._waiting), 1.0
            self._waiting = []
        else:
            loss = self.batch_loss(batch, epoch=self.current_epoch, batch_idx=batch_idx)
        share, whole, total = share_of_step(loss, basis, processes=processes)
        require_finite_loss(whole, epoch=self.current_epoch + 1, batch=batch_idx + 1)
        self.epoch_loss.update(whole.expand(len(batch[1])), weight / len(batch[1]))
        self.log("train_loss", self.epoch_loss, on_step=False, on_epoch=True, prog_bar=True)
        return loss * share * self._step_weight.add(total, starts=starts)

    def batch_loss(self, batch: Batch, *, epoch: int, batch_idx: int) -> torch.Tensor:
        """Return the training loss of a batch, in nats, which is mixed by seed, epoch and batch number."""
        if isinstance(self.loss, GroupDROLoss):
            return self.group_dro_loss([(batch, batch_idx)], epoch=epoch)
        if self.task.task == "detection":
            return self.network.box_loss(batch[0], batch[1])
        seed = batch_seed(self.seed, epoch=epoch, batch=batch_idx, rank=self.global_rank)
        mixed = mix_batch_of_epoch(batch[0], targets_of(batch, self.soft), self.settings, epoch=epoch, seed=seed)
        logits = self(mixed.images, cut_of(batch)).float() + self.adjustment
        return mixed.loss(lambda *given: loss_of(self.loss, *given), logits)

    def group_dro_loss(self, batches: Sequence[tuple[Batch, int]], *, epoch: int, processes: int = 1) -> torch.Tensor:
        """Return the loss of a step's batches, each with its number; all processes must call with their parts."""
        loss = cast(GroupDROLoss, self.loss)

        def sums_of(batch: Batch, batch_idx: int) -> torch.Tensor:
            seed_device(batch_seed(self.seed, epoch=epoch, batch=batch_idx, rank=self.global_rank), self.device)
            logits = self(batch[0], cut_of(batch)).float() + self.adjustment
            return loss.sums(logits, targets_of(batch, self.soft), loss.groups_in(batch))

        return group_dro_loss(loss, sums_of, batches, network=self.network, processes=processes)

    def optimizer_step(self, *arguments: Any, **options: Any) -> None:
        """Take an optimizer step, and update the moving average."""
        super().optimizer_step(*arguments, **options)
        if self.average is not None:
            self.average.update(self.network)

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip the gradient by the trainer's number; where it has none, by that which `train` states."""
        value = self.numbers.stated_clip if gradient_clip_val is None else gradient_clip_val
        self.clip_gradients(optimizer, value, gradient_clip_algorithm)

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Scale the gradients of several batches to those of their mean loss, and check them.

        Raises:
            NotFiniteError: a gradient is not a finite number; in precision 16 torch's loss scaling handles that.
        """
        self._step_weight.scale_gradients(optimizer, batches=self.trainer.accumulate_grad_batches)
        if self.trainer.precision != "16-mixed":
            require_finite_gradient(optimizer, epoch=self.current_epoch + 1, batch=self.trainer.fit_loop.batch_idx + 1)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the epoch's loss so far, for a checkpoint within an epoch."""
        checkpoint["epoch_loss"] = gather_mean(self.epoch_loss, processes=self.trainer.world_size)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore the epoch's loss so far, and the scale of a network of numbers.

        Raises:
            ModelError: the checkpoint is that of a run, which holds only the weights that training changes.
        """
        arguments.require_whole_checkpoint(checkpoint["state_dict"], self.state_dict(), frozen=self.frozen_tensors())
        scale = checkpoint.get(self.CHECKPOINT_HYPER_PARAMS_KEY, {}).get("target_scale")
        if scale is not None and self.task.task == "regression":  # in which the weights give their numbers
            self._set_target_scale(tuple(scale))
        restore_mean(self.epoch_loss, checkpoint.get("epoch_loss"), rank=self.global_rank)

    def on_train_epoch_start(self) -> None:
        """Enter the epoch's phase, and reset its loss; not called for an epoch that is resumed within."""
        self._enter_phase_of_epoch()
        self.epoch_loss.reset()

    def on_validation_start(self) -> None:
        """Broadcast norm statistics, so that every process evaluates the same network."""
        share_statistics(self, processes=self.trainer.world_size)

    on_test_start = on_predict_start = on_validation_start

    def validation_step(self, batch: Sequence[torch.Tensor], batch_idx: int) -> dict[str, torch.Tensor]:
        """Log the plain cross-entropy and the accuracy of a batch; return `y_pred` (B,) for callbacks."""
        return self._evaluate(batch, "val", batch_idx)

    def test_step(self, batch: Sequence[torch.Tensor], batch_idx: int) -> dict[str, torch.Tensor]:
        """Log the plain cross-entropy and the accuracy of a batch; return `y_pred` (B,) for callbacks."""
        return self._evaluate(batch, "test", batch_idx)

    def _evaluate(self, batch: Sequence[torch.Tensor], stage: str, number: int) -> dict[str, torch.Tensor]:
        means = cast(EvaluationMeans, self.means[stage])
        if self.task.task == "detection":
            devices = () if self.device.type == "cpu" else (self.device,)
            kind = "cuda" if self.device.type == "cpu" else self.device.type
            with torch.random.fork_rng(devices, device_type=kind):  # the loss draws anchors, the same in every epoch
                seed_device(batch_seed(self.seed, epoch=0, batch=number, rank=self.global_rank), self.device)
                loss = self.eval_network.box_loss(batch[0], batch[1])
            means.loss.update(loss.float().expand(len(batch[1])))
            self.log(f"{stage}_loss", means.loss, prog_bar=True)
            return {}
        y_pred = means.update(self.eval_network(batch[0], cut_of(batch)).float(), batch[1])
        for name, mean in means.metrics():
            self.log(f"{stage}_{name}", mean, prog_bar=True)
        return {"y_pred": y_pred}

    def predict_step(
        self, batch: torch.Tensor | Sequence[torch.Tensor], batch_idx: int, dataloader_idx: int = 0
    ) -> dict[str, torch.Tensor]:
        """Return the predictions of a batch, by the moving average where there is one.

        Returns:
            `proba` (B, C) float32, of numbers `scores` (B, 1); `y_pred` as `TaskHead.predicted` gives it, of classes
            (B,) int64; and where the batch holds them `target` (B,) and `index` (B,), the rows of the images in the
            samples of their split, since unreadable images are left out.
        """
        image, *others = [batch] if isinstance(batch, torch.Tensor) else batch
        scores = self.eval_network.scores(image)
        name = "scores" if self.task.task == "regression" else "proba"
        found = {name: scores, "y_pred": self.task.predicted(scores)}
        return found | dict(zip(("target", "index"), others, strict=False))

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Return the optimizer and its per-step schedule."""
        # asking the trainer drops a loader's position on resume (Lightning #20550), so `fit` passes the number
        steps = self.steps_per_epoch or steps_per_epoch(self.trainer)
        optimizer, schedule = optimizer_with_schedule(
            self.network, self.phases, self.settings, steps_per_epoch=steps, total_steps=self.numbers.length.steps
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    @property
    def eval_network(self) -> Network:
        """The network that is evaluated and stored: the moving average if there is one."""
        return self.network if self.average is None else self.average.network

    def _require_network(self) -> None:
        if not self.classes and self.task.task != "regression":
            raise ModelError(arguments.NO_CLASSES)

    def _enter_phase_of_epoch(self) -> None:
        """Enter the phase of the epoch, and log its table once."""
        phase = phase_at(self.phases, self.current_epoch)
        if phase is self.phase and self._table_logged:
            return
        self.enter_phase(phase)
        log_phase(phase, self.layers(), is_last=phase is self.phases[-1])
        self._table_logged = True

    def enter_phase(self, phase: Phase) -> None:
        """Freeze what does not train in a phase: gradients, norm statistics, dropout."""
        self.phase = phase
        self.frozen_modules = apply_phase(self.network, phase)
        self.train(self.training)
