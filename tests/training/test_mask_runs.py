"""Runs of segmentation, from recipe to report."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import timm
import torch
from kill_runs import model_bytes, stop_after
from mask_images import CLASSES, mask_recipe, write_mask_images
from messages import saying
from PIL import Image
from run_fixtures import working_in
from safetensors.torch import load_file, save_file

import tlkit
from tlkit.audit import audit_masks
from tlkit.errors import DataError, RecipeError, RunError
from tlkit.evaluation import evaluate_masks
from tlkit.mask_classes import MaskClasses
from tlkit.mask_files import read_mask
from tlkit.predictions import MaskPredictions, read_mask_folders, read_masks
from tlkit.predictions.mask_predictions import PixelCounts
from tlkit.recipe import load_recipe
from tlkit.runs.run import open_run
from tlkit.runs.run_options import options_of_run
from tlkit.runs.task_pages import task_contents
from tlkit.sweeps.fit_trial import val_digest
from tlkit.training.fit import fit
from tlkit.training.tracked_task import track_task, track_task_report

pytest.importorskip("segmentation_models_pytorch")


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    return write_mask_images(tmp_path_factory.mktemp("images"))


@pytest.fixture(scope="module")
def trained(images, tmp_path_factory):
    """Return a run that has learnt the masks."""
    folder = tmp_path_factory.mktemp("runs")
    given = {"model": ", decoder: fpn, decoder_channels: 64", "augment": "light", "audit": ", cluster_by: scene"}
    with working_in(folder):
        run = fit(mask_recipe(folder, images, strategy="full", epochs="12", rate="0.01", **given))
    return open_run(folder / run.path)


def test_masks_are_learnt_predicted_judged_and_reported(trained):
    found = read_masks(trained.directory.predictions("test"))
    assert (trained.task, found.classes, len(found)) == ("segmentation", CLASSES, 16)
    result = trained.task_evaluation()
    assert result == evaluate_masks(found, cluster_by="scene")
    assert result.mean_iou.value > 0.5
    assert trained.get_task_audit() == audit_masks(found, options_of_run(trained))
    history = trained.history
    assert history["val_loss"].iloc[-1] < history["val_loss"].iloc[0]
    assert history["val_iou"].max() > 0.5
    page = trained.directory.report.read_text(encoding="utf-8")
    assert all(word in page for word in ("mIoU", "Worst masks", "truth", "prediction", "disc", "Audit across groups"))
    assert "Chosen on val" not in page
    card = trained.card().read_text(encoding="utf-8")
    assert all(word in card for word in ("image-segmentation", "mean_iou", "mIoU", "square"))


def test_stored_masks_are_those_that_were_judged_and_have_the_size_of_their_images(trained, tmp_path):
    root, masks = trained.samples.root, trained.directory.masks
    assert len(list(masks.rglob("*.png"))) == 28  # test and val
    again = read_mask_folders(masks / "test", root / "masks" / "test", MaskClasses.of(CLASSES))
    stored = trained.task_predictions("test")
    assert [f"test/{path}" for path in again.path] == stored.path.tolist()
    assert np.array_equal(again.counts.rows, stored.counts.rows)


def test_loaded_model_predicts_the_stored_masks_at_the_size_of_any_image(trained, tmp_path):
    model = tlkit.load_model(trained.path, device="cpu")
    file = trained.samples.root / "test" / "003.png"
    (mask,) = model.predict(file)
    stored = read_mask((trained.directory.masks / "test" / "003.png").read_bytes())
    assert np.array_equal(mask.numbers, stored)
    with Image.open(file) as image:
        image.resize((151, 97)).save(tmp_path / "wide.png")
    (wide,) = model.predict(tmp_path / "wide.png")
    assert wide.positions.shape == (97, 151)
    seen = []
    (tmp_path / "broken.png").write_bytes(b"no image")
    assert len(model.predict([tmp_path / "wide.png", tmp_path / "broken.png"], on_unreadable=seen.append)) == 1
    assert seen[0].path.endswith("broken.png")
    with pytest.raises(DataError, match="tta 'flip' is not for masks"):
        model.predict(file, tta="flip")


def test_report_is_written_again_from_the_files_and_shows_the_worst_images_first(trained):
    before = trained.directory.report.read_bytes()
    assert trained.report().read_bytes() == before
    worst = task_contents(trained).worst
    means = np.nanmean(trained.task_predictions("test").image_iou, axis=1)
    assert [one.iou for one in worst] == pytest.approx(sorted(means))
    assert [name for name, _ in worst[0].views] == ["image", "truth", "prediction"]


def test_questions_about_classes_of_images_are_refused(trained):
    for question in (trained.predictions, trained.evaluation, lambda: trained.audit(by="light")):
        with pytest.raises(RunError, match=r"task segmentation.*tlkit evaluate"):
            question()


def test_trackers_get_figures_and_classes_but_no_images_and_groups(trained, tmp_path):
    class Recorder:
        def __init__(self):
            self.summary, self.tables, self.reports = {}, {}, []

        def log_summary(self, values):
            self.summary |= values

        def log_table(self, table, *, name):
            self.tables[name] = table

        def log_report(self, page):
            self.reports.append(page)

        def alert(self, title, text):
            pass

    sent = Recorder()
    results = trained.task_predictions("test"), trained.task_evaluation("test"), trained.get_task_audit("test")
    track_task(sent, "test", *results, log_audit=False)
    assert sent.summary["test/mean_iou"] == results[1].mean_iou.value
    assert len(sent.tables["test/per_class"]) == 3
    assert not {"light", "scene"} & set(sent.tables["test/predictions"].columns)
    track_task_report(sent, tmp_path, task_contents(trained))
    page = sent.reports[0].read_text(encoding="utf-8")
    assert "mIoU" in page
    assert "Worst masks" not in page


def test_trials_of_a_sweep_are_compared_where_their_true_masks_are_the_same(trained, tmp_path):
    table, digest = trained.task_predictions("val"), val_digest(trained.path)
    copied = tmp_path / "copy"
    shutil.copytree(trained.path, copied)
    other = copied / "predictions" / "val.parquet"
    table.take(np.arange(len(table))[::-1]).to_parquet(other)
    assert val_digest(copied) == digest
    table.take(np.arange(len(table) - 1)).to_parquet(other)
    assert val_digest(copied) != digest
    rows = table.counts.rows
    rows[0, 3] += 1
    replace(table, counts=PixelCounts.of_rows(rows)).to_parquet(other)
    assert val_digest(copied) != digest


@pytest.mark.series
def test_stopped_run_of_masks_resumes_to_the_same_bits(images, tmp_path, monkeypatch):
    given = {"strategy": "{kind: last_n, stages: 1}", "epochs": "2", "augment": "medium"}
    given["model"] = ", decoder: deeplabv3plus, decoder_channels: 64"
    recipes = {name: mask_recipe(tmp_path, images, name=name, **given) for name in ("whole", "cut")}
    monkeypatch.chdir(tmp_path)
    whole = fit(recipes["whole"])
    with monkeypatch.context() as patch:
        stop_after(patch, 4)
        assert fit(recipes["cut"]).status == "interrupted"
    resumed = fit(recipes["cut"], resume=True)
    assert resumed.status == "finished"
    assert model_bytes(resumed) == model_bytes(whole)
    for split in ("val", "test"):
        assert resumed.task_predictions(split) == whole.task_predictions(split)


def test_frozen_run_keeps_the_encoder_and_its_statistics_to_the_bit(images, tmp_path, monkeypatch):
    module = timm.create_model("test_resnet")
    for name, buffer in module.named_buffers():
        if name.endswith("running_mean"):
            buffer.normal_()  # unlike those of any batch
    save_file(module.state_dict(), tmp_path / "own.safetensors")
    monkeypatch.chdir(tmp_path)
    recipe = mask_recipe(tmp_path, images, epochs="1", augment="light")
    run = fit(recipe, {"model.weights": f"file:{tmp_path / 'own.safetensors'}", "report.enabled": False})
    stored, own = load_file(run.directory.model / "model.safetensors"), module.state_dict()
    encoder = {name: tensor for name, tensor in stored.items() if name.startswith("backbone.")}
    assert len(encoder) > 50
    assert all(
        torch.equal(tensor, own[name.removeprefix("backbone.encoder.model.")]) for name, tensor in encoder.items()
    )


def test_batches_of_one_image_are_refused(images, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RecipeError, match=r"one image.*data.batch_size of 2 or more, or more images"):
        fit(mask_recipe(tmp_path, images), {"data.batch_size": 1})


@pytest.mark.series
def test_shuffled_masks_are_learnt_no_better_than_chance(tmp_path, monkeypatch):
    root = write_mask_images(tmp_path / "images", shuffled=True)
    monkeypatch.chdir(tmp_path)
    given = {"model": ", decoder: fpn, decoder_channels: 64", "strategy": "full", "epochs": "12", "rate": "0.01"}
    run = fit(mask_recipe(tmp_path, root, **given))
    found = run.task_evaluation()
    samples = run.samples.split("test")
    share = samples.pixel_counts[:, 0].sum() / samples.pixel_counts.sum()
    assert found.mean_iou.value < (share + 0.15) / 3 + 0.1
    assert isinstance(run.task_predictions(), MaskPredictions)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"data": ", resize: crop"}, ("data.resize is crop", "letterbox or squash")),
        ({"data": ", decode: reduced"}, ("data.decode", "task: segmentation")),
        ({"strategy": "{kind: frozen, head: logistic}"}, ("strategy.head is logistic", "head: linear")),
        ({"train": ", class_weights: balanced"}, ("train.class_weights", "task: segmentation")),
        ({"train": ", monitor: val_accuracy"}, ("train.monitor", "task: segmentation")),
        ({"train": ", cutmix: 1.0"}, ("train.cutmix", "masks")),
        ({"train": ", number_loss: mse"}, ("train.number_loss", "task: regression")),
        ({"model": ", drop_rate: 0.2"}, ("model.drop_rate", "task: segmentation")),
        ({"model": ", decoder_channels: 100"}, ("decoder_channels is 100", "multiple of 64")),
        ({"audit": ", criteria: [equalized_odds]"}, ("audit.criteria", "task: segmentation")),
    ],
)
def test_keys_that_do_not_apply_are_refused(tmp_path, given, words):
    with pytest.raises(RecipeError) as caught:
        load_recipe(mask_recipe(tmp_path, tmp_path, **given))
    assert saying(*words) == str(caught.value)


def test_masks_and_their_classes_must_be_stated(tmp_path):
    text = mask_recipe(tmp_path, tmp_path).read_text()
    for line, words in (
        (f"masks: {tmp_path}/masks, ", ("data.masks is missing", "data.manifest")),
        ("mask_classes: [background, disc, square], ", ("data.mask_classes", "[background, cat]")),
    ):
        assert line in text
        (tmp_path / "less.yaml").write_text(text.replace(line, ""))
        with pytest.raises(RecipeError) as caught:
            load_recipe(tmp_path / "less.yaml")
        assert saying(*words) == str(caught.value)


def test_a_missing_library_is_named_with_its_extra_before_images_are_read(tmp_path, monkeypatch):
    monkeypatch.setattr("tlkit.preflight.recipe_dataset.find_spec", lambda name: None)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(tlkit.TlkitError, match=r'pip install "tlkit\[seg\]"'):
        fit(mask_recipe(tmp_path, tmp_path / "none"))


def test_stored_recipe_and_model_say_what_masks_hold(trained):
    facts = json.loads((trained.directory.model / "model.json").read_text())
    assert facts["decoder"] == {"kind": "fpn", "channels": 64, "values": [0, 1, 2], "void": None}
    assert "loss" not in trained.directory.recipe.read_text().split("train:")[1].split("mask_loss")[0].split()
