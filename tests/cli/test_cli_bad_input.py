"""Bad input on the command line: the message on stderr, exit code 2, no traceback, no file changed."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pytest
from command import process
from messages import saying, says

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
def tlkit(run) -> Command:
    """Run the command line in this process; return its exit code and what it wrote to stderr."""
    Path("tiny.yaml").write_text(RECIPE)

    def tlkit(*arguments: str) -> tuple[int, str]:
        done = run(*arguments)
        return done.returncode, done.stderr

    return tlkit


def errors(output: str) -> list[str]:
    return [line.removeprefix("error: ") for line in output.splitlines() if line.startswith("error: ")]


def refused(outcome: tuple[int, str]) -> list[str]:
    code, output = outcome
    assert code == 2
    assert "Traceback" not in output
    assert not Path("runs").exists()
    return errors(output)


def test_images_named_before_the_run_are_reported(tlkit, image_folder):
    image_folder("photos", **{"": 2})
    Path("done").mkdir()
    Path("done/run.json").write_text("{}")
    assert refused(tlkit("predict", "photos", "done")) == [saying("photos", "tlkit", "predict")]


@pytest.mark.parametrize(
    ("folder", "classes", "said"),
    [
        ("photo", ("blue", "red"), saying("'photos'", "'photo'")),
        ("photos/deep/er", (), saying("photos", "CLASS/image.jpg", "train/CLASS/image.jpg")),
        ("photos", ("red",), saying("'red'", "photos", "classifier")),
    ],
)
def test_a_missing_an_empty_and_a_folder_of_one_class(tlkit, image_folder, folder, classes, said):
    Path(folder).mkdir(parents=True)
    image_folder(folder, classes=classes, **{"": 8})
    assert refused(tlkit("fit", "tiny.yaml")) == [said]


def test_a_class_without_images_in_a_split(tlkit, image_folder):
    root = image_folder("photos", train=8, val=4)
    for file in (root / "train" / "red").iterdir():
        file.unlink()
    assert refused(tlkit("fit", "tiny.yaml")) == [saying("'red'", "4", "training")]


def test_three_mistakes_at_once_each_with_its_line(tlkit, image_folder):
    image_folder("photos", **{"": 8})
    text = RECIPE.replace("batch_size", "batchsize").replace("epochs: 1", "epochs: none")
    Path("tiny.yaml").write_text(text.replace("augment: none", "augment: heavvy"))
    assert refused(tlkit("fit", "tiny.yaml")) == [
        saying("tiny.yaml:3", "data.batchsize", "data.batch_size"),
        saying("tiny.yaml:4", "augment", "'heavvy'", "none", "heavy"),
        saying("tiny.yaml:7", "train.epochs", "'none'", "1"),
    ]


def test_a_misspelled_backbone(tlkit, image_folder):
    image_folder("photos", **{"": 8})
    said = saying("model.name", "'test_resnett'", version("timm"), "'test_resnet'", "tlkit models PATTERN")
    assert refused(tlkit("fit", "tiny.yaml", "model.name=test_resnett")) == [said]


def test_a_missing_group_column(tlkit, image_folder):
    root = image_folder("photos", **{"": 8})
    (root / "meta.csv").write_text("path,kamera\nblue/000.png,old\n")
    assert refused(tlkit("fit", "tiny.yaml", "data.metadata=meta.csv", "data.groups=[camera]")) == [
        saying("photos/meta.csv", "'camera'", "'kamera'")
    ]


def test_rows_that_do_not_sum_to_one(tlkit):
    Path("p.csv").write_text("path,y_true,y_pred,proba_a,proba_b\nx,a,a,0.9,0.3\ny,b,b,0.5,0.5\n")
    assert refused(tlkit("evaluate", "p.csv")) == [saying("p.csv", "1", "2", "1.2")]


def test_a_run_directory_that_exists(tlkit, image_folder):
    image_folder("photos", **{"": 8})
    assert tlkit("fit", "tiny.yaml")[0] == 0
    before = sorted((path, path.stat().st_mtime_ns) for path in Path("runs").rglob("*") if path.is_file())
    code, output = tlkit("fit", "tiny.yaml")
    assert (code, errors(output)) == (2, [saying("runs/tiny", "--overwrite", "name=OTHER")])
    assert sorted((path, path.stat().st_mtime_ns) for path in Path("runs").rglob("*") if path.is_file()) == before


def test_a_corrupt_image_is_named_and_excluded(tlkit, image_folder):
    root = image_folder("photos", **{"": 8})
    (root / "red" / "003.png").write_bytes((root / "red" / "003.png").read_bytes()[:200])
    code, output = tlkit("fit", "tiny.yaml")
    assert code == 0
    assert says(output, "1 of 16", "red/003.png", "truncated")


@pytest.mark.parametrize("verb", [("data", "labels"), ("learning-curve",)])
def test_a_head_that_does_not_exist_is_refused_before_anything_is_read(tlkit, verb):
    code, said = tlkit(*verb, "runs/there_is_none", "--head", "logistics")
    assert code == 2
    assert says(" ".join(said.replace("│", " ").split()), "'logistics'", "'logistic'")


@pytest.mark.parametrize("arguments", [["data", "summary", "photos"], ["data", "sample", "digits", "out"]])
def test_a_deleted_working_folder_is_named(tmp_path, arguments):
    (tmp_path / "gone").mkdir()
    code = "import os; os.rmdir(os.getcwd()); from tlkit.cli.app import main; main()"
    done = process(*arguments, cwd=tmp_path / "gone", code=code)
    assert done.returncode == 2
    assert says(done.stderr, "working folder", "deleted", "Change")
    assert "a file:" not in done.stderr


@pytest.mark.parametrize(("options", "expected"), [([], "--sheet"), (["--sheet", "s.svg"], "no folder")])
def test_a_folder_of_images_that_is_not_used_or_none_is_refused(tlkit, options, expected):
    Path("p.csv").write_text("path,y_true,y_pred\na.png,a,b\nb.png,b,b\n")
    code, said = tlkit("errors", "p.csv", "--root", "missing", *options)
    assert (code, says(said, "--root", "missing", expected)) == (2, True)
    assert not Path("s.svg").exists()
