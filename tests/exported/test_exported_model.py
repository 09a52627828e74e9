"""Exported files are read without torch, checked before they run, and refuse what they cannot take."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import onnx
import pytest
import torch
from messages import says
from onnx import TensorProto, helper

from tlkit.data.loading.batch import normalize
from tlkit.errors import ModelError
from tlkit.exported import ExportedFacts, normalize_pixels, open_exported
from tlkit.exported.facts import LOGITS, NETWORK_INPUT, PROBABILITIES
from tlkit.inference.export.model_graph import onnx_content, with_preprocessing
from tlkit.preprocess import Preprocess

PREPROCESS = Preprocess(image_size=(8, 6), crop_pct=1.0)
FACTS = ExportedFacts("network", ("a", "b", "c"), PREPROCESS, "none", "linear", "tiny")


def channel_means():
    """A network whose logits are the means of the channels."""
    nodes = [
        helper.make_node("ReduceMean", [NETWORK_INPUT, "axes"], [LOGITS], keepdims=0),
        helper.make_node("Softmax", [LOGITS], [PROBABILITIES], axis=1),
    ]
    image = helper.make_tensor_value_info(NETWORK_INPUT, TensorProto.FLOAT, ["batch", 3, 8, 6])
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 3]) for name in (LOGITS, PROBABILITIES)]
    axes = helper.make_tensor("axes", TensorProto.INT64, [2], [2, 3])
    graph = helper.make_graph(nodes, "means", [image], outputs, initializer=[axes])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


@pytest.fixture
def network(tmp_path):
    path = tmp_path / "network.onnx"
    path.write_bytes(onnx_content(channel_means(), FACTS))
    return path


def test_facts_survive_the_file(network):
    assert open_exported(network).facts == FACTS


def test_pixels_are_normalized_as_in_training_to_the_bit():
    pixels = np.random.default_rng(0).integers(0, 256, (4, 8, 6, 3), dtype=np.uint8)
    expected = normalize(torch.from_numpy(pixels).permute(0, 3, 1, 2), PREPROCESS).numpy()
    np.testing.assert_array_equal(normalize_pixels(pixels, PREPROCESS), expected)


def test_network_and_model_agree_with_numpy(network, tmp_path):
    facts = ExportedFacts("model", FACTS.classes, PREPROCESS, "none", "linear", "tiny", resize="exact")
    model = tmp_path / "model.onnx"
    model.write_bytes(onnx_content(with_preprocessing(channel_means(), facts), facts))
    pixels = np.random.default_rng(0).integers(0, 256, (3, 8, 6, 3), dtype=np.uint8)
    logits = (pixels.mean((1, 2)) / 255 - PREPROCESS.mean) / PREPROCESS.std
    expected = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    for path in (network, model):
        found = open_exported(path, threads=1)
        np.testing.assert_allclose(found.logits(pixels), logits, atol=1e-5)
        np.testing.assert_allclose(found.probabilities(pixels), expected, atol=1e-6)


@pytest.mark.parametrize("place", [0.1, 0.5, 0.99])
def test_a_changed_byte_is_found(network, place):
    content = bytearray(network.read_bytes())
    content[int(len(content) * place)] ^= 4
    network.write_bytes(content)
    with pytest.raises(ModelError, match=r"network\.onnx"):
        open_exported(network)


def test_changed_facts_are_found(network):
    network.write_bytes(network.read_bytes().replace(b'"linear"', b'"lineal"'))
    with pytest.raises(ModelError, match="changed"):
        open_exported(network)


@pytest.mark.parametrize("share", [0.0, 0.5, 0.999])
def test_a_truncated_file_is_refused(network, share):
    content = network.read_bytes()
    network.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(ModelError, match="truncated"):
        open_exported(network)


def test_files_of_other_tools_are_refused(tmp_path):
    path = tmp_path / "foreign.onnx"
    onnx.save(channel_means(), path)
    with pytest.raises(ModelError) as error:
        open_exported(path)
    assert says(error, "foreign.onnx", "another tool")
    for name in ("missing.onnx", "model.pt", "."):
        with pytest.raises(ModelError):
            open_exported(tmp_path / name)


def test_a_newer_format_is_refused(network):
    model = channel_means()
    newer = onnx_content(model, FACTS)
    values = {prop.key: prop.value for prop in onnx.load_from_string(newer).metadata_props}
    helper.set_model_props(
        model, {**values, "tlkit": values["tlkit"].replace('"format_version": 1', '"format_version": 9')}
    )
    from tlkit.exported.embedded_digest import DIGEST_KEY, EMPTY, with_digest

    next(prop for prop in model.metadata_props if prop.key == DIGEST_KEY).value = EMPTY
    network.write_bytes(with_digest(model.SerializeToString()))
    with pytest.raises(ModelError) as error:
        open_exported(network)
    assert says(error, "newer", "9")


@pytest.mark.parametrize(
    "images",
    [
        np.zeros((1, 8, 6, 3)),
        np.zeros((8, 6, 3), np.uint8),
        np.zeros((1, 8, 6, 4), np.uint8),
        np.zeros((0, 8, 6, 3), np.uint8),
        np.zeros((1, 9, 6, 3), np.uint8),
    ],
)
def test_images_of_another_type_or_size_are_refused(network, images):
    with pytest.raises(ModelError, match=r"network\.onnx"):
        open_exported(network).probabilities(images)


def test_an_exported_file_runs_without_torch(network):
    code = (
        "import sys, numpy as np\n"
        "from tlkit.exported import open_exported\n"
        f"print(open_exported({str(network)!r}).probabilities(np.zeros((1, 8, 6, 3), np.uint8)).shape)\n"
        "assert not {'torch', 'timm', 'pytorch_lightning', 'albumentations', 'wandb', 'pandas'} & set(sys.modules)\n"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert found.stdout == "(1, 3)\n", found.stderr
