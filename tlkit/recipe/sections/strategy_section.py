"""The section `strategy` of a recipe: which parameters train, when, and at which learning rate."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from pydantic import ConfigDict, Field

from tlkit.choices import HeadWord
from tlkit.recipe import value_types as v
from tlkit.recipe.sections.section import Section
from tlkit.recipe.value_types import Expected

StrategyKind = Literal["frozen", "full", "lp_ft", "gradual", "last_n", "norm_only", "bias_only", "lora"]

KINDS = Expected("frozen, full, lp_ft, gradual, last_n, norm_only, bias_only or lora")
BACKBONE_RATE = "The backbone's learning rate as a share of train.learning_rate, above 0 and up to 1."
LAYER_DECAY = (
    "Factor on the learning rate from each layer to the one below it, above 0 and up to 1; layers as timm counts them, "
    "with the classifier as the last; 1 = the same rate for all."
)


START_OF_HEAD = "Where the classifier starts: linear = small random weights; text = the names of a zero-shot model."


class _StrategySection(Section):
    model_config = ConfigDict(json_schema_extra={"required": ["kind"]})


class FrozenStrategy(_StrategySection):
    """Train the classifier only; the backbone keeps its weights and its norm statistics."""

    kind: Annotated[Literal["frozen"], KINDS] = Field("frozen", description="frozen = only the classifier trains.")
    head: HeadWord | Literal["text"] = Field(
        "linear",
        description="The classifier: linear = trained as `train` says; text = the same, from the class names of a "
        "stored zero-shot model; the others are scikit-learn's, fitted to the features of one pass, hyperparameters by "
        "cross-validation; auto = the simplest that is not distinguishable from the best.",
    )


class FullStrategy(_StrategySection):
    """Train the classifier and the whole backbone."""

    kind: Annotated[Literal["full"], KINDS] = Field("full", description="full = the whole backbone trains too.")
    head: HeadWord | Literal["text"] = Field("linear", description=START_OF_HEAD)
    backbone_lr_factor: v.UpToOne = Field(0.1, description=BACKBONE_RATE)
    layer_decay: v.UpToOne = Field(1.0, description=LAYER_DECAY)


class ProbeThenTuneStrategy(_StrategySection):
    """Train the classifier on the frozen backbone, then all parameters (LP-FT: Kumar et al. 2022)."""

    kind: Annotated[Literal["lp_ft"], KINDS] = Field(
        "lp_ft", description="lp_ft = linear probe, then fine-tuning from the probe's classifier."
    )
    head: HeadWord | Literal["text"] = Field("linear", description=START_OF_HEAD)
    probe_epochs: v.Count = Field(2, description="Epochs of the probe, at least 1 and below train.epochs.")
    finetune_lr_factor: v.UpToOne = Field(
        0.1,
        description="Learning rate of the fine-tuning, classifier and backbone alike, as a share of "
        "train.learning_rate, above 0 and up to 1.",
    )
    layer_decay: v.UpToOne = Field(1.0, description=LAYER_DECAY)


class GradualStrategy(_StrategySection):
    """Train the classifier, then unfreeze the backbone stage by stage, from the last to the first."""

    kind: Annotated[Literal["gradual"], KINDS] = Field(
        "gradual", description="gradual = the stages of the backbone are unfrozen one by one, the last one first."
    )
    epochs_per_stage: v.Count = Field(1, description="Epochs before the next stage is unfrozen, at least 1.")
    backbone_lr_factor: v.UpToOne = Field(0.1, description=BACKBONE_RATE)
    layer_decay: v.UpToOne = Field(1.0, description=LAYER_DECAY)


class LastStagesStrategy(_StrategySection):
    """Train the classifier and the last stages of the backbone."""

    kind: Annotated[Literal["last_n"], KINDS] = Field(
        "last_n", description="last_n = the last stages of the backbone train, those below them are frozen."
    )
    stages: v.Count = Field(1, description="How many stages train, at least 1; `tlkit recipe plan` lists them.")
    backbone_lr_factor: v.UpToOne = Field(0.1, description=BACKBONE_RATE)
    layer_decay: v.UpToOne = Field(1.0, description=LAYER_DECAY)


class NormsStrategy(_StrategySection):
    """Train the classifier and the backbone's normalization layers, with their statistics."""

    kind: Annotated[Literal["norm_only"], KINDS] = Field(
        "norm_only", description="norm_only = of the backbone, only the normalization layers train."
    )
    backbone_lr_factor: v.UpToOne = Field(1.0, description=BACKBONE_RATE)


class BiasesStrategy(_StrategySection):
    """Train the classifier and the backbone's biases (BitFit, Zaken et al. 2022)."""

    kind: Annotated[Literal["bias_only"], KINDS] = Field(
        "bias_only", description="bias_only = of the backbone, only the biases train (BitFit)."
    )
    backbone_lr_factor: v.UpToOne = Field(1.0, description=BACKBONE_RATE)


class LoraStrategy(_StrategySection):
    """Train the classifier and low-rank updates of the backbone's weights (LoRA: Hu et al. 2021)."""

    kind: Annotated[Literal["lora"], KINDS] = Field(
        "lora", description="lora = low-rank updates of the backbone's weights train; the stored model holds the sum."
    )
    rank: v.Count = Field(8, description="Rank of each update, at least 1; weights no larger than that have none.")
    stages: Annotated[v.Count | None, Expected("a whole number of at least 1, or null for all above the stem")] = Field(
        None, description="How many of the last stages have updates, at least 1; null = all above the stem."
    )
    alpha: v.Positive = Field(16.0, description="Scale of the updates, above 0: each is multiplied by alpha / rank.")
    backbone_lr_factor: v.UpToOne = Field(1.0, description=BACKBONE_RATE)


Strategy = (
    FrozenStrategy
    | FullStrategy
    | ProbeThenTuneStrategy
    | GradualStrategy
    | LastStagesStrategy
    | NormsStrategy
    | BiasesStrategy
    | LoraStrategy
)

FIELDS_BY_KIND: dict[str, tuple[str, ...]] = {
    section.model_fields["kind"].default: tuple(section.model_fields) for section in get_args(Strategy)
}
"""The keys that each kind of strategy takes."""
