"""Exported files of segmentation predict the masks of the stored model, in the size of each image."""

from __future__ import annotations

import io
import json
import shutil
import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from mask_images import CLASSES, mask_recipe, write_mask_images
from messages import saying
from PIL import Image
from run_fixtures import verify_on_few_sizes, working_in
from torch import nn
from torch.nn import functional

from tlkit import load_model
from tlkit.cli.app import main
from tlkit.errors import DataError, ModelError
from tlkit.exported import ExportedFacts, ExportedModel, open_exported
from tlkit.exported.exported_predictor import load_exported
from tlkit.exported.mask_answers import most_probable
from tlkit.exported.verification import Verification
from tlkit.inference.export import verify_run as verify_run_module
from tlkit.inference.export.export_run import export_run
from tlkit.inference.export.graph_builder import GraphBuilder
from tlkit.inference.export.verified_images import Case, full_pixels
from tlkit.inference.export.verify_masks import verify_masks
from tlkit.mask_files import mask_png, read_mask
from tlkit.predictions import read_masks
from tlkit.predictions.mask_predictions import PixelCounts
from tlkit.preprocess import Preprocess
from tlkit.runs.run import open_run
from tlkit.training.fit import fit

pytest.importorskip("segmentation_models_pytorch")


def run_here(monkeypatch, capsys, *arguments):
    monkeypatch.setattr(sys, "argv", ["tlkit", *map(str, arguments)])
    capsys.readouterr()
    with pytest.raises(SystemExit) as stop:
        main()
    said = capsys.readouterr()
    return SimpleNamespace(returncode=int(stop.value.code or 0), stdout=said.out, stderr=said.err)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Return a folder with pictures and a run that has learnt a little, and its export."""
    folder = tmp_path_factory.mktemp("exported_masks")
    root = write_mask_images(folder / "images")
    given = {"model": ", decoder: fpn, decoder_channels: 64", "strategy": "full", "epochs": "3", "rate": "0.01"}
    with working_in(folder) as patch:
        verify_on_few_sizes(patch)
        fit(mask_recipe(folder, root, **given), {"report.enabled": False})
        return folder, export_run("runs/masks", images=6)


@pytest.fixture
def few_sizes(monkeypatch):
    """Verify on small made images."""
    verify_on_few_sizes(monkeypatch)


@pytest.fixture
def sizes(made, tmp_path):
    """Return images of several sizes: small, wide, tall, and one pixel wide."""
    files = []
    with Image.open(made[0] / "images" / "test" / "003.png") as image:
        for width, height in ((48, 48), (151, 97), (30, 201), (1, 40), (64, 64), (500, 260)):
            files.append(tmp_path / f"{width}x{height}.png")
            image.resize((width, height)).save(files[-1])
    return files


def test_both_files_pass_with_every_pixel_in_common(made):
    verification = made[1].verification
    found = {parity.subject: parity for parity in verification.parities}
    assert set(found) == {"stored predictions", "network.onnx", "model.onnx"}
    for parity in found.values():
        assert (parity.verdict, parity.images) == ("PASS", 6)
        assert parity.pixels - parity.same_pixels <= 1e-5 * parity.pixels
    for name in ("network.onnx", "model.onnx"):
        assert found[name].largest <= 5e-5
        assert found[name].movement > 0.1
        assert found[name].distance is not None
        assert found[name].made > 15
    assert Verification.from_dict(json.loads((made[0] / "runs/masks/export/verification.json").read_text())) == (
        verification
    )


@pytest.mark.series
def test_both_files_pass_on_made_images_of_every_size(made, tmp_path):
    run = shutil.copytree(made[0] / "runs" / "masks", tmp_path / "masks")
    found = {parity.subject: parity for parity in verify_run_module.verify_run(run, images=6).parities}
    for name in ("network.onnx", "model.onnx"):
        assert (found[name].verdict, found[name].made > 25) == ("PASS", True)


@pytest.mark.parametrize("name", ["model.onnx", "network.onnx"])
def test_a_file_predicts_the_masks_of_the_run_at_any_size(made, sizes, name):
    expected = load_model(made[0] / "runs" / "masks", device="cpu").predict(sizes)
    model = load_model(made[0] / "runs" / "masks" / "export" / name)
    found = model.predict(sizes)
    assert (model.classes.names, model.classes.void) == (CLASSES, None)
    assert any(len(np.unique(mask.positions)) > 1 for mask in expected)
    for one, other in zip(found, expected, strict=True):
        assert one.path == other.path
        assert one.positions.shape == other.positions.shape
        assert (one.positions != other.positions).mean() <= 1e-4
        assert (one.numbers == other.numbers).mean() >= 1 - 1e-4


def test_any_tool_reads_the_masks_from_the_file_alone(made):
    """The third output is the argmax of the logits, without the border of the letterbox, scaled by torch."""
    file = made[0] / "runs" / "masks" / "export" / "model.onnx"
    session = onnxruntime.InferenceSession(file)
    assert [one.name for one in session.get_outputs()] == ["logits", "probabilities", "mask"]
    assert session.get_modelmeta().custom_metadata_map["classes"].split("\n") == list(CLASSES)
    facts = json.loads(session.get_modelmeta().custom_metadata_map["tlkit"])
    assert (facts["task"], facts["mask_values"], facts["void"], facts["head"]) == (
        "segmentation",
        [0, 1, 2],
        None,
        "fpn",
    )
    pixels = np.random.default_rng(0).integers(0, 256, (2, 40, 90, 3), dtype=np.uint8)
    logits, proba, mask = session.run(None, {"images": pixels})
    assert (logits.shape, mask.shape, mask.dtype) == ((2, 3, 64, 64), (2, 40, 90), np.uint8)
    np.testing.assert_allclose(proba, np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True), rtol=1e-4)
    tall = round(64 * 40 / 90)
    top = (64 - tall) // 2
    shown = torch.from_numpy(logits[:, :, top : top + tall])
    scaled = functional.interpolate(shown, size=(40, 90), mode="bilinear", align_corners=False)
    assert (mask != scaled.argmax(dim=1).numpy()).mean() <= 1e-4
    alone = [session.run(["mask"], {"images": one[None]})[0][0] for one in pixels]
    assert np.array_equal(mask, np.stack(alone))


@pytest.mark.parametrize("resize", ["letterbox", "squash"])
@pytest.mark.parametrize("size", [(1, 1), (7, 3), (64, 64), (90, 41), (33, 300)])
def test_scaling_without_torch_is_that_of_torch(resize, size):
    logits = np.random.default_rng(1).normal(size=(4, 64, 32)).astype(np.float32)
    preprocess = Preprocess(image_size=(64, 32), resize=resize)
    shown = torch.from_numpy(logits)
    if resize == "letterbox":
        factor = min(64 / size[0], 32 / size[1])
        tall, wide = (max(1, round(length * factor)) for length in size)
        top, left = (64 - tall) // 2, (32 - wide) // 2
        shown = shown[:, top : top + tall, left : left + wide]
    scaled = functional.interpolate(shown[None], size=size, mode="bilinear", align_corners=False)[0]
    found = most_probable(logits, preprocess, height=size[0], width=size[1])
    assert (found != scaled.argmax(dim=0).numpy()).mean() <= 1e-3


def test_repeated_steps_of_a_graph_begin_with_what_the_step_before_left():
    g = GraphBuilder("x_")
    start = g.constant([1.0, 2.0], np.float32)
    found = g.repeat(
        3,
        {start: onnx.TensorProto.FLOAT},
        lambda b, number, values: [
            b("Add", b("Mul", values[0], b.constant(10, np.float32)), b.cast(number, onnx.TensorProto.FLOAT))
        ],
    )
    g("Identity", found[0], output="y")
    graph = g.graph("g", inputs=(), outputs=(onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [2]),))
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 20)], ir_version=10)
    (y,) = onnxruntime.InferenceSession(model.SerializeToString()).run(None, {})
    assert y.tolist() == [1012.0, 2012.0]


class Doctored(nn.Module):
    """A network with the first logit of a row of pixels moved."""

    def __init__(self, network, by):
        super().__init__()
        self.network, self.by, self.task = network, by, network.task

    def forward(self, images):
        logits = self.network(images).clone()
        logits[:, 0] += self.by
        return logits


def test_another_model_fails_and_its_images_are_named(made, few_sizes, monkeypatch, capsys):
    loaded = verify_run_module.load_any_task
    doctored = lambda folder: (Doctored(loaded(folder)[0], 0.5), loaded(folder)[1])  # noqa: E731
    monkeypatch.setattr(verify_run_module, "load_any_task", doctored)
    done = run_here(monkeypatch, capsys, "verify", made[0] / "runs" / "masks", "--images", "2", "--json")
    found = Verification.from_dict(json.loads(done.stdout))
    assert (found.verdict, found.exit_code, done.returncode) == ("FAIL", 1, 1)
    parity = next(one for one in found.parities if one.subject == "model.onnx")
    assert parity.same_pixels < parity.pixels
    named = [one.image for one in found.differences if one.subject == "model.onnx"]
    assert set(named) >= {"test/000.png", "test/015.png"}
    counts, named = (table.rows for table in found.tables())
    assert {row[0]: row[-1] for row in counts}["model.onnx"] == parity.pixels - parity.same_pixels
    assert all("of another class" in row[-1] for row in named)


class DeadNetwork(nn.Module):
    """Gives the same logits for every image."""

    def forward(self, images):
        return torch.zeros(len(images), 3, 64, 64, dtype=images.dtype) + torch.arange(3).view(3, 1, 1)


def dead_session(outputs, given):
    """Give what `DeadNetwork` gives."""
    logits = DeadNetwork()(torch.zeros(len(given), 3, 64, 64))
    mask = np.full(given.shape[:3], 2, dtype=np.uint8)
    found = {"logits": logits.numpy(), "probabilities": logits.softmax(dim=1).numpy(), "mask": mask}
    return [found[name] for name in outputs]


def test_a_dead_network_does_not_pass(made, monkeypatch):
    """The same constant from every image agrees with the model in every pixel, and proves nothing."""
    monkeypatch.setattr("tlkit.inference.export.verify_masks.made_cases", lambda preprocess, notes: [])
    run = open_run(made[0] / "runs" / "masks")
    file = open_exported(run.path / "export" / "model.onnx")
    dead_session.engine, dead_session.is_concurrent = "none", True
    dead = ExportedModel(file.path, file.facts, dead_session)
    card = load_model(run.path, device="cpu").facts
    found = verify_masks(run.directory, "test", DeadNetwork(), card, [dead], images=4)
    parity = next(one for one in found.parities if one.subject == "model.onnx")
    assert (parity.verdict, parity.same_pixels, parity.movement) == ("FAIL", parity.pixels, 0.0)
    assert saying("hardly depend on the image", "0.001") == " ".join(parity.reasons)
    assert found.exit_code == 1


def test_a_changed_file_is_refused(made, tmp_path):
    file = made[0] / "runs" / "masks" / "export" / "model.onnx"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    for name, data in (("changed.onnx", bytes(content)), ("short.onnx", bytes(content[: len(content) // 2]))):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(ModelError, match=r"changed or truncated|Export the run again"):
            load_model(tmp_path / name)
    with pytest.raises(ModelError, match=r"task segmentation"):
        load_exported(file)


def test_masks_of_samples_are_counted_as_by_the_run(made):
    run = open_run(made[0] / "runs" / "masks")
    model = load_model(made[0] / "runs" / "masks" / "export" / "model.onnx")
    found, stored = model.predict_samples(run.samples.split("test")), run.task_predictions("test")
    assert found.path.tolist() == stored.path.tolist()
    right, others = (np.stack(one.sums) for one in (found, stored))
    assert abs(right - others).sum() <= 1e-4 * others.sum()


def test_command_line_predicts_and_refuses(made, tmp_path, monkeypatch, capsys):
    folder = made[0]
    path, images = folder / "runs" / "masks", folder / "images" / "test"
    (tmp_path / "broken.png").write_bytes(b"no image")
    file = path / "export" / "model.onnx"
    done = run_here(monkeypatch, capsys, "predict", file, images, tmp_path / "broken.png", "--out", tmp_path / "out")
    assert (done.returncode, saying("broken.png")) == (0, done.stdout)
    for name in ("000.png", "009.png"):
        mask = read_mask((tmp_path / "out" / name).read_bytes())
        stored = read_mask((path / "predictions" / "masks" / "test" / name).read_bytes())
        assert (mask != stored).mean() <= 1e-3
    done = run_here(monkeypatch, capsys, "predict", file, images / "000.png")
    assert (done.returncode, saying("background")) == (0, done.stdout)
    done = run_here(monkeypatch, capsys, "compare", path, file, "--json")
    main = json.loads(done.stdout)["rows"][0]
    assert (done.returncode, main["figure"], main["n"]) == (0, "mean_iou", 16)
    assert main["first"] == pytest.approx(main["second"], abs=1e-3)
    for given, words in (
        (("export", path, "--int8"), ("--int8", "accuracy of classes")),
        (("export", path, "--abstain-at-risk", "0.1"), ("--abstain-at-risk", "segmentation")),
        (("predict", file, images, "--out", "out.csv"), ("name a folder",)),
        (("evaluate", file, "--data", images), ("masks", "tlkit predict")),
        (("serve", file), ("task segmentation",)),
    ):
        done = run_here(monkeypatch, capsys, *given)
        assert (done.returncode, saying(*words)) == (2, done.stderr)


def test_facts_hold_the_numbers_of_masks_and_void(made):
    facts = open_exported(made[0] / "runs" / "masks" / "export" / "model.onnx").facts
    stated = replace(facts, mask_values=(7, 0, 300), void=255)
    again = ExportedFacts.from_dict(json.loads(stated.to_json()))
    assert again == stated
    assert (again.mask_classes.values, again.mask_classes.void) == ((7, 0, 300), 255)
    assert again.mask_classes.numbers(np.array([[0, 2]])).tolist() == [[7, 300]]
    for wrong in ({"mask_values": [1, 2]}, {"mask_values": [1, 2, 2]}, {"void": 7}):
        with pytest.raises(ValueError, match=r"number|argument"):
            ExportedFacts.from_dict(stated.to_dict() | wrong)
    assert not {"mask_values", "void"} & set(replace(facts, task="multiclass").to_dict())


@pytest.mark.series
def test_openvino_says_the_same(made, few_sizes):
    pytest.importorskip("openvino")
    found = export_run(made[0] / "runs" / "masks", format="openvino", images=3)
    assert {parity.subject: parity.verdict for parity in found.verification.parities}["network.xml"] == "PASS"
    assert open_exported(found.files[0]).facts.task == "segmentation"


def test_full_pixels_of_a_transparent_image_lie_on_the_background_of_the_model():
    buffer = io.BytesIO()
    Image.new("RGBA", (8, 6), (255, 0, 0, 0)).save(buffer, "PNG")
    preprocess = Preprocess(image_size=(8, 8), background=(1, 2, 3))
    case = Case("one", 0, buffer.getvalue(), None, None, is_reduced=False)
    assert full_pixels(case, preprocess).reshape(-1, 3).tolist() == [[1, 2, 3]] * 48


@pytest.mark.parametrize(
    ("content", "reason"), [(b"bad", "not a PNG file"), (mask_png(np.zeros((10, 10), np.uint8)), "10x10 pixels")]
)
def test_a_true_mask_that_cannot_be_used_is_named(made, monkeypatch, content, reason):
    mask = made[0] / "images" / "masks" / "test" / "003.png"
    sound = mask.read_bytes()
    run = open_run(made[0] / "runs" / "masks")
    mask.write_bytes(content)
    try:
        for path in (run.path, run.path / "export" / "model.onnx"):
            with pytest.raises(DataError, match=rf"true mask masks/test/003\.png of test/003\.png.*{reason}"):
                load_model(path).predict_samples(run.samples.split("test"))
    finally:
        mask.write_bytes(sound)


def test_stored_masks_and_counts_that_do_not_agree_fail_and_missing_masks_are_no_data(made, few_sizes):
    run = open_run(made[0] / "runs" / "masks")
    files = {file: file.read_bytes() for file in run.directory.masks.rglob("*.png")}
    table = run.directory.predictions("test")
    counts = table.read_bytes()

    def verdict():
        parities = verify_run_module.verify_run(run.path, images=2).parities
        return next(one for one in parities if one.subject == "stored predictions")

    assert verdict().verdict == "PASS"
    try:
        first = next(file for file in files if file.parts[-2:] == ("test", "000.png"))
        for content, why in ((b"bad", "PNG"), (mask_png(np.zeros((10, 10), np.uint8)), "another size")):
            first.write_bytes(content)
            found = verdict()
            assert (found.verdict, saying("test/000.png", why)) == ("FAIL", " ".join(found.reasons))
        first.unlink()
        assert verdict().verdict == "NOT ENOUGH DATA"
        first.write_bytes(files[first])
        stored = read_masks(table)
        rows = stored.counts.rows
        rows[rows[:, 1] != rows[:, 2], 3] += 1
        replace(stored, counts=PixelCounts.of_rows(rows)).to_parquet(table)
        found = verdict()
        assert (found.verdict, saying("test/000.png", "counts")) == ("FAIL", " ".join(found.reasons))
    finally:
        table.write_bytes(counts)
        for file, content in files.items():
            file.write_bytes(content)


def test_a_reduced_decode_is_refused_for_masks(made):
    with pytest.raises(ModelError, match=r"reduced.*segmentation"):
        export_run(made[0] / "runs" / "masks", decode="reduced", images=2)
