"""The section `train` of a recipe: the optimization of the classifier and, by `strategy`, the backbone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from tlkit.choices import COVERAGE, MaskLoss
from tlkit.recipe import value_types as v
from tlkit.recipe.sections.section import Section
from tlkit.recipe.value_types import Expected

Optimizer = Literal["sgd", "adam", "adamw", "rmsprop"]
Schedule = Literal["cosine", "one_cycle", "constant"]
Loss = Literal["cross_entropy", "focal", "group_dro", "asymmetric"]
NumberLoss = Literal["huber", "mse", "quantile"]
Sampling = Literal["shuffled", "balanced", "group_balanced"]
Monitor = Literal["val_loss", "val_accuracy", "val_worst_group_accuracy"]
Precision = Literal["auto", 32, "bf16", 16]
Parallel = Literal["ddp", "fsdp"]
Device = Literal["auto", "cpu", "cuda", "mps"]


class EarlyStopping(Section):
    """Stop when the validation figure has not improved for some epochs."""

    monitor: Monitor = Field("val_loss", description="Quantity that must improve.")
    patience: v.Count = Field(5, description="Epochs without improvement before training stops, at least 1.")
    min_delta: v.NotNegative = Field(
        0.0, description="Smallest change that counts as an improvement, at least 0, in the units of `monitor`."
    )


class TrainSection(Section):
    """The optimization of the classifier and, by `strategy`, the backbone."""

    epochs: v.Epochs = Field(5, description="Passes over the training images, 1 to 1,000,000.")
    optimizer: Optimizer = Field("adamw", description="Optimizer of torch.")
    learning_rate: v.Rate = Field(1e-3, description="Highest learning rate of the classifier, above 0, up to 1,000.")
    weight_decay: v.Strength = Field(0.01, description="Weight decay, 0 to 100.")
    momentum: v.BelowOne = Field(0.9, description="Momentum of sgd and rmsprop, 0 to below 1.")
    schedule: Schedule = Field("cosine", description="Schedule of the learning rate over all steps.")
    warmup_epochs: v.NotNegative = Field(
        0.0, description="Epochs of linear warm-up before `schedule`, from 0 to below `epochs`; fractions count."
    )
    label_smoothing: v.BelowOne = Field(0.0, description="Share of each target spread over all classes, 0 to below 1.")
    class_weights: Annotated[
        Literal["none", "balanced"] | Annotated[Mapping[str, v.Positive], Field(min_length=1)],
        Expected("none, balanced, or a weight above 0 for each class, such as {ants: 1.0, bees: 2.0}"),
    ] = Field(
        "none",
        description="Weight of each class in the loss: none, balanced (inverse to its training images) or a number "
        "above 0 by class name. Of several labels, balanced weights the images with a label as much as those without.",
    )
    loss: Loss = Field(
        "cross_entropy",
        description="Training loss of task: multiclass; focal weights hard images, group_dro weights groups. Several "
        "labels have the binary cross-entropy of each, or asymmetric, where images that surely lack a label count "
        "little; grades have that of conditional ranks (CORN).",
    )
    number_loss: NumberLoss = Field(
        "huber",
        description="Training loss of task: regression: huber = squared up to one standard deviation of the training "
        "numbers, linear beyond it; mse = squared error, which outliers weigh on; quantile = the median, and a lower "
        "and an upper quantile, whose distance differs between images and which val moves to their coverage (CQR).",
    )
    quantile_coverage: v.Inside = Field(
        COVERAGE,
        description="Share of the numbers between the two quantiles of number_loss: quantile, between 0 and 1.",
    )
    mask_loss: MaskLoss = Field(
        "dice",
        description="Training loss of task: segmentation, as segmentation_models_pytorch has it: dice = 1 − the Dice "
        "coefficient of each class in a batch, cross_entropy = of each pixel, focal = the same with hard pixels "
        "weighted.",
    )
    focal_gamma: v.Strength = Field(
        2.0, description="Exponent that lowers the weight of well-classified images, 0 to 100; for loss: focal only."
    )
    group_dro_step: v.Rate = Field(
        0.01,
        description="Step size of the group weights of loss: group_dro, above 0; groups are intersections of class "
        "and `audit.by`.",
    )
    logit_adjustment: v.Strength = Field(
        0.0,
        description="Factor of the log class prior that is added to the logits in training, at least 0, which favors "
        "rare classes; 1 = the full prior, 0 = none.",
    )
    sampling: Sampling = Field(
        "shuffled",
        description="Images of an epoch: shuffled = each once; balanced = the same number, drawn equally from each "
        "class; group_balanced = drawn equally from each intersection of class and `audit.by`.",
    )
    mixup: v.Strength = Field(
        0.0, description="Strength of mixup, the alpha of its Beta distribution, at least 0; 0 = none."
    )
    cutmix: v.Strength = Field(
        0.0, description="Strength of cutmix, at least 0; 0 = none; with mixup, each batch takes one of the two."
    )
    mixup_off_epochs: v.Whole = Field(
        0, description="Last epochs without mixup and cutmix, at least 0 and below `epochs`."
    )
    ema_decay: Annotated[
        v.Inside | None, Expected("a number between 0 and 1, such as 0.999, or null for no average")
    ] = Field(
        None,
        description="Decay per step of an exponential moving average of the weights, which is evaluated and stored "
        "instead of them, between 0 and 1; null = no average.",
    )
    model_soup_size: Annotated[
        v.Parts | None, Expected("a whole number from 2 to 50, or null for the best epoch alone")
    ] = Field(
        None,
        description="Best epochs to keep and, at the end, to average while validation improves (greedy soup), 2 to "
        "50; null = the best epoch alone. Where `ema_decay` is set, the moving averages are averaged.",
    )
    accumulate_grad_batches: v.PerStep = Field(
        1, description="Batches whose gradients are accumulated for one step, at least 1."
    )
    gradient_clip_val: Annotated[
        v.Positive | None, Expected("a number above 0, up to 1,000,000, or null for no clipping")
    ] = Field(1.0, description="Largest norm of the gradient, above 0; null = no clipping.")
    early_stopping: Annotated[
        EarlyStopping | None, Expected("null for none, or keys such as {monitor: val_loss, patience: 5}")
    ] = Field(None, description="When to stop before the last epoch; null = never.")
    monitor: Monitor = Field(
        "val_loss",
        description="Validation figure that selects the best checkpoint; val_worst_group_accuracy = of the worst "
        "intersection of `audit.by` with at least `audit.min_group_size` images.",
    )
    checkpoint_every: Annotated[
        v.Count | None,
        Expected(f"a number of steps of at least 1, up to {v.MOST:,}, or null for the end of epochs only"),
    ] = Field(
        None,
        description="Steps between checkpoints, in addition to those at the end of every epoch, so that an "
        "interrupted long epoch loses little; null = at the end of epochs only.",
    )
    precision: Annotated[Precision, v.ExactInt] = Field(
        "auto",
        description="Arithmetic: 32 = float32, bf16 and 16 = mixed; auto = by the device (bf16 on GPUs and CPUs that "
        "multiply matrices in it), logged.",
    )
    memory_format: Literal["auto", "contiguous", "channels_last"] = Field(
        "auto",
        description="Memory format of the tensors; auto = channels_last, which makes most convolutions faster, but "
        "contiguous with parallel: fsdp.",
    )
    compile: Annotated[v.Switch | Literal["regional"], Expected("true, false or regional")] = Field(
        False,
        description="Whether torch.compile compiles the backbone: true = as a whole; regional = each of its repeated "
        "blocks, which compiles alike blocks once. It is worth it in long runs on a GPU; compiling takes a minute or "
        "more.",
    )
    grad_checkpointing: v.Switch = Field(
        False,
        description="Whether the backward pass computes the activations of the backbone's blocks again instead of "
        "keeping them (gradient checkpointing): the same bits in less memory and more time, for larger batches.",
    )
    device: Device = Field("auto", description="Device of the training; auto = cuda or mps where available, else cpu.")
    devices: Annotated[
        Literal["auto"] | v.Processes, Expected("auto, or a whole number of at least 1, up to 1,024")
    ] = Field(
        1,
        description="Processes on each machine that train together, each on a GPU of its own (or on the CPU) with "
        "batch_size images per step; auto = one per GPU.",
    )
    parallel: Parallel = Field(
        "ddp",
        description="Content of each of several processes: ddp = the whole network; fsdp = a shard of its weights, "
        "gradients and optimizer state, for networks that do not fit one GPU.",
    )
    num_nodes: v.Processes = Field(
        1, description="Machines that train together, started by torchrun; see docs/devices.md."
    )
