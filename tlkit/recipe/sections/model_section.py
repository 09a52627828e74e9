"""The section `model` of a recipe: the pretrained backbone."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from tlkit.choices import DECODER, DECODER_CHANNELS, WEIGHTS, Decoder
from tlkit.recipe import value_types as v
from tlkit.recipe.sections.section import Section
from tlkit.recipe.value_types import Expected


class ModelSection(Section):
    """The pretrained backbone."""

    name: Annotated[v.Text, Expected("the name of a timm model, such as resnet18", text=True)] = Field(
        description="Model of timm, such as resnet18 or tf_efficientnet_lite0; `tlkit models` lists them.",
        examples=["resnet18"],
    )
    weights: v.WeightsText = Field(
        WEIGHTS,
        description="Where the weights come from: hub (timm's own), none (random), pip:PACKAGE, file:PATH "
        "(safetensors), hf-hub:ORG/REPO or run:PATH.",
    )
    decoder: Decoder = Field(
        DECODER,
        description="Decoder of segmentation_models_pytorch above the backbone, for task: segmentation only: unet, fpn "
        "or deeplabv3plus.",
    )
    decoder_channels: Annotated[
        int, Field(strict=True, ge=64, le=1024, multiple_of=64), Expected("a multiple of 64, from 64 to 1,024")
    ] = Field(
        DECODER_CHANNELS,
        description="Width of the decoder, for segmentation and detection, a multiple of 64 from 64 to 1,024: channels "
        "of its lowest block (unet), of its pyramid (fpn, and of a detector, whose box head has four times as many) or "
        "of its pooling (deeplabv3plus); 256 is the libraries'.",
    )
    drop_rate: v.BelowOne = Field(0.0, description="Dropout before the classifier, 0 to below 1.")
