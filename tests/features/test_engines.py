"""Engines: each returns the features of float32 torch, repeats its bytes, and `auto` chooses by rule."""

from __future__ import annotations

import re
import sys
import warnings
from importlib import metadata

import numpy as np
import pytest
import torch
from messages import says
from torch import nn

from tlkit.errors import MissingExtraError
from tlkit.features.engines import engine_choice, graph_engines
from tlkit.features.engines.batch_norm_folding import fold_batch_norm
from tlkit.features.engines.engine_choice import (
    available_engines,
    choose_engine,
    create_engine,
    engine_identity,
    measure_agreement,
)
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
    """Give every batch normalization statistics and weights that it would have after training."""
    generator = torch.Generator().manual_seed(1)
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean.normal_(0, 0.3, generator=generator)
            part.running_var.uniform_(0.5, 2.0, generator=generator)
            nn.init.uniform_(part.weight, 0.5, 1.5, generator=generator)
            nn.init.normal_(part.bias, 0, 0.3, generator=generator)
    return module.eval()


@pytest.mark.parametrize("name", ["test_resnet", "test_efficientnet", "tf_efficientnet_lite0", "test_convnext"])
def test_folding_removes_all_batch_norm_and_keeps_the_function(name):
    module = with_lively_statistics(create_backbone(name, weights="none").module)
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    before = {key: value.clone() for key, value in module.state_dict().items()}
    folded = fold_batch_norm(module, images)
    assert not any(isinstance(part, nn.BatchNorm2d) for part in folded.modules())
    with torch.no_grad():
        torch.testing.assert_close(folded(images), module(images), atol=1e-4, rtol=1e-4)
    assert all(torch.equal(value, before[key]) for key, value in module.state_dict().items())


def test_a_network_that_cannot_be_folded_is_returned_unchanged(caplog):
    class Twice(nn.Module):
        """Uses what the convolution gives beside the normalization of it."""

        def __init__(self):
            super().__init__()
            self.conv, self.norm = nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)

        def forward(self, x):
            y = self.conv(x)
            return self.norm(y) + y

    module = with_lively_statistics(Twice())
    caplog.set_level("DEBUG", logger="tlkit")
    assert fold_batch_norm(module, torch.randn(2, 3, 8, 8)) is module
    assert says(caplog.messages, "Batch normalization", "not folded")


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
    """Also of pixels in the layout of a loader's batches."""
    pytest.importorskip(engine)
    backbone = backbone_of(name)
    module = PixelBackbone(with_lively_statistics(backbone.module), backbone.preprocess)
    images = pixels()
    with torch.inference_mode():
        expected = module(images).numpy()
    built = create_engine(engine, module, images, device="cpu")
    found = built(images)
    np.testing.assert_allclose(found, expected, atol=2e-4, rtol=1e-3)
    assert measure_agreement(found, expected).within(0.9999)
    assert built(images).tobytes() == found.tobytes()
    assert found.dtype == np.float32
    laid_out = create_engine(engine, module, images.contiguous(memory_format=torch.channels_last), device="cpu")
    np.testing.assert_allclose(
        laid_out(images.contiguous(memory_format=torch.channels_last)), expected, atol=2e-4, rtol=1e-3
    )
    by = engine_identity(engine, "cpu")
    assert (by.engine, by.dtype) == (built.name, built.dtype)


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
        assert measure_agreement(found, expected).cosine > 0.99999


def test_bf16_is_another_arithmetic_with_an_identity_of_its_own():
    backbone = backbone_of("test_resnet")
    module = PixelBackbone(backbone.module.eval(), backbone.preprocess)
    found = create_engine("torch-bf16", module, pixels(), device="cpu")(pixels())
    exact = TorchEngine(module)(pixels())
    assert found.dtype == np.float32
    assert not np.array_equal(found, exact)
    assert measure_agreement(found, exact).cosine > 0.99
    by = engine_identity("torch-bf16", "cpu")
    assert (by.engine, by.dtype) == ("torch/cpu", "bfloat16")


def test_agreement_is_low_for_other_directions_and_other_decisions():
    x = np.random.default_rng(0).normal(size=(8, 40)).astype(np.float32)
    assert measure_agreement(2 * x, x).cosine == pytest.approx(1.0)
    turned = measure_agreement(x[::-1], x)
    assert turned.cosine < 0.5 and turned.argmax < 0.5
    assert not turned.within(0.9)


def test_openvino_follows_the_number_of_threads_of_torch():
    pytest.importorskip("openvino")
    module = PixelBackbone(backbone_of("test_resnet").module.eval(), backbone_of("test_resnet").preprocess)

    def threads(engine):
        return engine.sessions.current().get_property("INFERENCE_NUM_THREADS")

    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        engine = create_engine("openvino", module, pixels(), device="cpu")
        one = engine(pixels())
        assert threads(engine) == 1
        torch.set_num_threads(2)
        np.testing.assert_allclose(engine(pixels()), one, rtol=1e-4, atol=1e-5)
        assert threads(engine) == 2
    finally:
        torch.set_num_threads(before)


def test_a_session_that_cannot_be_opened_for_more_threads_is_tried_again(monkeypatch):
    opened = []

    def open_session(threads):
        opened.append(threads)
        if len(opened) == 2:
            raise MemoryError
        return threads

    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    sessions = graph_engines._Sessions(open_session)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    with pytest.raises(MemoryError):
        sessions.current()
    assert sessions.current() == sessions.current() == 2 and opened == [1, 2, 2]


@pytest.mark.parametrize(("side", "most"), [(32, 4096), (224, 83), (1024, 4)])
def test_as_many_threads_as_torch_has_may_call_onnx_runtime_where_memory_allows(monkeypatch, side, most):
    class ChannelMeans(nn.Module):
        def forward(self, images):
            return images.float().mean(dim=(2, 3))

    engine = create_engine(
        "onnxruntime", ChannelMeans(), torch.zeros(2, 3, side, side, dtype=torch.uint8), device="cpu"
    )
    for threads in (1, 3, 12, 64, 5000):
        monkeypatch.setattr(torch, "get_num_threads", lambda threads=threads: threads)
        assert engine.threads == min(threads, most)


@pytest.mark.parametrize("threads", [1, 2, 3, 16])
def test_the_bits_of_onnx_runtime_depend_neither_on_threads_nor_on_the_batch(threads):
    module = PixelBackbone(backbone_of("test_resnet").module.eval(), backbone_of("test_resnet").preprocess)
    many = torch.from_numpy(np.random.default_rng(2).integers(0, 256, (21, 3, 32, 32), dtype=np.uint8))
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        engine = create_engine("onnxruntime", module, many, device="cpu")
        expected = engine(many)
        np.testing.assert_allclose(expected, create_engine("torch", module, many, device="cpu")(many), atol=1e-4)
        torch.set_num_threads(threads)
        assert engine.threads == threads and engine.images_per_run == 8
        assert engine(many).tobytes() == expected.tobytes()
        parts = [engine(torch.cat([many[row : row + 1], many[:7]]))[:1] for row in range(len(many))]
        assert np.concatenate(parts).tobytes() == expected.tobytes()
    finally:
        torch.set_num_threads(before)


def test_a_missing_openvino_names_the_pip_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)
    said = re.escape('pip install "tlkit[openvino]"')
    with pytest.raises(MissingExtraError, match=said):
        create_engine("openvino", nn.Identity(), pixels(), device="cpu")

    def version(package):
        if package == "openvino":
            raise metadata.PackageNotFoundError(package)
        return "1"

    monkeypatch.setattr(metadata, "version", version)
    with pytest.raises(MissingExtraError, match=said):
        engine_identity("openvino", "cpu")


def test_the_identity_of_an_engine_changes_with_every_setting_that_its_bits_depend_on(monkeypatch):
    pytest.importorskip("openvino")
    names = ("torch", "torch-bf16", "onnxruntime", "openvino")
    graphs, all_of_them = {"onnxruntime", "openvino"}, set(names)
    before = {name: engine_identity(name, "cpu") for name in names}
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
            assert {name for name in names if engine_identity(name, "cpu") != before[name]} == expected, target
    with monkeypatch.context() as patch:
        patch.setattr(metadata, "version", version_of(None))
        before = {name: engine_identity(name, "cpu") for name in names}
        for package, expected in (("timm", all_of_them), ("openvino", {"openvino"})):
            patch.setattr(metadata, "version", version_of(package))
            assert {name for name in names if engine_identity(name, "cpu") != before[name]} == expected, package
    assert engine_identity("torch", "mps") != engine_identity("torch", "cpu")


def test_the_float32_matmul_precision_is_part_of_the_identity():
    before, precision = engine_identity("torch", "cpu"), torch.get_float32_matmul_precision()
    try:
        torch.set_float32_matmul_precision("medium")
        assert engine_identity("torch", "cpu") != before
        torch.set_float32_matmul_precision("highest")
        assert engine_identity("torch", "cpu") == before
    finally:
        torch.set_float32_matmul_precision(precision)


@pytest.fixture
def choose(caplog):
    """Let `auto` choose on real arithmetic; returns the engine and what the log says of it."""
    caplog.set_level("DEBUG", logger="tlkit")
    backbone = backbone_of("test_resnet")
    module = PixelBackbone(with_lively_statistics(backbone.module), backbone.preprocess)

    def chosen(*, tolerance=0.9999, module=module, device="cpu"):
        caplog.clear()
        engine = choose_engine(module, lambda: module, pixels(16), device=device, tolerance=tolerance)
        (message,) = (said for said in caplog.messages if "features.engine" in said)
        assert engine.name in message
        return engine, message

    return chosen


def test_auto_chooses_onnx_runtime_on_a_cpu_and_the_preferred_engine_comes_first(choose, monkeypatch):
    engine, _ = choose()
    assert (engine.name, engine.dtype) == ("onnxruntime/cpu", "float32")
    assert available_engines("cpu")[:2] == ("onnxruntime", "torch")
    assert available_engines("mps") == ("torch",)
    for bfloat16, expected in ((True, ("torch-bf16", "torch")), (False, ("torch",))):
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation, it=bfloat16: it)
        assert available_engines("cuda") == expected


@pytest.mark.parametrize("rows", [slice(None, None, -1), slice(2)], ids=["other features", "fewer images"])
def test_auto_chooses_torch_where_onnx_runtime_differs_too_much(choose, monkeypatch, rows):
    class FarOff(OnnxRuntimeEngine):
        def __call__(self, pixels):
            return super().__call__(pixels)[rows]

    monkeypatch.setattr(engine_choice, "OnnxRuntimeEngine", FarOff)
    engine, said = choose()
    assert (engine.name, engine.dtype) == ("torch/cpu", "float32")
    assert "onnxruntime" in said
    assert choose(tolerance=0.5)[0].name == "torch/cpu"  # decisions differ, too


def test_auto_chooses_torch_where_the_exporter_fails_and_nothing_is_printed(choose, capfd):
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


def test_auto_chooses_bfloat16_where_it_is_preferred_and_agrees(choose, monkeypatch):
    monkeypatch.setattr(engine_choice, "available_engines", lambda device: ("torch-bf16", "torch"))
    engine, said = choose(tolerance=1.0)
    assert (engine.name, engine.dtype) == ("torch/cpu", "float32")
    assert "torch-bf16" in said
    monkeypatch.setattr(engine_choice, "LEAST_AGREEMENT", 0.5)  # images of noise are all alike to a random network
    assert choose(tolerance=0.9)[0].dtype == "bfloat16"


def test_exporting_leaves_torchs_generator_warnings_and_the_network_as_they_were():
    module = PixelBackbone(backbone_of("test_efficientnet").module.eval(), backbone_of("test_efficientnet").preprocess)
    state, filters = torch.get_rng_state(), list(warnings.filters)
    before = {name: value.clone() for name, value in module.state_dict().items()}
    create_engine("onnxruntime", module, pixels(), device="cpu")(pixels())
    assert torch.equal(torch.get_rng_state(), state)
    assert warnings.filters == filters
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
