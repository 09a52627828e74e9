"""timm's folder of a calibrated model: the temperature is in its head."""

from __future__ import annotations

from dataclasses import replace

import tlkit.torchvision_cure  # noqa: F401  before timm

import pytest
import timm
import torch

from tlkit.errors import ModelError
from tlkit.models.backbone import create_backbone
from tlkit.models.classifier import Classifier
from tlkit.models.timm_folder import write_timm_folder
from tlkit.stats.logit_scaling import LogitScaling


def test_a_temperature_is_multiplied_into_the_head_and_vector_scaling_is_refused(tmp_path):
    torch.manual_seed(0)
    classifier = Classifier(create_backbone("test_resnet", weights="none", image_size=(32, 32)), classes=["a", "b"])
    network, scaling = classifier.network.eval(), LogitScaling("temperature", (0.5,))
    network.calibrate(scaling)
    write_timm_folder(tmp_path, network, replace(classifier.facts(), calibration=scaling))
    read = timm.create_model(f"local-dir:{tmp_path}", pretrained=True).eval()
    images = torch.randn(2, 3, 32, 32)
    with torch.inference_mode():
        torch.testing.assert_close(read(images), network(images))
    vector = LogitScaling("vector", (0.5, 1.0), (0.1, -0.1))
    with pytest.raises(ModelError, match="vector scaling"):
        write_timm_folder(tmp_path, network, replace(classifier.facts(), calibration=vector))
