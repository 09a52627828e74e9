"""timm and torchvision, imported after the torchvision cure; the only module that imports them.

open_clip and segmentation_models_pytorch import timm: a module that imports one of them imports this one before.
"""

from __future__ import annotations

import tlkit.torchvision_cure  # noqa: F401  before timm, which imports torchvision

import timm
from timm.data.imagenet_info import ImageNetInfo, infer_imagenet_subset
from timm.layers.config import set_fused_attn, use_fused_attn
from timm.loss.asymmetric_loss import AsymmetricLossMultiLabel
from timm.models import (
    adapt_input_conv,
    build_model_with_cfg,
    generate_default_cfgs,
    group_parameters,
    load_model_config_from_hf,
    register_model,
    save_for_hf,
)
from torchvision.models.detection import FasterRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.image_list import ImageList
from torchvision.ops import FeaturePyramidNetwork, MultiScaleRoIAlign, nms
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool

__all__ = [
    "AnchorGenerator",
    "AsymmetricLossMultiLabel",
    "FastRCNNPredictor",
    "FasterRCNN",
    "FeaturePyramidNetwork",
    "ImageList",
    "ImageNetInfo",
    "LastLevelMaxPool",
    "MultiScaleRoIAlign",
    "TwoMLPHead",
    "adapt_input_conv",
    "build_model_with_cfg",
    "generate_default_cfgs",
    "group_parameters",
    "infer_imagenet_subset",
    "load_model_config_from_hf",
    "nms",
    "register_model",
    "save_for_hf",
    "set_fused_attn",
    "timm",
    "use_fused_attn",
]
