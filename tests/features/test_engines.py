"""Engines: each gives torch's features, again and again, and the choice between them is measured and said."""

from __future__ import annotations

import re
import sys

import numpy as np
import pytest
import torch
from torch import nn

from tlkit.errors import MissingExtraError
from tlkit.features import engine_choice
from tlkit.features.engine_choice import agreement, candidates, choose_engine, create_engine, identity
from tlkit.features.engines import TorchEngine
from tlkit.features.folding import fold_batch_norm
from tlkit.models.backbone import create_backbone
from tlkit.pipeline.inference.embed import PixelBackbone

NAMES = ("test_resnet", "test_vit", "test_efficientnet")


def pixels(n=4, size=32):
    return torch.randint(0, 256, (n, 3, size, size), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def backbone_of(name):
    torch.manual_seed(0)
    return create_backbone(name, weights="none", image_size=(32, 32))


def with_lively_statistics(module):
    """Give every batch normalisation statistics and weights that it would have after training."""
    generator = torch.Generator().manual_seed(1)
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean.normal_(0, 0.3, generator=generator)
            part.running_var.uniform_(0.5, 2.0, generator=generator)
            nn.init.uniform_(part.weight, 0.5, 1.5, generator=generator)
            nn.init.normal_(part.bias, 0, 0.3, generator=generator)
    return module.eval()


@pytest.mark.parametrize("name", ["test_resnet", "test_efficientnet", "tf_efficientnet_lite0"])
def test_folding_batch_norm_leaves_none_and_changes_nothing(name):
    module = with_lively_statistics(create_backbone(name, weights="none").module)
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    before = {key: value.clone() for key, value in module.state_dict().items()}
    folded = fold_batch_norm(module, images)
    assert not any(isinstance(part, nn.BatchNorm2d) for part in folded.modules())
    with torch.no_grad():
        torch.testing.assert_close(folded(images), module(images), atol=1e-4, rtol=1e-4)
    assert all(torch.equal(value, before[key]) for key, value in module.state_dict().items())


def test_a_network_that_cannot_be_folded_is_left_as_it_is(caplog):
    class Twice(nn.Module):
        """Uses what the convolution gives beside the normalisation of it."""

        def __init__(self):
            super().__init__()
            self.conv, self.norm = nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)

        def forward(self, x):
            y = self.conv(x)
            return self.norm(y) + y

    module = with_lively_statistics(Twice())
    caplog.set_level("INFO", logger="tlkit")
    assert fold_batch_norm(module, torch.randn(2, 3, 8, 8)) is module
    assert any("Batch normalisation is not folded: it would change" in message for message in caplog.messages)


@pytest.mark.parametrize("engine", ["torch", "onnxruntime", "openvino"])
@pytest.mark.parametrize("name", NAMES)
def test_every_engine_gives_the_features_of_float32_torch_and_the_same_bytes_again(name, engine):
    pytest.importorskip(engine)
    backbone = backbone_of(name)
    module = PixelBackbone(with_lively_statistics(backbone.module), backbone.preprocess)
    images = pixels()
    with torch.inference_mode():
        expected = module(images).numpy()
    built = create_engine(engine, module, images, device="cpu")
    found = built(images)
    np.testing.assert_allclose(found, expected, atol=2e-4, rtol=1e-3)
    assert agreement(found, expected).within(0.9999)
    assert built(images).tobytes() == found.tobytes()
    assert found.dtype == np.float32
    assert identity(engine, "cpu") == (built.name, built.dtype)


@pytest.mark.parametrize("engine", ["torch", "onnxruntime", "openvino"])
def test_every_engine_normalises_pixels_in_the_layout_of_a_loaders_batches(engine):
    pytest.importorskip(engine)
    backbone = backbone_of("test_resnet")
    module = PixelBackbone(backbone.module, backbone.preprocess).eval()
    images = pixels().contiguous(memory_format=torch.channels_last)
    with torch.no_grad():
        expected = module(pixels()).numpy()
    found = create_engine(engine, module, images, device="cpu")(images)
    np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())


def test_tf_style_same_padding_survives_every_engine():
    """tf_efficientnet_lite0 pads by the size of its input: an export that pads evenly would shift the picture."""
    backbone = create_backbone("tf_efficientnet_lite0", weights="none", image_size=(72, 56))
    module = PixelBackbone(with_lively_statistics(backbone.module), backbone.preprocess)
    images = torch.randint(0, 256, (2, 3, 72, 56), dtype=torch.uint8)
    with torch.inference_mode():
        expected = module(images).numpy()
    for engine in ("onnxruntime", "openvino"):
        pytest.importorskip(engine)
        found = create_engine(engine, module, images, device="cpu")(images)
        assert agreement(found, expected).cosine > 0.99999


def test_bf16_is_another_arithmetic_with_an_identity_of_its_own():
    backbone = backbone_of("test_resnet")
    module = PixelBackbone(backbone.module.eval(), backbone.preprocess)
    found = create_engine("torch-bf16", module, pixels(), device="cpu")(pixels())
    exact = TorchEngine(module)(pixels())
    assert found.dtype == np.float32
    assert not np.array_equal(found, exact)
    assert agreement(found, exact).cosine > 0.99
    assert identity("torch-bf16", "cpu") == ("torch/cpu", "bfloat16") != identity("torch", "cpu")


def test_agreement_sees_other_directions_and_other_decisions():
    x = np.random.default_rng(0).normal(size=(8, 40)).astype(np.float32)
    assert agreement(2 * x, x).cosine == pytest.approx(1.0)
    turned = agreement(x[::-1], x)
    assert turned.cosine < 0.5 and turned.argmax < 0.5
    assert not turned.within(0.9)


@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
def test_graph_engines_follow_the_number_of_threads_of_torch(name):
    pytest.importorskip(name)
    module = PixelBackbone(backbone_of("test_resnet").module.eval(), backbone_of("test_resnet").preprocess)

    def threads(engine):
        if name == "openvino":
            return engine._model.get_property("INFERENCE_NUM_THREADS")
        return engine._session.get_session_options().intra_op_num_threads

    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        engine = create_engine(name, module, pixels(), device="cpu")
        one = engine(pixels())
        assert threads(engine) == 1
        torch.set_num_threads(2)
        np.testing.assert_allclose(engine(pixels()), one, rtol=1e-4, atol=1e-5)
        assert threads(engine) == 2
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize(("engine", "extra"), [("onnxruntime", "onnx"), ("openvino", "openvino")])
def test_a_missing_extra_names_its_pip_line(engine, extra, monkeypatch):
    monkeypatch.setitem(sys.modules, engine, None)
    message = f'features.engine: {engine} needs the package {engine}. Install it with: pip install "tlkit[{extra}]"'
    with pytest.raises(MissingExtraError, match=re.escape(message)):
        create_engine(engine, nn.Identity(), pixels(), device="cpu")


@pytest.fixture
def chosen(monkeypatch, caplog):
    """Choose among engines whose times are made up: seconds a batch by name."""
    caplog.set_level("INFO", logger="tlkit")
    backbone = backbone_of("test_resnet")
    module = PixelBackbone(with_lively_statistics(backbone.module), backbone.preprocess)

    def choose(seconds, *, images=100_000, tolerance=0.9999, broken=()):
        def build(name, module, images, *, device):
            if name in broken:
                raise RuntimeError("no such operator")
            engine = TorchEngine(module, dtype="bfloat16" if name == "torch-bf16" else "float32")
            engine.name = identity(name, device)[0]
            return engine

        monkeypatch.setattr(engine_choice, "candidates", lambda device: tuple(seconds))
        monkeypatch.setattr(engine_choice, "create_engine", build)
        named = {identity(name, "cpu"): value for name, value in seconds.items()}
        monkeypatch.setattr(engine_choice, "_time_s", lambda engine, _: named[engine.name, engine.dtype])
        caplog.clear()
        engine = choose_engine(module, lambda: module, pixels(), images=images, device="cpu", tolerance=tolerance)
        return engine.name, engine.dtype, caplog.messages[-1]

    return choose


def test_auto_takes_the_fastest_and_says_why(chosen):
    name, _, said = chosen({"torch": 0.4, "onnxruntime": 0.1, "openvino": 0.2})
    assert name == "onnxruntime/cpu"
    assert said == (
        "features.engine is auto: onnxruntime/cpu (float32) runs the frozen backbone, the fastest here whose features "
        "agree with float32 torch: torch 10 images/s, onnxruntime 40 images/s (cosine 1.000000), openvino 20 images/s "
        "(cosine 1.000000)."
    )
    assert chosen({"torch": 0.1, "onnxruntime": 0.2})[0] == "torch/cpu"


def test_auto_refuses_what_is_too_far_off_however_fast(chosen, monkeypatch):
    name, dtype, said = chosen({"torch": 0.4, "torch-bf16": 0.01}, tolerance=1.0)
    assert (name, dtype) == ("torch/cpu", "float32")
    assert "torch-bf16 too far off (cosine 0.9" in said
    monkeypatch.setattr(engine_choice, "LEAST_AGREEMENT", 0.5)  # images of noise are all alike to a random network
    assert chosen({"torch": 0.4, "torch-bf16": 0.01}, tolerance=0.9)[1] == "bfloat16"


def test_auto_goes_on_without_an_engine_that_cannot_run_the_network(chosen):
    name, _, said = chosen({"torch": 0.4, "onnxruntime": 0.1, "openvino": 0.2}, broken=("onnxruntime",))
    assert name == "openvino/cpu"
    assert "onnxruntime cannot run it (RuntimeError)" in said


def test_auto_does_not_set_up_what_would_cost_more_than_it_saves(chosen):
    name, _, said = chosen({"torch": 0.4, "onnxruntime": 0.1}, images=100)
    assert name == "torch/cpu"
    assert said == (
        "features.engine is auto: torch/cpu (float32) runs the frozen backbone, 10 images/s: about 10 s, too short for "
        "another engine to pay for its start (not tried: onnxruntime)."
    )
    some = chosen({"torch": 0.4, "onnxruntime": 0.1, "openvino": 0.2}, images=250)[2]
    assert some.endswith("onnxruntime 40 images/s (cosine 1.000000), openvino not tried for the 25 s that torch takes.")


def test_the_candidates_begin_with_the_reference():
    assert candidates("cpu")[0] == candidates("mps")[0] == "torch"
