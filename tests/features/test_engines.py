"""Engines: each returns the features of float32 torch, bit for bit again, and `auto` chooses by rule and says so."""

from __future__ import annotations

import re
import sys
import warnings
from importlib import metadata

import numpy as np
import pytest
import torch
from torch import nn

from tlkit.errors import MissingExtraError
from tlkit.features.engines import engine_choice
from tlkit.features.engines.batch_norm_folding import fold_batch_norm
from tlkit.features.engines.engine_choice import agreement, candidates, choose_engine, create_engine, identity
from tlkit.features.engines.graph_engines import OnnxRuntimeEngine
from tlkit.features.engines.torch_engine import TorchEngine
from tlkit.inference.embed import PixelBackbone
from tlkit.models.backbone import create_backbone

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


@pytest.mark.parametrize("name", ["test_resnet", "test_efficientnet", "tf_efficientnet_lite0", "test_convnext"])
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
    assert any("Batch normalization is not folded" in message for message in caplog.messages)


def test_a_convolution_that_is_used_twice_keeps_its_weights():
    class Shared(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.one, self.other = nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3), nn.BatchNorm2d(3)

        def forward(self, x):
            return self.one(self.conv(x)) + self.other(self.conv(x))

    module = with_lively_statistics(Shared())
    images = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    folded = fold_batch_norm(module, images)
    assert torch.equal(folded.conv.weight, module.conv.weight)
    assert torch.equal(folded(images), module(images))


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
    by = identity(engine, "cpu")
    assert (by.engine, by.dtype) == (built.name, built.dtype)


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
    by = identity("torch-bf16", "cpu")
    assert (by.engine, by.dtype) == ("torch/cpu", "bfloat16")


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


def test_openvino_is_an_extra_and_its_absence_names_the_pip_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(MissingExtraError, match=re.escape('pip install "tlkit[openvino]"')):
        create_engine("openvino", nn.Identity(), pixels(), device="cpu")

    def version(package):
        raise metadata.PackageNotFoundError(package)

    monkeypatch.setattr(metadata, "version", lambda package: version(package) if package == "openvino" else "1")
    with pytest.raises(MissingExtraError, match=re.escape('pip install "tlkit[openvino]"')):
        identity("openvino", "cpu")


def test_the_identity_of_an_engine_changes_with_every_setting_that_its_bits_depend_on(monkeypatch):
    pytest.importorskip("openvino")
    names = ("torch", "torch-bf16", "onnxruntime", "openvino")
    graphs, all_of_them = {"onnxruntime", "openvino"}, set(names)
    before = {name: identity(name, "cpu") for name in names}
    assert len(set(before.values())) == len(names)

    def version_of(changed):
        return lambda package: "99.0" if package == changed else "1.0"

    changes = [
        ("torch.__version__", "99.0", all_of_them),
        ("onnxruntime.__version__", "99.0", {"onnxruntime"}),
        ("tlkit.features.engines.engine_choice.FOLDING_VERSION", 99, all_of_them),
        ("tlkit.features.engines.engine_choice.EXPORTER", "another exporter", graphs),
        ("torch.backends.cpu.get_cpu_capability", lambda: "AVX2" if "512" in str(before) else "AVX512", all_of_them),
        ("tlkit.features.engines.engine_choice._float32_precision", lambda device: "bf16", {"torch", "torch-bf16"}),
    ]
    for target, value, expected in changes:
        with monkeypatch.context() as patch:
            patch.setattr(target, value)
            assert {name for name in names if identity(name, "cpu") != before[name]} == expected, target
    with monkeypatch.context() as patch:
        patch.setattr(metadata, "version", version_of(None))
        before = {name: identity(name, "cpu") for name in names}
        for package, expected in (("timm", all_of_them), ("openvino", {"openvino"})):
            patch.setattr(metadata, "version", version_of(package))
            assert {name for name in names if identity(name, "cpu") != before[name]} == expected, package
    assert identity("torch", "mps") != identity("torch", "cpu")


def test_a_shorter_arithmetic_for_float32_products_is_another_identity():
    before, precision = identity("torch", "cpu"), torch.get_float32_matmul_precision()
    try:
        torch.set_float32_matmul_precision("medium")
        assert identity("torch", "cpu") != before
        torch.set_float32_matmul_precision("highest")
        assert identity("torch", "cpu") == before
    finally:
        torch.set_float32_matmul_precision(precision)


@pytest.fixture
def choose(caplog):
    """Let `auto` choose on real arithmetic; returns the engine and what the log says of it."""
    caplog.set_level("INFO", logger="tlkit")
    backbone = backbone_of("test_resnet")
    module = PixelBackbone(with_lively_statistics(backbone.module), backbone.preprocess)

    def chosen(*, tolerance=0.9999, module=module, device="cpu"):
        caplog.clear()
        engine = choose_engine(module, lambda: module, pixels(16), device=device, tolerance=tolerance)
        (said,) = caplog.messages
        assert "features.engine" in said and engine.name in said
        return engine, said

    return chosen


def test_auto_takes_onnx_runtime_on_a_cpu_and_says_so(choose):
    engine, _ = choose()
    assert (engine.name, engine.dtype) == ("onnxruntime/cpu", "float32")


def test_auto_takes_torch_where_onnx_runtime_is_too_far_off(choose, monkeypatch):
    class FarOff(OnnxRuntimeEngine):
        def __call__(self, pixels):
            return super().__call__(pixels)[:, ::-1]

    monkeypatch.setattr(engine_choice, "OnnxRuntimeEngine", FarOff)
    engine, said = choose()
    assert (engine.name, engine.dtype) == ("torch/cpu", "float32")
    assert "onnxruntime" in said and "0.9999" in said and "95%" in said
    assert choose(tolerance=0.5)[0].name == "torch/cpu"  # decisions differ, too


def test_auto_takes_torch_where_the_exporter_fails_and_nothing_is_printed(choose, capfd):
    class NoOperator(nn.Module):
        """Uses an operator that the exporter refuses once it has a graph, which it then prints."""

        def forward(self, x):
            return torch.nn.functional.fold(x.float().flatten(2).repeat(1, 4, 1)[:, :, :225], 16, 2).mean((2, 3))

    engine, said = choose(module=NoOperator())
    assert engine.name == "torch/cpu"
    assert "onnxruntime" in said and "Error" in said
    assert capfd.readouterr().out == ""
    print("seen")
    assert capfd.readouterr().out == "seen\n"


def test_auto_takes_torch_where_the_graph_gives_another_number_of_images(choose, monkeypatch):
    class OneBatch(OnnxRuntimeEngine):
        def __call__(self, pixels):
            return super().__call__(pixels)[:2]

    monkeypatch.setattr(engine_choice, "OnnxRuntimeEngine", OneBatch)
    assert choose()[0].name == "torch/cpu"


def test_auto_takes_bfloat16_where_it_is_preferred_and_near_enough(choose, monkeypatch):
    monkeypatch.setattr(engine_choice, "candidates", lambda device: ("torch-bf16", "torch"))
    engine, said = choose(tolerance=1.0)
    assert (engine.name, engine.dtype) == ("torch/cpu", "float32")
    assert "torch-bf16" in said
    monkeypatch.setattr(engine_choice, "LEAST_AGREEMENT", 0.5)  # images of noise are all alike to a random network
    assert choose(tolerance=0.9)[0].dtype == "bfloat16"


def test_the_preferred_engine_comes_first_and_a_gpu_without_bfloat16_runs_float32(monkeypatch):
    assert candidates("cpu")[:2] == ("onnxruntime", "torch")
    assert candidates("mps") == ("torch",)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: True)
    assert candidates("cuda") == ("torch-bf16", "torch")
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: False)
    assert candidates("cuda") == ("torch",)


def test_exporting_leaves_torchs_generator_warnings_and_the_network_as_they_were():
    module = PixelBackbone(backbone_of("test_efficientnet").module.eval(), backbone_of("test_efficientnet").preprocess)
    state, filters = torch.get_rng_state(), list(warnings.filters)
    before = {name: value.clone() for name, value in module.state_dict().items()}
    create_engine("onnxruntime", module, pixels(), device="cpu")(pixels())
    assert torch.equal(torch.get_rng_state(), state)
    assert warnings.filters == filters
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
