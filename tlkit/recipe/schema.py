"""The recipe: every key with its type, range, default and meaning, in the order in which things happen."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from tlkit.recipe import values as v
from tlkit.recipe.contradictions import contradictions
from tlkit.recipe.data_section import DataSection
from tlkit.recipe.section import Section
from tlkit.recipe.strategies import FrozenStrategy, Kind, Strategy
from tlkit.recipe.values import Wanted

Preset = Literal["none", "light", "medium", "heavy"]
Optimizer = Literal["sgd", "adam", "adamw", "rmsprop"]
Schedule = Literal["cosine", "one_cycle", "constant"]
Loss = Literal["cross_entropy", "focal", "group_dro"]
Sampling = Literal["shuffled", "balanced", "group_balanced"]
Monitor = Literal["val_loss", "val_accuracy", "val_worst_group_accuracy"]
Tta = Literal["none", "flip", "ten_crop"]
Precision = Literal["auto", 32, "bf16", 16]
Device = Literal["auto", "cpu", "cuda", "mps"]


class TransformSpec(BaseModel):
    """One Albumentations transform: its name, and its arguments beside it."""

    model_config = ConfigDict(extra="allow", frozen=True)

    name: Annotated[v.Text, Wanted("the name of an Albumentations transform, such as HorizontalFlip", text=True)] = (
        Field(
            description="Class of the transform in Albumentations; every other key is an argument of it.",
            examples=["HorizontalFlip"],
        )
    )

    @property
    def arguments(self) -> dict[str, Any]:
        """The transform's keyword arguments: plain numbers, texts, lists and mappings."""
        return dict(self.model_extra or {})

    @model_validator(mode="before")
    @classmethod
    def _plain_values(cls, given: Any) -> Any:
        return {key: _plain(value) for key, value in given.items()} if isinstance(given, Mapping) else given


def _plain(value: Any) -> Any:
    """Return `value` with lists for tuples; refuse what YAML cannot hold."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if value is None or isinstance(value, str | bool | int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    raise v.said(f"holds {value!r}. Use numbers, texts, lists and mappings as arguments.")


class AugmentSection(Section):
    """How training images are varied: a preset, or a list of transforms instead of it."""

    preset: Preset = Field(
        "light", description="Ready-made set of transforms, from none to heavy; not used where `transforms` is given."
    )
    transforms: Annotated[
        Annotated[tuple[TransformSpec, ...], Field(min_length=1)] | None,
        Wanted("a list of transforms such as [{name: HorizontalFlip, p: 0.5}], or preset: none for no augmentation"),
    ] = Field(None, description="Albumentations transforms in order, instead of `preset`; null = use the preset.")


class ModelSection(Section):
    """The pretrained backbone."""

    name: Annotated[v.Text, Wanted("the name of a timm model, such as resnet18", text=True)] = Field(
        description="Model of timm, such as resnet18 or tf_efficientnet_lite0; `tlkit models` lists them.",
        examples=["resnet18"],
    )
    weights: v.WeightsSource = Field(
        "hub",
        description="Where the weights come from: hub (timm's own), none (random), pip:PACKAGE, "
        "file:PATH (safetensors), hf-hub:ORG/REPO or run:PATH.",
    )
    drop_rate: v.BelowOne = Field(0.0, description="Dropout before the classifier, 0 to below 1.")


class FeaturesSection(Section):
    """How the features of a frozen backbone are made and kept."""

    use: Annotated[Literal["auto", "never"], Wanted("auto or never")] = Field(
        "auto",
        description="auto = train a frozen backbone's classifier on cached features where no augmentation asks for new "
        "pixels every epoch; never = run the backbone every epoch.",
    )
    engine: Literal["auto", "torch", "torch-bf16", "onnxruntime", "openvino"] = Field(
        "auto", description="What runs the frozen backbone; auto = the fastest within `tolerance`, measured and logged."
    )
    tolerance: v.UpToOne = Field(
        0.9999,
        description="Smallest cosine similarity with float32 torch that `engine: auto` accepts, above 0 and up to 1.",
    )
    views: v.Whole = Field(
        0,
        description="Augmented views of every training image to cache and take in turn, epoch by epoch; "
        "0 = the images as they are.",
    )
    cache_limit_gb: v.Positive = Field(
        10.0, description="Gigabytes that cached features may take, above 0; the least recently used go first."
    )


class EarlyStopping(Section):
    """Stop when the validation split has not improved for a while."""

    monitor: Monitor = Field("val_loss", description="Quantity that must improve.")
    patience: v.Count = Field(5, description="Epochs without improvement before training stops, at least 1.")
    min_delta: v.NotNegative = Field(
        0.0, description="Smallest change that counts as an improvement, at least 0, in the units of `monitor`."
    )


class TrainSection(Section):
    """How the classifier (and the backbone, where the strategy says so) is trained."""

    epochs: v.Count = Field(5, description="Passes over the training images, at least 1.")
    optimizer: Optimizer = Field("adamw", description="Optimizer of torch.")
    learning_rate: v.Positive = Field(1e-3, description="Highest learning rate of the classifier, above 0.")
    weight_decay: v.NotNegative = Field(0.01, description="Weight decay, at least 0.")
    momentum: v.BelowOne = Field(0.9, description="Momentum of sgd and rmsprop, 0 to below 1.")
    schedule: Schedule = Field("cosine", description="Course of the learning rate over all steps.")
    warmup_epochs: v.NotNegative = Field(
        0.0, description="Epochs of linear warm-up before `schedule`, from 0 to below `epochs`; fractions count."
    )
    label_smoothing: v.BelowOne = Field(0.0, description="Share of each target spread over all classes, 0 to below 1.")
    class_weights: Annotated[
        Literal["none", "balanced"] | Annotated[Mapping[str, v.Positive], Field(min_length=1)],
        Wanted("none, balanced, or a weight above 0 for each class, such as {ants: 1.0, bees: 2.0}"),
    ] = Field(
        "none",
        description="Weight of each class in the loss: none, balanced (inverse to its training images) or a number "
        "above 0 by class name.",
    )
    loss: Loss = Field("cross_entropy", description="Training loss; focal is for hard images, group_dro for groups.")
    focal_gamma: v.NotNegative = Field(
        2.0, description="How little well classified images count in the focal loss, at least 0; for loss: focal only."
    )
    group_dro_step: v.Positive = Field(
        0.01,
        description="How fast loss: group_dro turns to the crossings of class and `audit.by` with most loss, above 0.",
    )
    logit_adjustment: v.NotNegative = Field(
        0.0,
        description="Strength, at least 0, at which rare classes are favoured in training through the logits; 1 = as "
        "their shares say, 0 = not at all.",
    )
    sampling: Sampling = Field(
        "shuffled",
        description="Images of an epoch: shuffled = each once; balanced = as many, of each class equally many; "
        "group_balanced = of each crossing of class and `audit.by` equally many.",
    )
    mixup: v.NotNegative = Field(
        0.0, description="Strength of mixup, the alpha of its Beta distribution, at least 0; 0 = none."
    )
    cutmix: v.NotNegative = Field(
        0.0, description="Strength of cutmix, at least 0; 0 = none; beside mixup, each batch takes one of the two."
    )
    mix_off_epochs: v.Whole = Field(
        0, description="Last epochs that go without mixup and cutmix, at least 0 and below `epochs`."
    )
    ema_decay: Annotated[v.Inside | None, Wanted("a number between 0 and 1, such as 0.999, or null for no average")] = (
        Field(
            None,
            description="Decay per step of a moving average of the weights, which is evaluated and stored instead of "
            "them, between 0 and 1; null = no average.",
        )
    )
    soup: Annotated[v.Parts | None, Wanted("a whole number from 2 to 50, or null for the best epoch alone")] = Field(
        None,
        description="Best epochs to keep and, at the end, to average as far as validation gains by it (greedy soup), 2 "
        "to 50; null = the best epoch alone. Where `ema_decay` is set, their moving averages are averaged.",
    )
    accumulate_batches: v.Count = Field(
        1, description="Batches whose gradients make one step, at least 1; a step then sees so many times batch_size."
    )
    gradient_clip: Annotated[v.Positive | None, Wanted("a number above 0, or null for no clipping")] = Field(
        1.0, description="Largest norm of the gradient, above 0; null = no clipping."
    )
    early_stopping: Annotated[
        EarlyStopping | None, Wanted("null for none, or keys such as {monitor: val_loss, patience: 5}")
    ] = Field(None, description="When to stop before the last epoch; null = never.")
    monitor: Monitor = Field(
        "val_loss",
        description="Validation quantity that selects the best checkpoint; val_worst_group_accuracy is that of the "
        "worst group by `audit.by`, crossed, which has `audit.min_group_size` images.",
    )
    checkpoint_every: Annotated[
        v.Count | None, Wanted("a whole number of steps of at least 1, or null for the end of epochs only")
    ] = Field(
        None,
        description="Steps after which a checkpoint is written, beside those at the end of every epoch, so that a long "
        "epoch that is cut loses little; null = at the end of epochs only.",
    )
    precision: Annotated[Precision, v.ExactInt] = Field(
        "auto", description="Arithmetic: 32 = float32, bf16 and 16 = mixed; auto = by the device, logged."
    )
    memory_format: Literal["auto", "contiguous", "channels_last"] = Field(
        "auto",
        description="Order of the numbers in memory; auto = channels_last, or what measures faster in a run of 200 "
        "steps or more, logged.",
    )
    compile: Annotated[Literal["auto"] | v.Switch, Wanted("auto, true or false")] = Field(
        "auto",
        description="Whether torch.compile makes kernels for the backbone; auto = where it measures faster, on a GPU "
        "in a run of 2,000 steps or more; never on a CPU.",
    )
    device: Device = Field("auto", description="Where to train; auto = cuda or mps where there is one, else cpu.")
    devices: Annotated[Literal["auto"] | v.Count, Wanted("auto, or a whole number of at least 1")] = Field(
        1,
        description="Processes on each machine that train together, each on a GPU of its own (or on the CPU) with "
        "batch_size images a step; auto = one per GPU.",
    )
    num_nodes: v.Count = Field(1, description="Machines that train together, started by torchrun; see docs/devices.md.")


class EvaluateSection(Section):
    """What is measured on the predictions."""

    top_k: v.Ranks = Field((1, 5), description="Ranks k for top-k accuracy, at least 1 each.")
    confidence: v.Inside = Field(0.95, description="Confidence level of every interval, between 0 and 1.")
    tta: Tta = Field(
        "none",
        description="Views of each image over which the run's predictions are averaged: flip = the image and its "
        "mirror image; ten_crop = corners and centre, and their mirror images; none = the image alone.",
    )


class AuditColumn(Section):
    """A group column with the way to cut it into groups; one of bins, quantiles, order and separator."""

    column: Annotated[v.Text, Wanted("the name of a column of data.groups, such as age", text=True)] = Field(
        description="Column of data.groups.", examples=["age"]
    )
    bins: Annotated[v.Edges, Wanted("a list of rising numbers, such as [18, 65]")] = Field(
        (), description="Inner edges of the bins of a number."
    )
    quantiles: Annotated[v.Parts | None, Wanted("a whole number from 2 to 50, or null")] = Field(
        None, description="Groups of about equal size to cut a number into, 2 to 50; null = not cut."
    )
    order: Annotated[v.Names, Wanted("a list of values, lowest first, such as [small, large]")] = Field(
        (), description="The values in their order, lowest first."
    )
    separator: Annotated[v.OptionalText, Wanted("a text such as ';', or null", text=True)] = Field(
        None, description="What separates the values where an image has several; null = an image has one."
    )


Criterion = Literal[
    "accuracy_equality",
    "demographic_parity",
    "equal_opportunity",
    "equalised_odds",
    "predictive_parity",
    "four_fifths",
]


class AuditSection(Section):
    """Which subgroups are compared."""

    by: Annotated[
        tuple[v.Text | AuditColumn, ...],
        AfterValidator(v.each_once),
        Wanted("a list of columns of data.groups, such as [sex, {column: age, quantiles: 4}]"),
    ] = Field(
        (),
        description="Columns of data.groups by which the predictions are compared, each a name or a mapping that says "
        "how to cut it; empty = no audit.",
        examples=[["sex", {"column": "age", "quantiles": 4}]],
    )
    criteria: Annotated[
        tuple[Criterion, ...],
        AfterValidator(v.each_once),
        Wanted(f"a list of criteria, such as [equal_opportunity]; there are {', '.join(get_args(Criterion))}"),
    ] = Field(
        (), description="Criteria whose rates are compared, too: what they ask and leave out stands in the audit."
    )
    positive: Annotated[v.OptionalText, Wanted("the name of a class, or null", text=True)] = Field(
        None,
        description="The class that the criteria are about; null = the second of two classes, or each of more.",
    )
    tolerance: v.Tolerance = Field(
        0.05, description="Largest difference from the rest that is tolerated, at least 0 and below 1."
    )
    cluster_by: Annotated[v.OptionalText, Wanted("a column of data.groups, or null", text=True)] = Field(
        None, description="Column of what belongs together, such as the subject; null = independent images."
    )
    pair_by: Annotated[v.OptionalText, Wanted("a column of data.groups, or null", text=True)] = Field(
        None, description="Column of matched sets, within which groups are compared; null = not matched."
    )
    weights: Annotated[v.OptionalText, Wanted("a column of data.groups, or null", text=True)] = Field(
        None, description="Column of numbers of at least 0 that weight the images; null = all alike."
    )
    max_order: v.Count = Field(2, description="Most columns that are crossed with each other, at least 1.")
    min_group_size: v.Count = Field(
        20, description="Groups with fewer images than this are shown with their size instead of a rate, at least 1."
    )

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns in `by`."""
        return tuple(one if isinstance(one, str) else one.column for one in self.by)

    @property
    def plain(self) -> list[str | dict[str, Any]]:
        """The entries of `by` as names and plain mappings."""
        return [one if isinstance(one, str) else one.model_dump() for one in self.by]


class ReportSection(Section):
    """The HTML report of the run."""

    enabled: v.Switch = Field(True, description="Write report.html into the run directory.")
    title: Annotated[v.OptionalText, Wanted("a title, or null for the run's name", text=True)] = Field(
        None, description="Title of the report; null = the run's name."
    )
    intended_use: Annotated[v.OptionalText, Wanted("a text, or null", text=True)] = Field(
        None, description="What the model is for, and what it is not for, in your words; for the model card."
    )
    thumbnails: v.Whole = Field(
        120,
        description="The most thumbnails (up to 96 pixels) of images behind failing groups and slices; 0 = paths.",
    )


class TrackingSection(Section):
    """Where the run is tracked besides its own directory."""

    kind: Literal["none", "wandb"] = Field("none", description="none, or wandb for Weights & Biases.")
    mode: Literal["auto", "offline", "online"] = Field(
        "auto", description="W&B mode; auto = online where logged in, else offline."
    )
    project: Annotated[v.Text, Wanted("the name of a W&B project", text=True)] = Field(
        "tlkit", description="W&B project."
    )
    entity: Annotated[v.OptionalText, Wanted("a W&B user or team, or null for your own", text=True)] = Field(
        None, description="W&B user or team; null = the logged-in user's own."
    )
    tags: Annotated[v.Names, Wanted("a list of tags, such as [baseline, frozen]")] = Field(
        (), description="W&B tags of the run."
    )
    log_model: v.Switch = Field(True, description="Store the finished model as a W&B artifact.")


SHORT_FORMS: Mapping[str, str] = {"augment": "preset", "strategy": "kind", "tracking": "kind"}
"""Sections that may be given as one word, and the key that the word stands for."""


def _short_form(section: str) -> BeforeValidator:
    """Let `strategy: frozen` stand for `strategy: {kind: frozen}`."""
    key = SHORT_FORMS[section]
    longs: Any = {"augment": AugmentSection, "strategy": Strategy, "tracking": TrackingSection}[section]
    words: Any = {"augment": Preset, "strategy": Kind, "tracking": Literal["none", "wandb"]}[section]
    return BeforeValidator(
        lambda given: {key: given} if isinstance(given, str) else given, json_schema_input_type=words | longs
    )


class Recipe(Section):
    """Everything that a run needs to know, in the order in which things happen.

    Example:
        >>> recipe = Recipe(recipe_version=1, name="pets", data={"root": "data/pets"}, model={"name": "resnet18"})
        >>> recipe.train.epochs, recipe.strategy.kind
        (5, 'frozen')
    """

    recipe_version: Annotated[Literal[1], v.ExactInt, v.KnownVersion, Wanted("1")] = Field(
        description="Version of the recipe's own vocabulary: 1.", examples=[1]
    )
    name: v.Name = Field(
        description="Name of the run and of its directory below runs/: letters, digits, '.', '_' and '-'.",
        examples=["pets-frozen"],
    )
    seed: v.Seed = Field(0, description="Seed of everything random, from 0 to 4294967295.")
    data: Annotated[DataSection, Wanted("a section with root, the path of a folder of images")]
    augment: Annotated[AugmentSection, _short_form("augment")] = AugmentSection()
    model: Annotated[ModelSection, Wanted("a section with name, the name of a timm model")]
    strategy: Annotated[Annotated[Strategy, Field(discriminator="kind")], _short_form("strategy")] = FrozenStrategy()
    features: FeaturesSection = FeaturesSection()
    train: TrainSection = TrainSection()
    evaluate: EvaluateSection = EvaluateSection()
    audit: AuditSection = AuditSection()
    report: ReportSection = ReportSection()
    tracking: Annotated[TrackingSection, _short_form("tracking")] = TrackingSection()

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> Recipe:
        found = contradictions(self)
        if found:
            text = " ".join(one.text for one in found)
            raise PydanticCustomError("contradiction", "{text}", {"text": text, "found": found})
        return self
