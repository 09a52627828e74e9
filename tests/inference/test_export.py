"""An exported file says what the model says, whoever runs it; `verify` finds where it does not."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import numpy as np
import onnxruntime
import pytest
import torch
from command import invoke
from exported_runs import CLASSES, SIZE, write_model, write_shipped_run
from messages import says
from PIL import Image
from run_fixtures import verify_on_few_sizes
from timm.layers import use_fused_attn
from torch import nn

from tlkit.errors import ModelError, RunError
from tlkit.exported import open_exported
from tlkit.exported.verification import Verification
from tlkit.inference.export.export_ladder import TOLERANCE, export_network
from tlkit.inference.export.export_run import export_run
from tlkit.inference.export.verify_run import verify_run
from tlkit.inference.predictor import load_predictor
from tlkit.runs.run import open_run


@pytest.fixture(scope="session")
def exported(tmp_path_factory):
    folder = tmp_path_factory.mktemp("exported")
    return folder, export_run(write_shipped_run(folder), fast=True)


@pytest.fixture
def run(exported, tmp_path, monkeypatch):
    """A copy of the exported run that a test may damage; verified without the largest of the made images."""
    verify_on_few_sizes(monkeypatch)
    return open_run(shutil.copytree(exported[0] / "runs", tmp_path / "runs") / "shipped")


def test_every_file_passes_on_the_images_of_the_run_and_on_made_ones(exported):
    result = exported[1].verification
    assert {parity.subject: parity.verdict for parity in result.parities} == dict.fromkeys(
        ("stored predictions", "network.onnx", "model.onnx", "model-fast.onnx"), "PASS"
    )
    for parity in result.parities:
        assert parity.images == 6
        assert parity.movement > 0.01
        if parity.subject in ("network.onnx", "model.onnx"):
            assert parity.largest <= 5e-5
            assert parity.largest_made <= 5e-5
            assert parity.same_label == parity.images + parity.made
            assert parity.made > 20
            assert parity.distance <= 2 * parity.torch_distance


def test_a_verification_survives_json(exported):
    result = exported[1].verification
    assert Verification.from_dict(json.loads(json.dumps(result.to_dict()))) == result
    assert result.tables()[0].column("verdict") == ("PASS",) * 4


def test_the_model_takes_raw_pixels_in_onnx_runtime_alone(exported):
    folder = exported[0]
    session = onnxruntime.InferenceSession(folder / "runs/shipped/export/model.onnx")
    names = [f"{number}.jpg" for number in range(1, 6, 2)]
    images = np.stack([np.asarray(Image.open(folder / "photos" / name)) for name in names])
    proba, labels = session.run(["probabilities", "label"], {"images": images})
    expected = load_predictor(folder / "runs/shipped", device="cpu").predict(
        [folder / "photos" / name for name in names]
    )
    np.testing.assert_allclose(proba, expected.proba, atol=5e-5)
    assert labels.tolist() == [CLASSES[place] for place in expected.y_pred]
    assert session.get_modelmeta().custom_metadata_map["classes"].split("\n") == list(CLASSES)


def test_a_file_states_its_origin_but_no_path_of_this_machine(exported):
    folder, written = exported
    for path in written.files:
        facts = open_exported(path).facts
        assert facts.classes == CLASSES
        assert facts.rung == "dynamo"
        assert facts.verified.startswith("PASS")
        assert {"torch", "onnx", "onnxruntime", "pillow"} <= set(facts.packages)
        assert set(facts.source) == {"model.safetensors", "model.json"}
        content = path.read_bytes()
        assert str(folder).encode() not in content
        assert b"site-packages" not in content


@pytest.mark.series
def test_a_reduced_decode_is_told_apart_and_can_be_given_up(exported, run):
    assert exported[1].verification.decode.images == 3
    full = export_run(run, decode="full")
    assert open_exported(full.files[0]).facts.preprocess.decode == "full"
    references = {parity.subject: parity.reference for parity in full.verification.parities}
    assert references["network.onnx"] == references["model.onnx"] == "model loaded anew, full decode"
    assert full.verification.verdict == "PASS"


@pytest.mark.slow
def test_a_dead_network_does_not_pass(run):
    write_model(run.directory.model, scale=0)
    result = export_run(run).verification
    verdicts = {parity.subject: parity for parity in result.parities}
    assert result.verdict == "FAIL"
    assert result.exit_code == 1
    assert verdicts["model.onnx"].largest <= 1e-6
    assert says(verdicts["model.onnx"].reasons[0], "move", "0.001")


def test_images_that_differ_from_the_stored_predictions_are_named_and_exit_is_1(run):
    path = run.directory.predictions("test")
    stored = run.predictions("test")
    proba = stored.proba.copy()
    proba[2] = [0.98, 0.01, 0.01]
    path.unlink()
    replace(stored, proba=proba).to_parquet(path)
    result = invoke(["verify", str(run.path)])
    assert result.exit_code == 1, result.output
    assert says(result.output, "FAIL") and says(result.output, "stored predictions", "2.jpg")


def test_verify_passes_on_the_command_line_and_is_stored(run):
    result = invoke(["verify", str(run.path), "--json", "--images", "3"])
    assert result.exit_code == 0, result.output
    stored = json.loads((run.path / "export" / "verification.json").read_text())
    assert stored["verdict"] == json.loads(result.stdout)["verdict"] == "PASS"
    assert {parity["images"] for parity in stored["parities"]} == {3}


def test_without_images_there_is_not_enough_data(run):
    run.directory.write_json(run.directory.environment, {"data": {"root": str(run.path / "nowhere")}})
    result = verify_run(run)
    assert (result.verdict, result.exit_code) == ("NOT ENOUGH DATA", 3)
    (note,) = (note for note in result.notes if says(note, "nowhere"))
    assert says(note, "6 of 6", "0.jpg", "no such file", "moved") and "Errno" not in note


def test_files_of_another_model_are_refused(run):
    write_model(run.directory.model, scale=0.5)
    with pytest.raises(ModelError) as error:
        verify_run(run)
    assert says(error, "model.safetensors", "changed", "tlkit export")


@pytest.mark.parametrize("name", ["model.onnx", "network.onnx"])
@pytest.mark.parametrize("damage", ["changed", "truncated", "missing"])
def test_damaged_files_are_refused_by_name(run, name, damage):
    path = run.path / "export" / name
    content = bytearray(path.read_bytes())
    path.unlink()
    if damage == "changed":
        content[len(content) // 2] ^= 1
    if damage != "missing":
        path.write_bytes(content if damage == "changed" else content[: len(content) // 2])
    with pytest.raises(ModelError) as error:
        verify_run(run)
    assert says(error, name, "missing" if damage == "missing" else "changed", "tlkit export")


def test_a_run_without_export_is_told_how(run):
    shutil.rmtree(run.path / "export")
    with pytest.raises(ModelError) as error:
        verify_run(run)
    assert says(error, "tlkit export")


def test_options_that_do_not_go_together_are_refused(run):
    with pytest.raises(RunError, match="fast"):
        export_run(run, format="openvino", fast=True)
    with pytest.raises(RunError, match="onnx"):
        export_run(run, format="onx")


@pytest.mark.series
def test_openvino_gets_the_network_with_the_same_facts(run):
    pytest.importorskip("openvino")
    written = export_run(run, format="openvino")
    path = run.path / "export" / "network.xml"
    assert written.files == (path,)
    assert written.verification.verdict == "PASS"
    assert open_exported(path).facts.classes == CLASSES
    weights = path.with_suffix(".bin")
    weights.write_bytes(weights.read_bytes()[:-4])
    with pytest.raises(ModelError, match="changed"):
        open_exported(path)


class ThreeAxes(nn.Module):
    """Attention over three axes, which torch 2.13's exporter refuses where timm fuses it."""

    def __init__(self):
        super().__init__()
        self.fused = use_fused_attn()

    def forward(self, x):
        tokens = x.flatten(2)  # (N, 3, D)
        if self.fused:
            tokens = nn.functional.scaled_dot_product_attention(tokens, tokens, tokens)
        else:
            scores = tokens @ tokens.transpose(1, 2) * tokens.shape[-1] ** -0.5
            tokens = scores.softmax(-1) @ tokens
        return tokens.mean(-1)


class Branching(nn.Module):
    """A branch on values, which torch.export refuses and a trace does not see."""

    def forward(self, x):
        features = x.mean((2, 3))
        return features * 2 if bool(features.sum() > 1e9) else features


class NoGraph(nn.Module):
    """Nothing that any exporter knows."""

    def forward(self, x):
        raise RuntimeError("no exporter likes this")


@pytest.mark.series
def test_attention_that_the_exporter_refuses_is_exported_unfused_and_the_setting_restored():
    before = use_fused_attn()
    graph = export_network(ThreeAxes, image_size=SIZE)
    assert graph.rung == "unfused attention"
    assert [reason.partition(":")[0] for reason in graph.refused] == ["dynamo", "dynamo without optimization"]
    assert use_fused_attn() == before


def test_the_torchscript_exporter_is_the_last_way():
    assert export_network(Branching, image_size=SIZE).rung == "TorchScript"


class Cancelling(nn.Module):
    """The difference of two large sums of the same numbers: nothing in float64, rounding in float32."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.weight = nn.Parameter(torch.randn(64, 3 * SIZE[0] * SIZE[1]) * 1e4)

    def forward(self, x):
        row = x.flatten(1)
        return row @ self.weight.T - row.flip(1) @ self.weight.flip(1).T


class Counting(nn.Module):
    """Another output at each call, which no graph can give."""

    calls = 0

    def forward(self, x):
        Counting.calls += 1
        return x.mean((2, 3)) * Counting.calls


def test_a_graph_as_far_from_float64_as_torch_is_taken_although_rounding_moves_its_probabilities():
    network = Cancelling()
    images = torch.randn(4, 3, *SIZE)
    with torch.no_grad():
        moved = network(images).softmax(1).double() - network.double()(images.double()).softmax(1)
    assert moved.abs().max() > 10 * TOLERANCE
    assert export_network(Cancelling, image_size=SIZE).rung == "dynamo"


@pytest.mark.series
def test_a_graph_that_says_something_else_is_not_taken():
    with pytest.raises(ModelError) as error:
        export_network(Counting, image_size=SIZE)
    assert says(error, "dynamo", "TorchScript", "differ")


@pytest.mark.series
def test_a_network_that_no_exporter_takes_is_refused_with_all_reasons():
    with pytest.raises(ModelError) as error:
        export_network(NoGraph, image_size=SIZE)
    assert says(error, "dynamo", "TorchScript")
