"""`tlkit zero-shot`: predictions that the judging commands read, a stored model, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from image_text_models import TIMM, write_model
from messages import says

pytest.importorskip("open_clip")


@pytest.fixture
def photos(image_folder, tmp_path) -> Path:
    (tmp_path / "classes.txt").write_text("blue = sky\nred = blood\n")
    (tmp_path / "synonyms.txt").write_text("blue = navy\n")
    return image_folder("photos", **{"": 24})


def test_the_predictions_are_evaluated_audited_and_compared(run, photos, tmp_path):
    write_model(tmp_path / "one", seed=1)
    write_model(tmp_path / "two", seed=2)
    files = sorted(photos.rglob("*.png"))
    rows = "".join(f"{file.parent.name}/{file.name},{int(file.stem) % 2}\n" for file in files)
    (tmp_path / "groups.csv").write_text("path,light\n" + rows)
    common = ("zero-shot", "classes.txt", "photos", "--device", "cpu")
    done = run(*common, "--model", "one", "--synonyms", "synonyms.txt", "--out", "one.csv")
    assert done.returncode == 0 and says(done.stdout, "of 48 images are right"), done.stderr
    assert says(done.stdout, "navy", "one.csv")
    assert run(*common, "--model", "two", "--out", "two.parquet").returncode == 0
    table = pd.read_csv(tmp_path / "one.csv")
    right = (table["y_true"] == table["y_pred"]).mean()
    evaluation = json.loads(run("evaluate", "one.csv", "--json").stdout)
    assert evaluation["n"] == 48 and evaluation["accuracy"]["value"] == pytest.approx(right)
    audit = run("audit", "one.csv", "--groups", "groups.csv", "--by", "light", "--json")
    assert json.loads(audit.stdout)["images"] == 48
    assert run("compare", "one.csv", "two.parquet").returncode == 0
    report = json.loads(run(*common, "--model", "one", "--json").stdout)
    assert report["accuracy"]["value"] == pytest.approx(right) and len(report["digest"]) == 64


def test_lists_of_another_tool_state_their_folder_and_columns_for_val_too(run, photos, tmp_path):
    write_model(tmp_path / "clip")
    (tmp_path / "lists").mkdir()
    files = sorted(photos.rglob("*.png"))
    for name, some in (("judged", files[::2]), ("known", files[1::2])):
        rows = [(file.relative_to(photos).as_posix(), file.parent.name) for file in some]
        pd.DataFrame(rows, columns=["image", "word"]).to_csv(tmp_path / "lists" / f"{name}.csv", index=False)
    common = ("zero-shot", "classes.txt", "lists/judged.csv", "--model", "clip", "--device", "cpu")
    named = ("--root", "photos", "--column", "path=image", "--column", "label=word", "--val", "lists/known.csv")
    done = run(*common, *named, "--out", "p.csv")
    assert done.returncode == 0, done.stderr
    found = pd.read_csv(tmp_path / "p.csv")
    assert found["y_true"].tolist() == [file.parent.name for file in files[::2]]


def test_a_stored_model_is_predicted_with(run, photos, tmp_path):
    write_model(tmp_path / "clip", vision=TIMM)
    done = run(
        "zero-shot", "classes.txt", "photos", "--model", "clip", "--store", "kept", "--device", "cpu", "--out", "z.csv"
    )
    assert done.returncode == 0, done.stderr
    assert run("predict", "kept", "photos", "--out", "p.csv").returncode == 0
    zero, stored = pd.read_csv(tmp_path / "z.csv"), pd.read_csv(tmp_path / "p.csv")
    assert list(zero["y_pred"]) == list(stored["y_pred"])


def test_what_does_not_fit_is_refused(run, photos, tmp_path):
    write_model(tmp_path / "clip")
    (tmp_path / "wrong.txt").write_text("blue\nscarlet\n")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").write_text("mine")
    model = ("--model", "clip", "--device", "cpu")
    for arguments, words in (
        (("clases.txt", "photos", *model), ["classes.txt"]),
        (("classes.txt", "fotos", *model), ["fotos"]),
        (("classes.txt", "photos", "--model", "no-such"), ["no-such", "hf-hub:"]),
        (("classes.txt", "photos", *model, "--out", "p.xls"), [".csv"]),
        (("classes.txt", "photos", *model, "--templates", "simpel"), ["simple"]),
        (("classes.txt", "photos", *model, "--synonyms", "wrong.txt"), ["scarlet"]),
        (("classes.txt", "photos", *model, "--class", "blue"), ["LABEL=CLASS"]),
        (("wrong.txt", "photos", *model), ["'red'", "--class red=NAME"]),
        (("classes.txt", "photos", *model, "--split", "nope"), ["nope"]),
        (("classes.txt", "photos", *model, "--val", "photos"), ["48 images of val"]),
        (("classes.txt", "photos", *model, "--root", "photos"), ["root"]),
        (("classes.txt", "photos", *model, "--column", "path=image"), ["--column", "list"]),
        (("classes.txt", "photos", *model, "--store", "full"), ["full", "exists"]),
    ):
        refused = run("zero-shot", *arguments)
        assert refused.returncode == 2 and says(refused.stderr, *words), (arguments, refused.stderr)
    assert (tmp_path / "full" / "x").read_text() == "mine"
