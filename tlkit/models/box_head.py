"""torchvision's Faster R-CNN with a feature pyramid above timm's backbones. The only door to that detector.

S. Ren, K. He, R. Girshick & J. Sun, "Faster R-CNN", NeurIPS 2015; T.-Y. Lin et al., "Feature Pyramid Networks for
Object Detection", CVPR 2017.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, cast

import torch
from torch import nn

from tlkit.choices import DECODER_CHANNELS, TrainedTask
from tlkit.errors import ModelError, reason_of
from tlkit.models.backbone import Backbone
from tlkit.models.mask_decoder import MaskEncoder
from tlkit.models.timm_facts import build_within
from tlkit.models.timm_modules import feature_maps, size_options
from tlkit.stats.box_matching import MOST_BOXES
from tlkit.timm import (
    FasterRCNN,
    FastRCNNPredictor,
    FeaturePyramidNetwork,
    ImageList,
    LastLevelMaxPool,
    MultiScaleRoIAlign,
    TwoMLPHead,
    nms,
)

KIND = "faster_rcnn"
FINEST = 4
"""Stride of the finest feature map that is used, in pixels: the paper's P2."""
POOLED = 7
"""Side of the pooled features of a box."""
REMEDY = (
    "Install wheels of torch and torchvision of one build: both for the CPU from PyTorch's own index (variant cpu), or "
    "both with CUDA as on PyPI. `tlkit doctor-env` says whether the operators load."
)


def operator_problem() -> str:
    """Return why torchvision's compiled operators cannot be called, "" where they can.

    Faster R-CNN calls `nms` and `roi_align`. PyPI's torchvision for Linux links CUDA and does not load its operators
    with a CPU build of torch (pytorch/vision#9337).
    """
    try:
        nms(torch.zeros(1, 4), torch.zeros(1), 0.5)
    except (RuntimeError, NotImplementedError) as error:
        return f"torchvision's compiled operators do not load: {reason_of(error).split('. ')[0]}."
    return ""


def require_operators(what: str) -> None:
    """Check that torchvision's compiled operators load.

    Args:
        what: what needs them, for the message.

    Raises:
        ModelError: they do not; the message says what to install.
    """
    if problem := operator_problem():
        raise ModelError(f"{what} needs torchvision's Faster R-CNN, but {problem} {REMEDY}")


@dataclass(frozen=True)
class DetectionTask:
    """Boxes of several classes as a task of the network, whose outputs are boxes already (see `BoxHead`)."""

    task: TrainedTask = "detection"

    def outputs(self, classes: int) -> int:
        """Return one logit for each class and one for the background, of each box."""
        return classes + 1

    def scores(self, logits: torch.Tensor) -> torch.Tensor:
        """Return the predicted boxes (B, 100, 6), as the network gives them."""
        return logits

    def predicted(self, scores: torch.Tensor) -> torch.Tensor:
        """Return the class of each predicted box (B, 100), -1 where there is none."""
        return scores[:, :, 0].long()

    def losses(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Raise a ModelError: predicted boxes have no loss; `Network.box_loss` takes images and true boxes."""
        raise ModelError("Predicted boxes have no loss: boxes are trained from images, by Network.box_loss.")


class _Maps(nn.Module):
    """timm's feature extractor under the name that `MaskEncoder` expects."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: torch.Tensor) -> list[torch.Tensor]:
        return cast(list[torch.Tensor], self.model(images))


class _Width(nn.Module):
    """What torchvision's constructor asks of a backbone."""

    def __init__(self, out_channels: int) -> None:
        super().__init__()
        self.out_channels = out_channels


class BoxHead(nn.Module):
    """The part of Faster R-CNN above a backbone: feature pyramid, region proposals, and the heads of their boxes.

    Boxes are float32: class, left, top, right, bottom, in pixels of the input, and of predicted ones the score. Images
    may have any size that the backbone takes. Proposals and losses are computed in the precision of the weights, also
    under autocast: bfloat16 has eight significant bits, which place a box at 300 px to 2 px only.

    Attributes:
        pyramid: torchvision's feature pyramid.
        rpn: its region proposal network; an anchor of each level is eight of its strides wide, in three shapes.
        roi_heads: its classifier and regression of boxes.
        widths: channels of the backbone's feature maps, the finest first.
        strides: their strides, in pixels.
        channels: those of the pyramid.
        classes: their number, without the background.
    """

    def __init__(self, widths: Sequence[int], strides: Sequence[int], *, channels: int, classes: int) -> None:
        """Build the parts with random weights.

        Args:
            widths: channels of the backbone's feature maps, the finest first.
            strides: their strides, in pixels.
            channels: those of the pyramid; the head of a box has four times as many.
            classes: their number, without the background.
        """
        super().__init__()

        from tlkit.models.box_anchors import StridedAnchors

        self.widths, self.strides = tuple(widths), tuple(strides)
        self.channels, self.classes = channels, classes
        self.pyramid = FeaturePyramidNetwork(list(widths), channels, extra_blocks=LastLevelMaxPool())
        levels = [*strides, 2 * strides[-1]]
        names = [str(level) for level in range(len(strides))]
        detector = FasterRCNN(
            _Width(channels),
            rpn_anchor_generator=StridedAnchors(levels),
            box_roi_pool=MultiScaleRoIAlign(names, output_size=POOLED, sampling_ratio=2),
            box_head=TwoMLPHead(channels * POOLED**2, 4 * channels),
            box_predictor=FastRCNNPredictor(4 * channels, classes + 1),
            box_detections_per_img=MOST_BOXES,
        )
        self.rpn, self.roi_heads = detector.rpn, detector.roi_heads

    def init(self, seed: int) -> None:
        """Initialize the weights as torchvision does, by random numbers of this seed."""
        with torch.random.fork_rng(devices=()):
            torch.manual_seed(seed)
            fresh = BoxHead(self.widths, self.strides, channels=self.channels, classes=self.classes)
        self.load_state_dict(fresh.state_dict())

    def forward(self, features: Sequence[torch.Tensor], size: tuple[int, int]) -> torch.Tensor:
        """Return the predicted boxes (B, 100, 6): class, left, top, right, bottom, score, then rows of -1.

        Args:
            features: feature maps, the finest first.
            size: height and width of the images.
        """
        with self._mode(training=False):
            found = self._called(features, size, None)[0]
        boxes = torch.full((len(found), MOST_BOXES, 6), -1.0, device=features[0].device)
        for row, one in enumerate(found):
            count = len(one["scores"])
            columns = (one["labels"][:, None] - 1, one["boxes"], one["scores"][:, None])
            boxes[row, :count] = torch.cat([column.float() for column in columns], dim=1)
        return boxes

    def loss(self, features: Sequence[torch.Tensor], size: tuple[int, int], targets: torch.Tensor) -> torch.Tensor:
        """Return the sum of the four losses of a batch: of class and box, of the proposals and of the final boxes.

        It draws the anchors and proposals that it counts from torch's random numbers.

        Args:
            features: feature maps, the finest first.
            size: height and width of the images.
            targets: true boxes (B, M, 5): class, left, top, right, bottom, and rows of -1.
        """
        true = [one[one[:, 0] >= 0] for one in targets]
        with self._mode(training=True):
            losses = self._called(
                features, size, [{"boxes": one[:, 1:].float(), "labels": one[:, 0].long() + 1} for one in true]
            )[1]
        return torch.stack(list(losses.values())).sum()

    def _called(
        self, features: Sequence[torch.Tensor], size: tuple[int, int], targets: list[dict[str, torch.Tensor]] | None
    ) -> tuple[list[dict[str, torch.Tensor]], dict[str, torch.Tensor]]:
        """Return torchvision's predictions and losses."""
        count = len(features[0])
        maps = self.pyramid({str(level): one for level, one in enumerate(features)})
        exact = next(self.rpn.parameters()).dtype
        maps = {name: one.to(exact) for name, one in maps.items()}
        sizes = [(int(size[0]), int(size[1]))] * count
        canvas = features[0].new_empty((count, 3, *size))  # torchvision reads its size alone
        with torch.autocast(features[0].device.type, enabled=False):
            proposals, of_proposals = self.rpn(ImageList(canvas, sizes), maps, targets)
            found, of_boxes = self.roi_heads(maps, proposals, sizes, targets)
        return found, {**of_boxes, **of_proposals}

    @contextmanager
    def _mode(self, *, training: bool) -> Iterator[None]:
        """Set the mode, by which torchvision tells losses from predictions; no layer here depends on it."""
        before = self.training
        self.train(training)
        try:
            yield
        finally:
            self.train(before)


def box_facts(channels: int) -> dict[str, Any]:
    """Return what a stored model says of its head."""
    return {"kind": KIND, "channels": channels}


def channels_of(facts: Mapping[str, Any]) -> int:
    """Return the width of the head that a stored model names.

    Raises:
        ValueError: it names no such head.
    """
    channels = facts["channels"]
    if facts["kind"] != KIND or not isinstance(channels, int) or not 64 <= channels <= 1024:
        raise ValueError(f"there is no detector {facts['kind']!r} of {channels!r} channels")
    return channels


class _Parts(nn.Module):
    """An encoder and a head, so that both are counted together."""

    def __init__(self, encoder: MaskEncoder, head: BoxHead) -> None:
        super().__init__()
        self.encoder, self.head = encoder, head


def box_parts(
    name: str,
    *,
    channels: int = DECODER_CHANNELS,
    classes: int,
    image_size: tuple[int, int],
    options: Mapping[str, Any] | None = None,
    most: int | None = None,
) -> tuple[MaskEncoder, BoxHead]:
    """Return encoder and head with random weights.

    Args:
        name: timm's name of the backbone, without a tag.
        channels: width of the pyramid.
        classes: number of classes.
        image_size: height and width of the images, in pixels.
        options: timm's further arguments for this variant.
        most: number of stored values for it; None = unknown.

    Raises:
        ModelError: the backbone gives no feature maps of several scales.
    """
    given = {**(options or {}), **size_options(name, image_size)}

    def build() -> _Parts:
        maps, widths, strides = feature_maps(name, finest=FINEST, options=given)
        if len(strides) < 2 or any(fine >= coarse for fine, coarse in pairwise(strides)):
            raise ValueError(f"the strides of its feature maps are {strides}")
        return _Parts(MaskEncoder(_Maps(maps)), BoxHead(widths, strides, channels=channels, classes=classes))

    try:
        with torch.random.fork_rng(devices=()):
            parts = cast(_Parts, build_within(build, name=name, most=most))
            with torch.no_grad():
                shapes = [one.shape for one in parts.encoder.eval()(torch.zeros(1, 3, *image_size))]
            parts.train()
        if [shape[1] for shape in shapes] != list(parts.head.widths):
            raise ValueError(f"its feature maps have the shapes {[tuple(shape) for shape in shapes]}")
    except ModelError:
        raise
    except Exception as error:  # timm raises another kind for every network without feature maps
        raise ModelError(
            f"{name} gives no feature maps of several scales to detect on ({reason_of(error)}). Choose a network that "
            "does, such as resnet18, convnext_tiny or tf_efficientnet_lite0."
        ) from error
    return parts.encoder, parts.head


def box_parts_of(backbone: Backbone, *, channels: int, classes: int) -> tuple[MaskEncoder, BoxHead]:
    """Return an encoder with a backbone's weights, and a head; the arguments are those of `box_parts`."""
    size = backbone.preprocess.image_size
    encoder, head = box_parts(
        backbone.name, channels=channels, classes=classes, image_size=size, options=backbone.options
    )
    encoder.take_weights(backbone.module)
    return encoder, head
