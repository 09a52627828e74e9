"""Decoders and losses of segmentation_models_pytorch above timm's backbones. The only door to that library."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast, get_args

import torch
from torch import nn

import tlkit.timm  # noqa: F401  before segmentation_models_pytorch, which imports timm
from tlkit.choices import DECODER, DECODER_CHANNELS, Decoder, MaskLoss
from tlkit.errors import MissingExtraError, ModelError, reason_of
from tlkit.mask_classes import MaskClasses
from tlkit.models.backbone import Backbone, timm_groups
from tlkit.models.timm_facts import build_within
from tlkit.models.timm_modules import size_options

IGNORED = 255
"""The target of a pixel whose class is unknown."""
SCALE = 32
"""By how much the coarsest feature map of most networks is smaller than the image."""


@dataclass(frozen=True)
class DecoderFacts:
    """What a decoder is built from, and the numbers of its classes in the files of masks.

    Attributes:
        kind: unet, fpn or deeplabv3plus.
        channels: its width, a multiple of 64; 256 is the library's own.
        values: number of each class in a mask.
        void: number of the pixels that count nowhere; None = there are none.

    Example:
        >>> DecoderFacts.from_dict(DecoderFacts("fpn", 64, (0, 255), None).to_dict()).values
        (0, 255)
    """

    kind: Decoder = DECODER
    channels: int = DECODER_CHANNELS
    values: tuple[int, ...] = ()
    void: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values; `from_dict` reads them back."""
        return {"kind": self.kind, "channels": self.channels, "values": list(self.values), "void": self.void}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> DecoderFacts:
        """Read what `to_dict` wrote.

        Raises:
            ValueError: a value is of the wrong kind.
        """
        kind, channels, void = values["kind"], values["channels"], values["void"]
        if kind not in get_args(Decoder) or not isinstance(channels, int) or not 64 <= channels <= 1024:
            raise ValueError(f"there is no decoder {kind!r} of {channels!r} channels")
        return cls(kind, channels, tuple(map(int, values["values"])), None if void is None else int(void))

    def classes(self, names: Sequence[str]) -> MaskClasses:
        """Return the classes of these names with their numbers; from 0 where none are stated."""
        return MaskClasses.of(dict(zip(names, self.values or range(len(names)), strict=True)), void=self.void)


class MaskEncoder(nn.Module):
    """A backbone that gives feature maps of several scales, with timm's groups of its parameters.

    Attributes:
        encoder: the library's encoder around timm's network.
        groups: timm's groups of the whole network's parameters, fine and coarse, by the names of this module's; empty
            where timm has none.
        no_decay: names of the parameters that timm exempts from weight decay.
    """

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder
        self.groups: dict[bool, dict[str, int]] = {}
        self.no_decay: frozenset[str] = frozenset()

    def forward(self, images: torch.Tensor) -> list[torch.Tensor]:
        """Return feature maps of normalized images (B, 3, H, W), the finest first."""
        return cast(list[torch.Tensor], self.encoder(images))

    def group_matcher(self, coarse: bool = False) -> Callable[[str], float]:
        """Return a function from a parameter's name to its group, as timm's networks do.

        Raises:
            LookupError: timm has no groups for this network.
        """
        if coarse not in self.groups:
            raise LookupError("timm has no groups for this network")
        found = self.groups[coarse]
        return lambda name: float(found.get(name, float("inf")))

    def no_weight_decay(self) -> frozenset[str]:
        """Return the names of the parameters that get no weight decay."""
        return self.no_decay

    def take_weights(self, module: nn.Module) -> None:
        """Take the weights, groups and exemptions of timm's whole network of the same architecture.

        Raises:
            ModelError: the encoder has a tensor that the network lacks.
        """
        own, whole = self.state_dict(), module.state_dict()
        flat = {name.replace(".", "_"): name for name, _ in module.named_modules() if name}
        source = {name: _name_in(name.removeprefix("encoder.model."), whole, flat) for name in own}
        wrong = [name for name, other in source.items() if other not in whole or whole[other].shape != own[name].shape]
        if wrong:
            raise ModelError(
                f"{wrong[0]} of the encoder has no counterpart in timm's whole network, so weights cannot be taken. "
                "Choose another model."
            )
        self.load_state_dict({name: whole[other] for name, other in source.items()})
        exempt: set[str] = getattr(module, "no_weight_decay", set)()
        self.no_decay = frozenset(name for name, other in source.items() if other in exempt)
        for coarse in (False, True):
            found = timm_groups(module, coarse=coarse)
            if found is not None:
                self.groups[coarse] = {name: found[0][source[name]] for name, _ in self.named_parameters()}


def _name_in(name: str, whole: Mapping[str, torch.Tensor], flat: Mapping[str, str]) -> str:
    """Return timm's name of a tensor of its feature extractor, in which `stages.0` is called `stages_0`."""
    head, _, rest = name.partition(".")
    return name if name in whole else f"{flat.get(head, head)}.{rest}"


class MaskDecoder(nn.Module):
    """A decoder and its segmentation head: feature maps to logits (B, C, H, W).

    Attributes:
        decoder: the library's decoder.
        segmentation_head: a convolution and the enlargement to the size of the image.
    """

    def __init__(self, decoder: nn.Module, segmentation_head: nn.Module) -> None:
        super().__init__()
        self.decoder, self.segmentation_head = decoder, segmentation_head

    def init(self, seed: int) -> None:
        """Initialize the weights as the library does, by random numbers of this seed."""
        _library()
        from segmentation_models_pytorch.base import initialization

        with torch.random.fork_rng(devices=()):
            torch.manual_seed(seed)
            initialization.initialize_decoder(self.decoder)
            initialization.initialize_head(self.segmentation_head)

    def forward(self, features: list[torch.Tensor]) -> torch.Tensor:
        """Return logits (B, C, H, W) of the images that gave the feature maps."""
        return cast(torch.Tensor, self.segmentation_head(self.decoder(features)))


class _Parts(nn.Module):
    """An encoder and a decoder, so that both are counted together."""

    def __init__(self, encoder: MaskEncoder, decoder: MaskDecoder) -> None:
        super().__init__()
        self.encoder, self.decoder = encoder, decoder


def mask_parts(
    name: str,
    facts: DecoderFacts,
    *,
    classes: int,
    image_size: tuple[int, int],
    options: Mapping[str, Any] | None = None,
    most: int | None = None,
) -> tuple[MaskEncoder, MaskDecoder]:
    """Return encoder and decoder with random weights.

    Args:
        name: timm's name of the backbone, without a tag.
        facts: the decoder.
        classes: number of classes.
        image_size: height and width of the images, in pixels.
        options: timm's further arguments for this variant.
        most: number of stored values for it; None = unknown.

    Raises:
        ModelError: the backbone gives no feature maps that the decoder takes, or not for images of this size.
        MissingExtraError: segmentation_models_pytorch is not installed.
    """
    library = _library()
    given = {**(options or {}), **size_options(name, image_size)}

    def build() -> _Parts:
        model = library.create_model(
            facts.kind, f"tu-{name}", encoder_weights=None, classes=classes, **_widths(facts), **given
        )
        return _Parts(MaskEncoder(model.encoder), MaskDecoder(model.decoder, model.segmentation_head))

    try:
        with torch.random.fork_rng(devices=()):
            parts = cast(_Parts, build_within(build, name=name, most=most))
        _require_size(parts, name, facts, image_size)
    except ModelError:
        raise
    except Exception as error:  # timm and the library raise another kind for every network without feature maps
        raise ModelError(
            f"{name} gives no feature maps that the decoder {facts.kind} takes ({reason_of(error)}). Choose a network "
            "with feature maps of several scales, such as resnet18, convnext_tiny or tf_efficientnet_lite0, or another "
            "model.decoder."
        ) from error
    return parts.encoder, parts.decoder


def mask_parts_of(backbone: Backbone, facts: DecoderFacts, *, classes: int) -> tuple[MaskEncoder, MaskDecoder]:
    """Return an encoder with a backbone's weights, and a decoder; the arguments are those of `mask_parts`."""
    encoder, decoder = mask_parts(
        backbone.name, facts, classes=classes, image_size=backbone.preprocess.image_size, options=backbone.options
    )
    encoder.take_weights(backbone.module)
    return encoder, decoder


def _require_size(parts: _Parts, name: str, facts: DecoderFacts, image_size: tuple[int, int]) -> None:
    """Check that logits have the size of the images."""
    fits = not any(side % SCALE for side in image_size)
    try:
        with torch.no_grad():
            logits = parts.eval().decoder(parts.encoder(torch.zeros(1, 3, *image_size)))
    except RuntimeError:  # maps of scales that do not halve
        if fits:
            raise
        logits = None
    finally:
        parts.train()
    if logits is None or logits.shape[-2:] != torch.Size(image_size):
        near = [max(SCALE, round(side / SCALE) * SCALE) for side in image_size]
        raise ModelError(
            f"{name} with the decoder {facts.kind} cannot give masks for images of {image_size[0]}x{image_size[1]} px. "
            f"Use sides that are multiples of {SCALE}: data.image_size: {near}."
        )


def _widths(facts: DecoderFacts) -> dict[str, Any]:
    """Return the library's arguments for a width; those of 256 are its defaults."""
    width = facts.channels
    if facts.kind == "unet":
        return {"decoder_channels": tuple(width // 2**step for step in range(5))}
    if facts.kind == "fpn":
        return {"decoder_pyramid_channels": width, "decoder_segmentation_channels": width // 2}
    return {"decoder_channels": width}


def _library() -> Any:
    try:
        import segmentation_models_pytorch
    except ImportError as error:
        raise MissingExtraError(
            package="segmentation_models_pytorch", extra="seg", purpose="task: segmentation"
        ) from error
    return segmentation_models_pytorch


def mask_loss(kind: MaskLoss) -> nn.Module:
    """Return a loss of logits (B, C, H, W) and targets (B, H, W) int64, 255 = unknown, as the library has it."""
    losses = _library().losses
    if kind == "dice":
        return cast(nn.Module, losses.DiceLoss("multiclass", ignore_index=IGNORED))
    if kind == "focal":
        return cast(nn.Module, losses.FocalLoss("multiclass", ignore_index=IGNORED))
    return cast(nn.Module, losses.SoftCrossEntropyLoss(smooth_factor=0.0, ignore_index=IGNORED))
