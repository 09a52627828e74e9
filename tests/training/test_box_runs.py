"""Runs of detection, from recipe to report, through reference operators where the compiled ones do not load."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import timm
import torch
from box_images import CLASSES, box_recipe, write_box_images
from box_operators import reference_operators
from kill_runs import model_bytes, stop_after
from messages import saying, says
from run_fixtures import working_in
from safetensors.torch import load_file, save_file

import tlkit
from tlkit.cli.app import main
from tlkit.errors import DataError, ModelError, PredictionsError, RecipeError, RunError
from tlkit.evaluation.detection import evaluate_detection
from tlkit.inference.box_predictor import BoxPredictor
from tlkit.models.box_head import operator_problem
from tlkit.predictions import read_boxes, read_detection
from tlkit.preflight.recipe_dataset import load_dataset
from tlkit.recipe import load_recipe
from tlkit.runs.run import open_run
from tlkit.training.fit import fit


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    return write_box_images(tmp_path_factory.mktemp("images"))


@pytest.fixture(scope="module")
def own_weights(tmp_path_factory):
    """Return a file of weights whose norm statistics are unlike those of any batch."""
    with torch.random.fork_rng():
        torch.manual_seed(0)  # else the tests before this one would choose the weights
        module = timm.create_model("test_resnet")
    for name, buffer in module.named_buffers():
        if name.endswith("running_mean"):
            buffer.normal_(std=0.1, generator=torch.Generator().manual_seed(0))
    file = tmp_path_factory.mktemp("weights") / "own.safetensors"
    save_file(module.state_dict(), file)
    return file


@pytest.fixture(scope="module")
def operators():
    with reference_operators():
        yield


@pytest.fixture
def cli(monkeypatch, capsys):
    """Run the command line in this process; return its exit code and what it wrote."""

    def run(*words):
        monkeypatch.setattr("sys.argv", ["tlkit", *map(str, words)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as stop:
            main()
        said = capsys.readouterr()
        return int(stop.value.code or 0), said.out + said.err

    return run


@pytest.fixture(scope="module")
def trained(operators, images, own_weights, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    with working_in(folder):
        recipe = box_recipe(folder, images, augment="light", rate="0.0003")
        run = fit(recipe, {"model.weights": f"file:{own_weights}"})
    return open_run(folder / run.path)


def test_stored_boxes_are_judged_by_the_figures_for_files_of_any_tool(trained):
    found = trained.task_predictions()
    truth, detections = trained.directory.boxes("test")
    theirs = read_detection(detections, truth)
    assert (found.categories, len(found), len(found.truth)) == (CLASSES, 8, len(theirs.truth))
    assert len(found.found) == len(theirs.found) > 10
    assert trained.task_evaluation() == evaluate_detection(found) == evaluate_detection(theirs)
    original = json.loads((trained.samples.root / "instances.json").read_text())
    listed = {one["id"]: one["file_name"] for one in original["images"] if one["file_name"].startswith("test/")}
    stored = zip(found.path[found.truth.image].tolist(), found.truth.box.tolist(), strict=True)
    assert sorted(stored) == sorted(
        (listed[one["image_id"]], one["bbox"]) for one in original["annotations"] if one["image_id"] in listed
    )
    audit = trained.get_task_audit()
    assert {"light", "object_size"} == {column for table in audit.group_tables for column in table.columns}
    assert trained.task_audit(by=["light"]).settings.by == ("light",)


def test_frozen_run_keeps_the_encoder_and_its_statistics_to_the_bit(trained, own_weights):
    stored, own = load_file(trained.directory.model / "model.safetensors"), load_file(own_weights)
    encoder = {name: tensor for name, tensor in stored.items() if name.startswith("backbone.")}
    assert len(encoder) > 50
    assert all(
        torch.equal(tensor, own[name.removeprefix("backbone.encoder.model.")]) for name, tensor in encoder.items()
    )
    history = trained.history
    assert history["train_loss"].iloc[-1] < history["train_loss"].iloc[0]
    assert history["val_loss"].notna().all()


def test_loaded_model_predicts_the_stored_boxes_in_pixels_of_the_image(trained):
    model = tlkit.load_model(trained.path, device="cpu")
    stored, paths = trained.task_predictions(), ["test/003.png", "test/006.png"]
    for one, path in zip(model.predict([trained.samples.root / path for path in paths]), paths, strict=True):
        rows = stored.found.image == stored.path.tolist().index(path)
        assert one.category.tolist() == stored.found.category[rows].tolist()
        assert one.box == pytest.approx(stored.found.box[rows], abs=1e-3)
        assert one.score == pytest.approx(stored.found.value[rows], abs=1e-5)
        assert one.size == (48, 64)
    with pytest.raises(DataError, match="tta 'flip' is not for boxes"):
        model.predict(trained.samples.root / "test" / "000.png", tta="flip")


def test_boxes_in_the_border_of_a_letterbox_are_left_out(trained, monkeypatch):
    model, picture = tlkit.load_model(trained.path, device="cpu"), trained.samples.root / "test" / "001.png"
    found = torch.full((1, 100, 6), -1.0)
    found[0, 0] = torch.tensor([0, 4, 0, 30, 6, 0.9])  # 64x48 px lie in rows 8 to 56
    found[0, 1] = torch.tensor([1, 4, 20, 30, 40, 0.8])
    monkeypatch.setattr(model.network, "forward", lambda images: found)
    (one,) = model.predict(picture)
    assert (one.category.tolist(), one.score.tolist()) == ([1], [pytest.approx(0.8)])
    assert one.box.tolist() == [[4, 12, 26, 20]]
    facts = replace(model.facts, preprocess=model.facts.preprocess.replace(resize="crop"))
    with pytest.raises(ModelError, match="resize: crop"):
        BoxPredictor(model.network, facts)


def test_report_and_card_are_written_and_say_what_was_found(trained):
    before = trained.directory.report.read_bytes()
    assert trained.report().read_bytes() == before
    page = before.decode()
    words = ("AP50", "boxes of 2 classes", "Audit across groups", "Wrong predictions", "object_size")
    assert [word for word in words if word not in page] == []
    card = trained.card().read_text(encoding="utf-8")
    assert [word for word in ("object-detection", "AP75", "square") if word not in card] == []


def test_commands_take_a_run_of_boxes_and_others_refuse_it(trained, tmp_path, cli):
    run, out = trained.path, tmp_path / "detections.json"
    picture = trained.samples.root / "test" / "001.png"
    (tmp_path / "broken.png").write_bytes(b"no image")
    code, said = cli("predict", run, picture, tmp_path / "broken.png", "--out", out)
    assert code == 0
    assert says(said, "broken.png cannot be read")
    values = json.loads(out.read_text())
    assert [(one["file_name"], one["height"], one["width"]) for one in values["images"]] == [(str(picture), 48, 64)]
    stored = trained.task_predictions()
    rows = stored.found.image == stored.path.tolist().index("test/001.png")
    assert [one["score"] for one in values["annotations"]] == pytest.approx(stored.found.value[rows].tolist(), abs=1e-5)
    for command, words in (
        (["predict", run, picture, "--out", out], ("is there already",)),
        (["predict", run, picture, "--out", tmp_path / "a.csv"], ("detections.json",)),
        (["export", run], ("of the task detection", "tlkit evaluate")),
        (["verify", run], ("of the task detection", "tlkit evaluate")),
    ):
        code, said = cli(*command)
        assert code == 2, command
        assert says(said, *words), command
    code, said = cli("evaluate", run, "--details")
    assert code == 0
    assert [word for word in ("AP75", "localization", "disc") if word not in said] == []
    assert cli("audit", run, "--by", "object_size")[0] == 0
    code, said = cli("slices", run, "--clusters", "0")
    assert code == 0, said
    assert "share of missed objects" in said
    with pytest.raises(RunError, match="task detection"):
        trained.predictions()


def test_a_run_is_compared_with_itself_with_cocos_file_and_by_gates(trained, tmp_path, cli):
    run, parquet = trained.path, trained.directory.predictions("test")
    _, detections = trained.directory.boxes("test")
    for other in (run, detections, parquet):
        code, said = cli("compare", run, other, "--by", "light", "--details")
        assert code == 0, said
        assert says(said, "AP", "not distinguishable", "class")
    with pytest.raises(PredictionsError, match=r"object_size groups objects"):
        trained.task_compare(trained, by=["object_size"])
    found = trained.task_compare(read_boxes(parquet))
    value = trained.task_evaluation("test").average_precision.value
    assert (found.main.first, found.main.second) == (pytest.approx(value), pytest.approx(value))
    (tmp_path / "gates.yaml").write_text(
        "gates_version: 1\nmin_group_size: 1\nlimits: [{by: light, metric: recall, at_least: 0}]\n"
        f"no_worse_than: {{baseline: {run}, margin: 0.01}}\n"
    )
    code, said = cli("audit", run, "--gate", tmp_path / "gates.yaml")
    assert code == 3, said  # so few objects decide nothing
    assert [word for word in ("AP no worse than", "✓ PASS", "recall of disc at least 0") if word not in said] == []
    code, said = cli("compare", run, detections, run, "--metric", "recall:disc")
    assert code == 0, said
    assert "recall of disc" in said


@pytest.mark.parametrize(
    ("file", "change", "error"),
    [
        ("model/model.json", lambda text: text.replace("faster_rcnn", "other"), ModelError),
        ("model/model.json", lambda text: text.replace('"channels": 64', '"channels": 128'), ModelError),
        ("split.csv", lambda text: text.replace("[[", "[", 1), DataError),
    ],
)
def test_damaged_files_are_refused_by_name(trained, file, change, error):
    path = trained.path / file
    before = path.read_text()
    path.write_text(change(before))
    assert path.read_text() != before
    try:
        with pytest.raises(error) as caught:
            trained.samples if file == "split.csv" else tlkit.load_model(trained.path, device="cpu")
        assert says(str(caught.value), "model" if "model" in file else "split.csv")
    finally:
        path.write_text(before)


def test_damaged_table_of_boxes_is_refused(trained, tmp_path):
    found = trained.task_predictions()
    table = found.table()
    assert read_boxes(trained.directory.predictions("test")).table().equals(table)
    file = tmp_path / "boxes.parquet"
    file.write_bytes(trained.directory.predictions("test").read_bytes()[:-40])
    with pytest.raises(PredictionsError, match=r"boxes\.parquet"):
        read_boxes(file)


@pytest.mark.series
def test_stopped_run_of_boxes_resumes_to_the_same_bits(operators, tmp_path, monkeypatch):
    images = write_box_images(tmp_path / "images", splits={"train": 6, "val": 2, "test": 2})
    given = {"strategy": "{kind: last_n, stages: 1}", "epochs": "1", "augment": "medium"}
    recipes = {name: box_recipe(tmp_path, images, name=name, **given) for name in ("whole", "cut")}
    monkeypatch.chdir(tmp_path)
    few = {"report.enabled": False, "train.checkpoint_every": 1, "data.batch_size": 2}
    whole = fit(recipes["whole"], few)
    with monkeypatch.context() as patch:
        stop_after(patch, 2)
        assert fit(recipes["cut"], few).status == "interrupted"
    resumed = fit(recipes["cut"], few, resume=True)
    assert resumed.status == "finished"
    assert model_bytes(resumed) == model_bytes(whole)
    assert resumed.task_predictions().table().equals(whole.task_predictions().table())


@pytest.mark.series
def test_boxes_are_learnt(operators, images, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = fit(box_recipe(tmp_path, images, strategy="{kind: full, layer_decay: 0.9}", epochs="12", rate="0.002"))
    assert run.task_evaluation().average_precision_50.value > 0.7
    history = run.history
    assert history["val_loss"].iloc[-1] < history["val_loss"].iloc[0] / 2


def test_missing_operators_are_refused_before_the_images_are_read(tmp_path, monkeypatch, cli):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("torchvision.extension._has_ops", lambda: False)
    assert operator_problem()
    recipe = box_recipe(tmp_path, tmp_path / "none")
    code, said = cli("fit", recipe)
    assert code == 2
    assert says(said, "task: detection needs", "compiled operators do not load", "Install wheels")
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"data": ", resize: crop"}, ("data.resize is crop", "letterbox or squash")),
        ({"data": ", manifest: a.csv"}, ("data.boxes and data.manifest both", "Remove one")),
        ({"strategy": "{kind: frozen, head: logistic}"}, ("strategy.head is logistic", "head: linear")),
        ({"train": ", mixup: 0.2"}, ("train.mixup", "boxes")),
        ({"train": ", model_soup_size: 2"}, ("train.model_soup_size", "task: detection")),
        ({"train": ", parallel: fsdp"}, ("train.parallel is fsdp", "Use ddp")),
        ({"train": ", mask_loss: dice"}, ("train.mask_loss", "task: segmentation")),
        ({"data": ", decode: reduced"}, ("data.decode", "task: detection")),
    ],
)
def test_keys_that_do_not_apply_are_refused(tmp_path, given, words):
    with pytest.raises(RecipeError) as caught:
        load_recipe(box_recipe(tmp_path, tmp_path, **given))
    assert saying(*words) == str(caught.value)


def test_file_of_boxes_must_be_stated_and_belongs_to_detection(tmp_path):
    text = box_recipe(tmp_path, tmp_path).read_text()
    for change, words in (
        ((f" boxes: {tmp_path}/instances.json,", ""), ("data.boxes is missing", "COCO")),
        (("task: detection", "task: ordinal"), ("data.boxes", "task: detection")),
    ):
        (tmp_path / "other.yaml").write_text(text.replace(*change))
        with pytest.raises(RecipeError) as caught:
            load_recipe(tmp_path / "other.yaml")
        assert says(str(caught.value), *words)


def test_a_split_without_objects_is_refused(operators, tmp_path, monkeypatch):
    root = write_box_images(tmp_path / "images")
    values = json.loads((root / "instances.json").read_text())
    empty = {one["id"] for one in values["images"] if one["file_name"].startswith("val/")}
    values["annotations"] = [one for one in values["annotations"] if one["image_id"] not in empty]
    (root / "instances.json").write_text(json.dumps(values))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=r"images of val have no boxes.*change data.val, or the seed"):
        fit(box_recipe(tmp_path, root))


def test_size_of_objects_alone_may_be_audited(images, tmp_path):
    text = box_recipe(tmp_path, images).read_text().replace("groups: [light], ", "")
    (tmp_path / "sizes.yaml").write_text(text.replace("by: [light, object_size]", "by: [object_size]"))
    recipe = load_recipe(tmp_path / "sizes.yaml")
    assert load_dataset(recipe).samples.group_columns == ()


def test_one_class_of_boxes_is_enough(tmp_path):
    backbone = tlkit.Classifier(
        "test_resnet", classes=["face"], weights="none", task="detection", decoder={**_decoder(), "channels": 64}
    )
    assert (backbone.preprocess.resize, backbone.preprocess.crop_pct) == ("letterbox", 1.0)
    assert backbone.facts().preprocess == backbone.preprocess
    assert backbone.facts().decoder == {"kind": "faster_rcnn", "channels": 64}
    assert np.array(backbone.network.head.roi_heads.box_predictor.cls_score.weight.shape).tolist() == [2, 256]


def _decoder():
    from tlkit.models.mask_decoder import DecoderFacts

    return DecoderFacts().to_dict()
