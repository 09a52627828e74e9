"""Folders of masks of any tool, judged on the command line without torch."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from mask_images import CLASSES, mask_recipe, write_mask_images
from messages import saying
from run_fixtures import working_in

from tlkit.evaluation import evaluate_masks
from tlkit.inference.export.export_run import export_run
from tlkit.mask_classes import MaskClasses
from tlkit.mask_files import PredictedMask, mask_png, read_mask
from tlkit.predictions import read_mask_folders
from tlkit.training.fit import fit


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    where, rng, rows = tmp_path_factory.mktemp("masks"), np.random.default_rng(0), []
    for number in range(40):
        true = rng.integers(0, 2, (10, 12)).astype(np.uint8) * 255
        right = 0.9 if number % 2 else 0.5
        called = np.where(rng.random(true.shape) < right, true, 255 - true)
        for name, mask in (("true", true), ("called", called)):
            (where / name).mkdir(exist_ok=True)
            (where / name / f"{number}.png").write_bytes(mask_png(mask))
        rows.append((f"{number}.jpg", "day" if number % 2 else "night"))
    pd.DataFrame(rows, columns=["path", "light"]).assign(path=lambda t: t["path"].str.replace("jpg", "png")).to_csv(
        where / "groups.csv", index=False
    )
    return where


GIVEN = ("--task", "segmentation", "--classes", "back=0,front=255")


def test_folders_are_evaluated_and_audited(folder, run):
    words = (folder / "called", *GIVEN, "--truth", folder / "true")
    found = read_mask_folders(folder / "called", folder / "true", MaskClasses.of({"back": 0, "front": 255}))
    values = json.loads(run("evaluate", *words, "--json").stdout)
    assert values["task"] == "segmentation"
    assert values["mean_iou"]["value"] == pytest.approx(evaluate_masks(found).mean_iou.value)
    assert saying("mIoU", "pixel accuracy", "front") == run("evaluate", *words, "--details").stdout
    done = run("audit", *words, "--groups", folder / "groups.csv", "--by", "light")
    assert (done.returncode, saying("FAIL", "IoU of front", "night")) == (0, done.stdout)


def test_folders_are_compared_image_by_image_and_gated(folder, run, tmp_path):
    rng, better = np.random.default_rng(1), tmp_path / "better"
    better.mkdir()
    for file in sorted((folder / "called").glob("*.png")):
        true, called = (read_mask((folder / name / file.name).read_bytes()) for name in ("true", "called"))
        (better / file.name).write_bytes(mask_png(np.where(rng.random(true.shape) < 0.5, true, called)))
    words = (*GIVEN, "--truth", folder / "true", "--groups", folder / "groups.csv")
    done = run("compare", folder / "called", better, *words, "--by", "light", "--json")
    values = json.loads(done.stdout)
    classes = MaskClasses.of({"back": 0, "front": 255})
    figures = [evaluate_masks(read_mask_folders(one, folder / "true", classes)) for one in (folder / "called", better)]
    (main, *_), rows = values["rows"], {(row["by"], row["name"]): row for row in values["rows"]}
    assert (main["first"], main["second"]) == tuple(pytest.approx(one.mean_iou.value) for one in figures)
    assert (main["change"], rows["(class)", "front"]["change"], rows["light", "night"]["n"]) == ("better", "better", 20)
    done = run("compare", folder / "called", better, *words, "--metric", "dice:front")
    assert (done.returncode, saying("Dice of front", "better")) == (0, done.stdout)
    done = run("compare", folder / "called", better, *GIVEN)
    assert (done.returncode, saying("--truth FOLDER")) == (2, done.stderr)
    (tmp_path / "gates.yaml").write_text(
        "gates_version: 1\nlimits: [{by: light, metric: iou, class_name: front, at_least: 0.6}]\n"
    )
    done = run("audit", folder / "called", *words, "--by", "light", "--gate", tmp_path / "gates.yaml")
    assert (done.returncode, saying("IoU of front", "night", "FAIL")) == (1, done.stdout)


def test_options_that_do_not_apply_or_are_missing_are_named(folder, run):
    done = run("evaluate", folder / "called", "--task", "segmentation")
    assert (done.returncode, saying("--truth FOLDER --classes NAMES")) == (2, done.stderr)
    words = (folder / "called", *GIVEN, "--truth", folder / "true", "--grades", "a,b", "--val", folder / "true")
    done = run("evaluate", *words)
    assert (done.returncode, saying("--grades", "--val", "does not apply")) == (2, done.stderr)
    done = run(
        "evaluate", folder / "called", "--task", "segmentation", "--truth", folder / "true", "--classes", "a=0,b"
    )
    assert (done.returncode, saying("--classes", "a=0,b")) == (2, done.stderr)
    done = run("evaluate", folder / "called", "--task", "segmentation", "--truth", folder / "true", "--classes", "a,b")
    assert (done.returncode, saying("80 masks", "255", "--void")) == (2, done.stderr)
    done = run("audit", folder / "called", *GIVEN, "--truth", folder / "true", "--by", "light")
    assert (done.returncode, saying("--groups")) == (2, done.stderr)
    done = run("evaluate", folder / "called", *GIVEN, "--truth", folder / "true", "--verbatim")
    assert (done.returncode, saying("--verbatim", "Leave it out")) == (2, done.stderr)


def test_judging_masks_loads_no_torch():
    code = (
        "import sys; from tlkit.predictions import read_mask_folders; from tlkit.evaluation import evaluate_masks; "
        "from tlkit.audit import audit_masks; sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_data_commands_take_folders_and_lists_and_say_what_is_missing(tmp_path, run):
    root = write_mask_images(tmp_path / "images")
    given = ("--task", "segmentation", "--classes", ",".join(CLASSES))
    done = run("data", "summary", root, *given, "--masks", root / "masks", "--json")
    assert json.loads(done.stdout)["pixels"]["disc"]["train"] > 0
    done = run("data", "summary", root, *given, "--masks", root / "masks")
    assert (done.returncode, saying("class of pixels", "disc", "(void)", "Shares of the pixels")) == (0, done.stdout)
    rows = [(f"{split}/000.png", f"masks/{split}/000.png", split) for split in ("train", "val")]
    pd.DataFrame(rows, columns=["path", "label", "split"]).to_csv(root / "list.csv", index=False)
    assert json.loads(run("data", "summary", root / "list.csv", *given, "--json").stdout)["images"] == 2
    (root / "masks" / "train" / "000.png").unlink()
    done = run("data", "doctor", root, *given, "--masks", root / "masks")
    assert (done.returncode, saying("without a mask", "train/000.png")) == (1, done.stdout)
    for words, parts in (
        ((root, "--task", "segmentation", "--masks", root / "masks"), ("--classes NAMES",)),
        ((root, *given), ("--masks FOLDER",)),
        ((root, "--masks", root), ("--masks", "--task segmentation")),
        ((root / "list.csv", *given, "--masks", root), ("--masks", "list.csv")),
        ((root, *given, "--masks", root / "masks", "--column", "path=image"), ("--column", "list")),
        ((root, "--task", "segmentation", "--classes", "a=0,b", "--masks", root), ("--classes", "a=0,b")),
    ):
        done = run("data", "summary", *words)
        assert (done.returncode, saying(*parts)) == (2, done.stderr)


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    """Return a folder with pictures and a run of segmentation of one epoch."""
    pytest.importorskip("segmentation_models_pytorch")
    made = tmp_path_factory.mktemp("made")
    root = write_mask_images(made / "images")
    with working_in(made):
        fit(mask_recipe(made, root, epochs="1", model=", decoder: fpn, decoder_channels: 64"))
    return made


def test_evaluate_audit_show_runs_report_and_card_take_the_run(fitted, run):
    path = fitted / "runs" / "masks"
    done = run("evaluate", path)
    assert (done.returncode, saying("mIoU", "test split", "--details")) == (0, done.stdout)
    assert json.loads(run("evaluate", path, "--split", "val", "--json").stdout)["n"] == 12
    done = run("audit", path, "--by", "light", "--tolerance", "0.1", "--details")
    assert (done.returncode, saying("light", "IoU of disc", "tolerance of 0.1")) == (0, done.stdout)
    shown = json.loads(run("show", path, "--json").stdout)
    assert shown["figures"]["mean_iou"]["value"] is not None
    assert saying("masks", "mIoU") == run("runs", fitted / "runs").stdout
    assert run("report", path).returncode == run("card", path).returncode == 0


def test_predict_writes_masks_of_the_size_of_their_images_and_names_the_unreadable(fitted, run, tmp_path):
    path, images = fitted / "runs" / "masks", fitted / "images" / "test"
    assert saying("000.png", "background") == run("predict", path, images / "000.png").stdout
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no image")
    done = run("predict", path, images, broken, "--out", tmp_path / "out")
    assert (done.returncode, saying("broken.png")) == (0, done.stdout)
    listed = pd.read_csv(tmp_path / "out" / "masks.csv")
    assert len(listed) == 17
    assert listed["error"].notna().sum() == 1
    mask = read_mask((tmp_path / "out" / "000.png").read_bytes())
    stored = read_mask((path / "predictions" / "masks" / "test" / "000.png").read_bytes())
    assert np.array_equal(mask, stored)
    done = run("predict", path, images, "--out", tmp_path / "out")
    assert (done.returncode, saying("17 images, now 16")) == (2, done.stderr)
    picture = (images / "000.png").read_bytes()
    for folder, names in (("one", ("a.png", "a.bmp")), ("two", ("x/a.png",)), ("three", ("x/a.png",))):
        for name in names:
            (tmp_path / folder / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / folder / name).write_bytes(picture)
    done = run("predict", path, tmp_path / "one", "--out", tmp_path / "none")
    assert (done.returncode, saying("a.png", "Rename")) == (2, done.stderr)
    done = run("predict", path, tmp_path / "two", tmp_path / "three", "--out", tmp_path / "none")
    assert (done.returncode, saying("a.png", "one by one")) == (2, done.stderr)
    done = run("predict", path, images, "--out", tmp_path / "out.csv")
    assert (done.returncode, saying("name a folder")) == (2, done.stderr)


class KilledError(BaseException):
    """Stands for the end of the process."""


@pytest.mark.parametrize("kind", ["run", pytest.param("file", marks=pytest.mark.series)])
def test_masks_go_on_after_a_kill_and_end_with_the_same_bytes(fitted, run, tmp_path, monkeypatch, kind):
    monkeypatch.setattr("tlkit.cli.task_run.BATCH_SIZE", 5)
    shutil.copytree(fitted / "images" / "test", tmp_path / "images")
    (tmp_path / "images" / "003.png").write_bytes(b"no image")
    model = fitted / "runs" / "masks"
    if kind == "file":
        model = next(path for path in export_run(model, images=2).files if path.name == "network.onnx")
    saved, plain = [], PredictedMask.save

    def predict(most: int | None = None) -> int:
        """Return how many masks are saved; the process ends where there would be more than `most`."""
        saved.clear()

        def save(mask, file):
            if len(saved) == most:
                raise KilledError
            plain(mask, file)
            saved.append(file)

        monkeypatch.setattr(PredictedMask, "save", save)
        if most is None:
            assert run("predict", model, tmp_path / "images", "--out", "out").returncode == 0
        else:
            with pytest.raises(KilledError):
                run("predict", model, tmp_path / "images", "--out", "out")
        return len(saved)

    written = {}
    for name, kills, left in (("whole", (), 15), ("killed", (0, 6, 3), 6)):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        assert [*map(predict, kills), predict(), predict()] == [*kills, left, 0]
        written[name] = {file.name: file.read_bytes() for file in Path("out").iterdir()}
    assert len(written["whole"]) == 17
    assert written["killed"] == written["whole"]
    other = tmp_path / "other"
    shutil.copytree(fitted / "runs" / "masks" / "model", other / "model")
    facts = other / "model" / "model.json"
    facts.write_text(facts.read_text() + "\n")
    done = run("predict", other / "model", tmp_path / "images", "--out", "out")
    assert (done.returncode, saying("out", "another model", "--out")) == (2, done.stderr)
    note = json.loads(Path("out/masks.json").read_text())
    for damaged in ({}, note | {"images": "17"}, note | {"engine": 1}, [note]):
        Path("out/masks.json").write_text(json.dumps(damaged))
        done = run("predict", model, tmp_path / "images", "--out", "out")
        assert (done.returncode, saying("masks.json", "damaged")) == (2, done.stderr)


def test_masks_below_the_folder_of_the_images_are_no_images_of_a_second_start(fitted, run, tmp_path):
    model, images = fitted / "runs" / "masks", tmp_path / "images"
    shutil.copytree(fitted / "images" / "test", images)
    out = images / "found"
    assert run("predict", model, images, "--out", out).returncode == 0
    written = {file.name: file.read_bytes() for file in out.iterdir()}
    (out / "003.png").unlink()
    done = run("predict", model, images, "--out", out)
    assert done.returncode == 0, done.stderr
    assert {file.name: file.read_bytes() for file in out.iterdir()} == written
    done = run("predict", model, images, out, "--out", out)
    assert (done.returncode, saying("16 images, now")) == (2, done.stderr)


def test_runs_are_compared_gated_and_searched_for_slices(fitted, run, tmp_path):
    path = fitted / "runs" / "masks"
    done = run("compare", path, path, "--split", "val")
    assert (done.returncode, saying("mIoU", "not distinguishable", "12 images")) == (0, done.stdout)
    done = run("compare", path, path, "--truth", fitted)
    assert (done.returncode, saying("--truth", "Leave it out")) == (2, done.stderr)
    masks = path / "predictions" / "masks" / "test"
    for more in ((), ("--task", "segmentation", "--truth", fitted / "masks", "--classes", "background,disc")):
        done = run("compare", path, masks, *more)
        assert (done.returncode, saying("folder of masks", "two folders")) == (2, done.stderr)
    gates = tmp_path / "gates.yaml"
    gates.write_text(f"gates_version: 1\nno_worse_than: {{baseline: {path}, margin: 0.01}}\n")
    done = run("audit", path, "--gate", gates)
    assert (done.returncode, saying("mIoU", "PASS")) == (0, done.stdout)
    done = run("slices", path, "--min-images", "2")
    assert (done.returncode, saying("loss of IoU")) == (0, done.stdout)
    assert (path / "slices.json").exists()


@pytest.mark.parametrize("command", ["errors RUN", "calibration RUN", "explain RUN", "push RUN --to out"])
def test_other_commands_refuse_the_run_and_say_what_takes_it(fitted, run, command):
    done = run(*(fitted / "runs" / "masks" if word == "RUN" else word for word in command.split()))
    assert (done.returncode, saying("task segmentation")) == (2, done.stderr)
    assert "Traceback" not in done.stderr
