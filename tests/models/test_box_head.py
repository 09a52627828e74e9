"""Faster R-CNN above timm's backbones, through reference operators where the compiled ones do not load."""

from __future__ import annotations

import importlib

import numpy as np
import pytest
import timm
import torch
from box_operators import greedy_nms, reference_operators, roi_align
from messages import saying
from torchvision.models.detection import FasterRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.image_list import ImageList
from torchvision.ops import FeaturePyramidNetwork, MultiScaleRoIAlign
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool

from tlkit.errors import ModelError
from tlkit.models.backbone import create_backbone
from tlkit.models.box_head import box_parts, box_parts_of, operator_problem, require_operators
from tlkit.models.network import Network
from tlkit.models.task_heads import task_head

SIDE = 64


@pytest.fixture(autouse=True)
def operators():
    with reference_operators():
        yield


@pytest.fixture(scope="module")
def network():
    backbone = create_backbone("test_resnet", weights="none", image_size=(SIDE, SIDE))
    encoder, head = box_parts_of(backbone, channels=64, classes=2)
    head.init(3)
    return Network(encoder, num_features=0, num_classes=2, task=task_head("detection"), head=head).eval()


def by_hand(network):
    """Return torchvision's own detector on timm's own backbone, with the weights of a network."""

    class Backbone(torch.nn.Module):
        out_channels = 64

        def __init__(self):
            super().__init__()
            self.maps = timm.create_model("test_resnet", features_only=True, out_indices=(1, 2, 3, 4))
            widths = self.maps.feature_info.channels()
            self.pyramid = FeaturePyramidNetwork(widths, 64, extra_blocks=LastLevelMaxPool())

        def forward(self, images):
            return self.pyramid({str(level): one for level, one in enumerate(self.maps(images))})

    detector = FasterRCNN(
        Backbone(),
        min_size=SIDE,
        max_size=SIDE,
        image_mean=[0, 0, 0],
        image_std=[1, 1, 1],
        rpn_anchor_generator=AnchorGenerator(((32,), (64,), (128,), (256,), (512,)), ((0.5, 1.0, 2.0),) * 5),
        box_roi_pool=MultiScaleRoIAlign(["0", "1", "2", "3"], output_size=7, sampling_ratio=2),
        box_head=TwoMLPHead(64 * 49, 256),
        box_predictor=FastRCNNPredictor(256, 3),
    )
    places = {"backbone.encoder.model.": "backbone.maps.", "head.pyramid.": "backbone.pyramid.", "head.": ""}
    state = {}
    for name, tensor in network.state_dict().items():
        prefix = next(prefix for prefix in places if name.startswith(prefix))
        state[places[prefix] + name.removeprefix(prefix)] = tensor
    detector.load_state_dict(state)
    return detector.eval()


def test_predictions_are_those_of_torchvisions_detector_with_the_same_weights(network):
    images = torch.randn(2, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        ours, theirs = network(images), by_hand(network)(list(images))
    for padded, one in zip(ours, theirs, strict=True):
        boxes = padded[padded[:, 0] >= 0]
        assert len(boxes) == len(one["scores"]) > 5
        assert torch.equal(boxes[:, 0].long() + 1, one["labels"])
        assert torch.allclose(boxes[:, 1:5], one["boxes"], atol=1e-4)
        assert torch.allclose(boxes[:, 5], one["scores"], atol=1e-6)


def test_loss_is_the_sum_of_torchvisions_four_and_leaves_the_mode(network):
    images = torch.randn(2, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1))
    targets = torch.full((2, 3, 5), -1.0)
    targets[0, 0] = torch.tensor([1, 10, 12, 40, 44])  # the second image shows nothing
    with torch.no_grad():
        torch.manual_seed(5)
        ours = network.box_loss(images, targets)
        detector = by_hand(network)
        detector.rpn.train(), detector.roi_heads.train(), setattr(detector, "training", True)
        torch.manual_seed(5)
        none = {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.int64)}
        losses = detector(list(images), [{"boxes": targets[0, :1, 1:], "labels": torch.tensor([2])}, none])
    assert len(losses) == 4
    assert ours.item() == pytest.approx(sum(losses.values()).item(), rel=1e-6)
    assert not any(module.training for module in network.modules())


def test_head_is_the_same_for_a_seed_whatever_was_drawn_before():
    _, first = box_parts("test_resnet", channels=64, classes=1, image_size=(SIDE, SIDE))
    torch.randn(3)
    _, second = box_parts("test_resnet", channels=64, classes=1, image_size=(SIDE, SIDE))
    first.init(7), second.init(7)
    assert all(map(torch.equal, first.state_dict().values(), second.state_dict().values()))
    before = torch.random.get_rng_state()
    second.init(8)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert not torch.equal(first.rpn.head.cls_logits.weight, second.rpn.head.cls_logits.weight)


def test_networks_without_maps_of_several_scales_are_refused():
    with pytest.raises(ModelError) as caught:
        box_parts("test_vit", channels=64, classes=2, image_size=(160, 160))
    assert saying("test_vit gives no feature maps of several scales", "resnet18") == str(caught.value)


def test_missing_operators_are_named_with_what_to_install(monkeypatch):
    assert operator_problem() == ""
    with monkeypatch.context() as patch, pytest.raises(ModelError) as caught:
        patch.setattr("torchvision.extension._has_ops", lambda: False)  # undone before the fixture's own patch
        require_operators("task: detection")
    assert saying("task: detection needs", "compiled operators do not load", "Install wheels", "CPU", "CUDA") == str(
        caught.value
    )


@pytest.mark.parametrize("side", [64, 96, 224, 250])
def test_anchors_lie_at_the_centers_of_what_the_maps_see(side):
    _, head = box_parts("test_resnet", channels=64, classes=1, image_size=(side, 64))
    strides = [4, 8, 16, 32, 64]
    shapes = [(-(-side // stride), 64 // stride) for stride in strides]
    maps = [torch.zeros(1, 64, *shape) for shape in shapes]
    (anchors,) = head.rpn.anchor_generator(ImageList(torch.zeros(1, 3, side, 64), [(side, 64)]), maps)
    start = 0
    for (high, wide), stride in zip(shapes, strides, strict=True):
        own = anchors[start : start + 3 * high * wide].reshape(high, wide, 3, 4)
        centers = (own[..., :2] + own[..., 2:]) / 2
        assert torch.equal(centers[:, 0, 0, 1], stride * torch.arange(high).float())
        assert torch.equal(centers[0, :, 0, 0], stride * torch.arange(wide).float())
        assert (own[..., 2:] - own[..., :2]).prod(dim=-1).sqrt() == pytest.approx(8 * stride, rel=0.03)
        start += 3 * high * wide
    assert start == len(anchors)


def test_true_boxes_keep_their_places_under_autocast(network):
    images = torch.randn(1, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1))
    true = torch.tensor([[1, 10.3, 12.7, 40.1, 44.9], [0, 33.37, 3.21, 60.63, 29.59]])
    seen = []
    hook = network.head.roi_heads.box_roi_pool.register_forward_pre_hook(lambda _, given: seen.extend(given[1]))
    try:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = network.box_loss(images, true[None])
            found = network(images)
    finally:
        hook.remove()
    assert torch.isfinite(loss) and loss.dtype == torch.float32
    proposals = seen[0]
    assert all((proposals == one[1:]).all(dim=1).any() for one in true)  # torchvision samples from them, too
    assert found.dtype == seen[1].dtype == torch.float32


def test_reference_suppression_is_that_of_a_plain_loop():
    rng = np.random.default_rng(0)
    corners = rng.uniform(0, 60, (80, 2))
    boxes, scores = np.hstack([corners, corners + rng.uniform(5, 40, (80, 2))]), rng.random(80)

    def overlap(one, other):
        wide = min(one[2], other[2]) - max(one[0], other[0])
        high = min(one[3], other[3]) - max(one[1], other[1])
        both = max(wide, 0) * max(high, 0)
        areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
        return both / (sum(areas) - both)

    kept = []
    for row in sorted(range(80), key=lambda row: -scores[row]):
        if all(overlap(boxes[row], boxes[other]) <= 0.5 for other in kept):
            kept.append(row)
    assert greedy_nms(torch.tensor(boxes), torch.tensor(scores), 0.5).tolist() == kept
    assert 10 < len(kept) < 80


def test_reference_pooling_is_that_of_torchvisions_own_python():
    plain = importlib.import_module("torchvision.ops.roi_align")._roi_align
    while hasattr(plain, "__wrapped__"):  # it compiles when called
        plain = plain.__wrapped__
    generator = torch.Generator().manual_seed(2)
    maps = torch.randn(2, 3, 12, 16, generator=generator)
    corners = torch.rand(30, 2, generator=generator) * torch.tensor([48.0, 32])
    ends = corners + torch.rand(30, 2, generator=generator) * (torch.tensor([64.0, 48]) - corners)
    rois = torch.cat([torch.arange(30)[:, None] % 2, corners, ends], dim=1)
    given = (rois, 0.25, 7, 7, 2, False)
    assert torch.allclose(roi_align(maps, *given), plain(maps, *given), atol=1e-5)
