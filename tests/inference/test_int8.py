"""int8 files are judged before they are written, and say so."""

from __future__ import annotations

import json
import shutil

import numpy as np
import onnx
import onnxruntime
import pandas as pd
import pytest
from command import invoke
from exported_runs import CLASSES, RECIPE, write_model, write_photos
from messages import says
from onnx import TensorProto, helper, numpy_helper
from run_fixtures import write_run

from tlkit.errors import ModelError, RunError
from tlkit.exported import ExportFolder, open_exported
from tlkit.exported.int8_report import Int8Report
from tlkit.inference.export import export_run as export_run_module
from tlkit.inference.export import torture_images
from tlkit.inference.export.export_ladder import NetworkGraph
from tlkit.inference.export.export_run import export_run
from tlkit.inference.export.quantization import quantize_network
from tlkit.inference.load_model import load_model
from tlkit.predictions import Predictions
from tlkit.runs.run import open_run

JUDGED = 40
AUDITED = RECIPE.replace("image_size: 32", "image_size: 32, metadata: meta.csv, groups: [tone]") + (
    "audit: {by: [tone], min_group_size: 2}\n"
)


@pytest.fixture(scope="module")
def shipped(tmp_path_factory):
    """A run with 12 training images and 40 judged ones of two groups, labelled as the model predicts them."""
    folder = tmp_path_factory.mktemp("int8")
    names = write_photos(folder / "photos", JUDGED + 12)
    write_model(folder / "model", scale=3)
    found = load_model(folder / "model", device="cpu").predict([folder / "photos" / name for name in names])
    labels = [CLASSES[place] for place in found.y_pred]
    tones = ["dark" if number % 4 else "light" for number in range(len(names))]
    split = ["test"] * JUDGED + ["train"] * 12
    table = pd.DataFrame({"path": names, "label": labels, "split": split, "tone": tones})
    stored = Predictions.build(
        classes=CLASSES,
        path=names[:JUDGED],
        y_true=labels[:JUDGED],
        proba=found.proba[:JUDGED],
        groups=table[["tone"]][:JUDGED],
    )
    run = write_run(folder / "runs" / "shipped", AUDITED, table, stored, root=folder / "photos")
    (folder / "model").rename(run.path / "model")
    return folder


@pytest.fixture(scope="module")
def few_made_images():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torture_images, "SIZES", ((1, 1), (100, 250)))
        yield


@pytest.fixture(scope="module")
def exported(shipped, few_made_images):
    return export_run(shipped / "runs" / "shipped", int8=True, tolerance=0.5, images=6)


@pytest.fixture
def run(exported, shipped, tmp_path, monkeypatch):
    """A copy of the exported run; another export of it takes the graph of the first."""
    copied = open_run(shutil.copytree(shipped / "runs", tmp_path / "runs") / "shipped")
    graph = NetworkGraph(onnx.load(exported.files[0]), "dynamo", ())
    monkeypatch.setattr(export_run_module, "export_network", lambda build, **_: graph)
    return copied


def residual_network() -> onnx.ModelProto:
    """Two convolutions with ReLU6 and a linear one around a sum, then a linear head, random weights."""
    rng = np.random.default_rng(0)
    tensors = {"low": np.float32(0), "high": np.float32(6), "head": rng.normal(0, 0.3, (16, 3)).astype(np.float32)}
    nodes = []
    for name, (inside, outside) in {"a": (3, 16), "b": (16, 16), "c": (16, 16)}.items():
        tensors[f"{name}_w"] = rng.normal(0, 0.2, (outside, inside, 3, 3)).astype(np.float32)
        tensors[f"{name}_b"] = rng.normal(0, 0.2, outside).astype(np.float32)
    conv = {"pads": [1, 1, 1, 1], "kernel_shape": [3, 3]}
    nodes = [
        helper.make_node("Conv", ["image", "a_w", "a_b"], ["a"], name="conv_a", **conv),
        helper.make_node("Clip", ["a", "low", "high"], ["a6"], name="clip_a"),
        helper.make_node("Conv", ["a6", "b_w", "b_b"], ["b"], name="conv_b", **conv),
        helper.make_node("Clip", ["b", "low", "high"], ["b6"], name="clip_b"),
        helper.make_node("Conv", ["b6", "c_w", "c_b"], ["c"], name="conv_c", **conv),
        helper.make_node("Add", ["a6", "c"], ["sum"], name="add"),
        helper.make_node("GlobalAveragePool", ["sum"], ["pooled"], name="pool"),
        helper.make_node("Flatten", ["pooled"], ["flat"], name="flatten"),
        helper.make_node("MatMul", ["flat", "head"], ["logits"], name="head_product"),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1, name="softmax"),
    ]
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 3, 16, 16])
    outputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 3]) for name in ("logits", "probabilities")
    ]
    stored = [numpy_helper.from_array(np.asarray(value), name) for name, value in tensors.items()]
    graph = helper.make_graph(nodes, "residual", [image], outputs, initializer=stored)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def test_every_convolution_and_sum_runs_in_int8(tmp_path):
    images = np.random.default_rng(1).normal(size=(24, 3, 16, 16)).astype(np.float32)
    found = quantize_network(residual_network(), calibration=images[:16], held_out=images[16:])
    assert found.float_nodes == ()
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    options.log_severity_level = 3
    onnxruntime.InferenceSession(found.proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
    kinds = [node.op_type for node in onnx.load(tmp_path / "optimized.onnx").graph.node]
    assert kinds.count("QLinearConv") == 3 and "QLinearAdd" in kinds
    assert not {"Conv", "Clip", "Add", "FusedConv"} & set(kinds)


def test_int8_files_carry_their_verdict_by_group(exported, shipped):
    written = exported
    report = written.int8
    assert [row.group for row in report.gate.rows] == ["all images", "dark", "light"]
    assert report.gate.rows[0].n == JUDGED
    assert report.size < report.float_size
    assert report.first.value == 1.0
    assert [path.name for path in written.files[2:]] == ["network-int8.onnx", "model-int8.onnx"]
    for path in written.files[2:]:
        facts = open_exported(path).facts
        assert facts.precision == "int8"
        assert facts.gate == report.summary
    folder = ExportFolder(shipped / "runs" / "shipped" / "export")
    assert folder.int8_report() == report == Int8Report.from_dict(json.loads(json.dumps(report.to_dict())))
    assert {parity.subject for parity in written.verification.parities} >= {"network-int8.onnx", "model-int8.onnx"}
    assert written.verification.verdict == "PASS"


def test_network_and_model_say_the_same_in_int8_and_are_near_float(exported):
    files = {path.name: open_exported(path) for path in exported.files}
    size = files["network-int8.onnx"].facts.preprocess.image_size
    pixels = np.random.default_rng(0).integers(0, 256, (4, *size, 3), dtype=np.uint8)
    network = files["network-int8.onnx"].probabilities(pixels)
    np.testing.assert_allclose(network.sum(axis=1), 1, atol=1e-5)
    assert 0 < np.abs(network - files["network.onnx"].probabilities(pixels)).max() < 0.2
    pictures = list(pixels)
    by_file = [
        load_model(files[name].path).predict(pictures).proba for name in ("network-int8.onnx", "model-int8.onnx")
    ]
    np.testing.assert_allclose(*by_file, atol=1e-4)
    kinds = [node.op_type for node in onnx.load(files["network-int8.onnx"].path).graph.node]
    assert kinds.count("QuantizeLinear") > 5
    assert "Softmax" in kinds


def test_only_a_passing_file_is_written_where_pass_is_required(run):
    result = invoke(["export", str(run.path), "--int8", "--tolerance", "0.001", "--require", "PASS", "--images", "2"])
    assert result.exit_code == 3
    assert says(result.stdout, "NOT ENOUGH DATA", "not written")
    folder = run.path / "export"
    assert not (folder / "network-int8.onnx").exists()
    assert not (folder / "model-int8.onnx").exists()
    assert (folder / "model.onnx").exists()
    assert ExportFolder(folder).int8_report().written is False
    assert len(ExportFolder(folder).files()) == 2


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"tolerance": 0.1}, "--int8"),
        ({"require": "PASS"}, "--int8"),
        ({"int8": True, "tolerance": 1.0}, "0.05"),
        ({"int8": True, "format": "openvino"}, "NNCF"),
    ],
)
def test_options_that_contradict_are_refused_before_any_work(run, options, named):
    with pytest.raises(RunError, match=named):
        export_run(run, **options)


def test_without_training_images_there_is_no_int8(run):
    table = pd.read_csv(run.directory.split, keep_default_na=False)
    table[table.split == "test"].to_csv(run.directory.split, index=False)
    with pytest.raises(ModelError, match="training images"):
        export_run(run, int8=True)
