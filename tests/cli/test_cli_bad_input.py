"""Bad input, as a user meets it: the exact message on stderr, exit code 2, no traceback, nothing lost."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pytest

from tlkit.cli.app import main

RECIPE = """\
recipe_version: 1
name: tiny
data: {root: photos, batch_size: 4, num_workers: 0, image_size: 32}
augment: none
model: {name: test_resnet, weights: none}
strategy: full
train: {epochs: 1}
report: {enabled: false}
"""
Command = Callable[..., tuple[int, str]]


@pytest.fixture
def tlkit(tmp_path, monkeypatch, capsys) -> Command:
    """Run the command line in this process; return its exit code and what it wrote to stderr."""
    monkeypatch.chdir(tmp_path)
    Path("tiny.yaml").write_text(RECIPE)

    def run(*arguments: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["tlkit", *arguments])
        with pytest.raises(SystemExit) as stop:
            main()
        return int(stop.value.code or 0), capsys.readouterr().err

    return run


def errors(output: str) -> list[str]:
    return [line.removeprefix("error: ") for line in output.splitlines() if line.startswith("error: ")]


def refused(outcome: tuple[int, str]) -> list[str]:
    code, output = outcome
    assert code == 2
    assert "Traceback" not in output
    assert not Path("runs").exists()
    return errors(output)


def test_images_named_before_the_run_are_told_apart_from_it(tlkit, image_folder):
    image_folder("photos", **{"": 2})
    Path("done").mkdir()
    Path("done/run.json").write_text("{}")
    assert refused(tlkit("predict", "photos", "done")) == [
        "photos is not a run of tlkit, but done is one. Name the run first: tlkit predict done photos."
    ]


def test_a_folder_that_is_not_there(tlkit, image_folder):
    image_folder("photo", **{"": 8})
    assert refused(tlkit("fit", "tiny.yaml")) == [
        "The folder photos does not exist. There is no 'photos' in the working directory. Did you mean 'photo'?"
    ]


def test_an_empty_folder(tlkit):
    Path("photos").mkdir()
    assert refused(tlkit("fit", "tiny.yaml")) == [
        "photos holds no images in class folders. tlkit looks for CLASS/image.jpg or train/CLASS/image.jpg, with the "
        "endings .jpg, .jpeg, .jpe, .jfif, .png, .gif, .bmp, .webp, .tif, .tiff, .ppm, .pgm, .pbm, .pnm, .avif."
    ]


def test_one_class_only(tlkit, image_folder):
    image_folder("photos", classes=("red",), **{"": 8})
    assert refused(tlkit("fit", "tiny.yaml")) == [
        "photos has only one class, 'red'; a classifier needs at least two. Give each class a folder of its own."
    ]


def test_a_class_without_images_in_a_split(tlkit, image_folder):
    root = image_folder("photos", train=8, val=4)
    for file in (root / "train" / "red").iterdir():
        file.unlink()
    assert refused(tlkit("fit", "tiny.yaml")) == [
        "The class 'red' has images in val/ (4), but none in train/. Add training images, or remove the class from the "
        "other splits."
    ]


def test_three_mistakes_at_once_each_with_its_line(tlkit, image_folder):
    image_folder("photos", **{"": 8})
    text = RECIPE.replace("batch_size", "batchsize").replace("epochs: 1", "epochs: none")
    Path("tiny.yaml").write_text(text.replace("augment: none", "augment: heavvy"))
    assert refused(tlkit("fit", "tiny.yaml")) == [
        "tiny.yaml:3  data.batchsize is unknown. Did you mean data.batch_size?",
        "tiny.yaml:4  augment is 'heavvy'. Use none, light, medium or heavy. Did you mean heavy?",
        "tiny.yaml:7  train.epochs is 'none'. Use a whole number of at least 1.",
    ]


def test_a_misspelt_backbone(tlkit, image_folder):
    image_folder("photos", **{"": 8})
    assert refused(tlkit("fit", "tiny.yaml", "model.name=test_resnett")) == [
        f"model.name is 'test_resnett', which timm {version('timm')} does not have. Did you mean 'test_resnet' or "
        "'test_nfnet' or 'seresnet50t'? `tlkit models PATTERN` lists the names."
    ]


def test_a_group_column_that_is_not_there(tlkit, image_folder):
    root = image_folder("photos", **{"": 8})
    (root / "meta.csv").write_text("path,kamera\nblue/000.png,old\n")
    assert refused(tlkit("fit", "tiny.yaml", "data.metadata=meta.csv", "data.groups=[camera]")) == [
        "photos/meta.csv has no column 'camera'. It has path, kamera. Did you mean 'kamera'?"
    ]


def test_rows_that_do_not_sum_to_one(tlkit):
    Path("p.csv").write_text("path,y_true,y_pred,proba_a,proba_b\nx,a,a,0.9,0.3\ny,b,b,0.5,0.5\n")
    assert refused(tlkit("evaluate", "p.csv")) == [
        "p.csv: the rows of proba must sum to one, but 1 of 2 do not: x (sum 1.2). They look like independent scores, "
        "one per class: divide each row by its sum, or leave the probabilities out."
    ]


def test_a_run_directory_that_exists(tlkit, image_folder):
    image_folder("photos", **{"": 8})
    assert tlkit("fit", "tiny.yaml")[0] == 0
    before = sorted((path, path.stat().st_mtime_ns) for path in Path("runs").rglob("*") if path.is_file())
    code, output = tlkit("fit", "tiny.yaml")
    assert (code, errors(output)) == (
        2,
        ["runs/tiny holds a finished run. Use --overwrite to replace it, or name=OTHER for a new one."],
    )
    assert sorted((path, path.stat().st_mtime_ns) for path in Path("runs").rglob("*") if path.is_file()) == before


def test_a_corrupt_image_is_named_and_set_aside(tlkit, image_folder):
    root = image_folder("photos", **{"": 8})
    (root / "red" / "003.png").write_bytes((root / "red" / "003.png").read_bytes()[:200])
    code, output = tlkit("fit", "tiny.yaml")
    assert code == 0
    assert "Set aside 1 of 16 images that cannot be read: red/003.png (the PNG file is truncated).\n" in output


@pytest.mark.parametrize("verb", [("data", "labels"), ("features", "curve")])
def test_a_head_that_does_not_exist_is_refused_before_anything_is_read(tlkit, verb):
    code, said = tlkit(*verb, "runs/there_is_none", "--head", "logistics")
    assert code == 2
    assert "'logistics' is not one of 'logistic'" in " ".join(said.replace("│", " ").split())
