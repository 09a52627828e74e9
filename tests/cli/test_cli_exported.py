"""Exported files on the command line: predicted in parts, evaluated, audited and compared."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from messages import says
from small_exports import CLASSES, encoded, write_small_export
from tars import write_tar

import tlkit
from tlkit.exported.labelled_predictions import predict_labelled_images
from tlkit.predictions import read_predictions
from tlkit.runs import RunDirectory


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for seed in range(11):
        (folder / f"{seed:02}.jpg").write_bytes(encoded(seed))
    return folder


def part_rows(folder: str) -> pd.DataFrame:
    return pd.concat([pd.read_parquet(file) for file in sorted(Path(folder).glob("part-*"))], ignore_index=True)


def test_shards_of_a_file_hold_the_bits_of_one_plain_prediction(run, tmp_path, photos):
    never = tlkit.load_model(write_small_export(tmp_path / "never.onnx")).predict(photos)
    limit = float(np.median(never.confidence))
    write_small_export(tmp_path / "network.onnx", answer_above=limit, wanted_risk=0.1)
    for seed in (4, 5, 6, 7):  # a whole part, so that its columns are those of none
        (photos / f"{seed:02}.jpg").write_bytes(b"no image")
    batch = ("predict", "network.onnx", "photos", "--out", "parts", "--part-size", 4)
    for shard in ("0/2", "1/2"):
        assert run(*batch, "--shard", shard).returncode == 0
    assert run("predict", "network.onnx", "photos", "--out", "plain.parquet").returncode == 0
    rows, plain = part_rows("parts"), pd.read_parquet("plain.parquet")
    assert rows["path"].tolist() == plain["path"].tolist() and rows["error"].notna().sum() == 4
    np.testing.assert_array_equal(rows.filter(like="proba_"), plain.filter(like="proba_").astype(np.float32))
    table = read_predictions("parts")
    assert (len(table), table.group_columns) == (7, ("answered",))
    assert table.groups["answered"].tolist() == plain["answered"].dropna().tolist()

    other = run(*batch[:-1], 5, "--shard", "0/1")
    assert other.returncode == 2 and says(other.stderr, "parts", "--part-size 4") and "images" not in other.stderr
    before = {file: file.stat().st_mtime_ns for file in Path("parts").iterdir()}
    again = run(*batch, "--shard", "0/1")
    assert again.returncode == 0 and {file: file.stat().st_mtime_ns for file in Path("parts").iterdir()} == before
    write_small_export(tmp_path / "network.onnx", scale=2.0)
    other = run(*batch, "--shard", "0/1")
    assert other.returncode == 2 and says(other.stderr, "parts", "another model")


def test_parts_go_into_a_folder_whose_name_has_a_point_and_a_file_is_none(run, tmp_path, photos):
    write_small_export(tmp_path / "network.onnx")
    batch = ("predict", "network.onnx", "photos", "--shard", "0/1", "--out")
    assert run(*batch, "scores-2026.12").returncode == 0
    assert len(read_predictions("scores-2026.12")) == 11
    for name in ("scores.csv", "scores.jsonl"):
        refused = run(*batch, name)
        assert refused.returncode == 2 and says(refused.stderr, "--out", name)


def test_parts_without_any_prediction_are_no_table_to_judge(run, tmp_path):
    write_small_export(tmp_path / "network.onnx")
    (tmp_path / "empty.jpg").write_bytes(b"")
    assert run("predict", "network.onnx", "empty.jpg", "--shard", "0/1", "--out", "none").returncode == 0
    judged = run("evaluate", "none")
    assert judged.returncode == 2 and says(judged.stderr, "none", "no image has a prediction", "empty.jpg")


def test_what_is_for_runs_alone_is_refused_at_once(run, tmp_path, photos):
    write_small_export(tmp_path / "network.onnx")
    found = run(
        "predict", "network.onnx", "photos", "--tta", "flip", "--device", "cuda", "--shard", "0/1", "--out", "p"
    )
    assert found.returncode == 2 and says(found.stderr, "--tta", "--device cuda", "network.onnx", "exported file")
    assert not Path("p").exists()


@pytest.fixture
def labelled(tmp_path):
    """A list of twelve photos with labels and a group column; returns its table."""
    folder = tmp_path / "shots"
    folder.mkdir()
    rows = []
    for seed in range(12):
        (folder / f"{seed:02}.jpg").write_bytes(encoded(seed))
        rows.append((f"shots/{seed:02}.jpg", CLASSES[seed % 3], "left" if seed % 2 else "right"))
    table = pd.DataFrame(rows, columns=["path", "label", "side"])
    table.to_csv(tmp_path / "shots.csv", index=False)
    return table


def test_a_file_is_evaluated_audited_and_compared_on_labelled_images(run, tmp_path, labelled):
    write_small_export(tmp_path / "a.onnx")
    write_small_export(tmp_path / "b.onnx", scale=-1.0)
    hits = {}
    for name in ("a", "b"):
        predictions = tlkit.load_model(tmp_path / f"{name}.onnx").predict([tmp_path / p for p in labelled["path"]])
        hits[name] = [CLASSES[code] for code in predictions.y_pred] == labelled["label"].to_numpy()
    with_list = ("--data", "shots.csv", "--json")
    evaluation = json.loads(run("evaluate", "a.onnx", *with_list).stdout)
    assert (evaluation["n"], evaluation["accuracy"]["value"]) == (12, pytest.approx(hits["a"].mean()))
    found = run("audit", "a.onnx", *with_list, "--by", "side")
    assert found.returncode == 0 and json.loads(found.stdout)["images"] == 12
    compared = run("compare", "a.onnx", "b.onnx", "--data", "shots.csv", "--metric", "accuracy", "--json")
    assert compared.returncode == 0, compared.stderr
    pair = json.loads(compared.stdout)
    assert str(round(hits["b"].mean() - hits["a"].mean(), 6))[:6] in compared.stdout, pair


@pytest.mark.parametrize("name", ["theirs.csv", "theirs.parquet"])
def test_a_list_of_another_tool_states_its_folder_and_columns(run, tmp_path, labelled, name):
    write_small_export(tmp_path / "a.onnx")
    write_small_export(tmp_path / "b.onnx", scale=-1.0)
    (tmp_path / "lists").mkdir()
    theirs = labelled.rename(columns={"path": "image", "label": "species"})
    theirs["image"] = theirs["image"].str.removeprefix("shots/")
    write = theirs.to_csv if name.endswith("csv") else theirs.to_parquet
    write(tmp_path / "lists" / name, index=False)
    named = ("--root", "shots", "--column", "path=image", "--column", "label=species")
    for command in (("evaluate", "a.onnx"), ("audit", "a.onnx", "--by", "side"), ("compare", "a.onnx", "b.onnx")):
        own = run(*command, "--data", "shots.csv", "--json")
        found = run(*command, "--data", f"lists/{name}", *named, "--json")
        assert (found.returncode, found.stdout.replace('"', "")) == (
            0,
            own.stdout.replace('"shots/', "").replace('"', ""),
        )
    lacking = run("evaluate", "a.onnx", "--data", f"lists/{name}", "--root", "shots", "--column", "path=image")
    assert lacking.returncode == 2 and says(lacking.stderr, name, "label", "species")


def test_a_label_that_is_no_class_of_the_file_is_refused_unless_its_class_is_stated(run, tmp_path, labelled):
    write_small_export(tmp_path / "a.onnx")
    labelled["label"] = labelled["label"].replace({"ant": "Formica"})
    labelled.to_csv(tmp_path / "shots.csv", index=False)
    found = run("evaluate", "a.onnx", "--data", "shots.csv")
    assert found.returncode == 2 and says(found.stderr, "Formica", "a.onnx", "--class Formica=CLASS")
    wrong = run("evaluate", "a.onnx", "--data", "shots.csv", "--class", "Formica=aunt")
    assert wrong.returncode == 2 and says(wrong.stderr, "aunt", "ant")
    stated = run("evaluate", "a.onnx", "--data", "shots.csv", "--class", "Formica=ant", "--json")
    assert stated.returncode == 0 and json.loads(stated.stdout)["n"] == 12


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (("evaluate", "a.onnx"), ("a.onnx", "--data FOLDER")),
        (("compare", "a.onnx", "a.onnx"), ("a.onnx", "--data FOLDER")),
        (("audit", "a.onnx", "--model-weights", "none", "--data", "shots.csv"), ("--model-weights", "a.onnx")),
        (("evaluate", "p.csv", "--data", "shots.csv"), ("--data", "exported files")),
        (("compare", "p.csv", "p.csv", "--data", "shots.csv"), ("--data", "exported files")),
        (("compare", "p.csv", "p.csv", "--class", "a=b"), ("--class", "--data")),
        (("evaluate", "a.onnx", "--data", "shots.csv", "--split", "test"), ("shots.csv", "test")),
        (("evaluate", "a.onnx", "--data", "shots", "--root", "x"), ("--root", "list", "shots")),
        (("compare", "a.onnx", "a.onnx", "--data", "shots", "--column", "path=x"), ("--column", "list", "shots")),
        (("evaluate", "a.onnx", "--data", "shots.csv", "--label-column", "ant"), ("--label-column", "label=NAME")),
        (("audit", "p.csv", "--column", "path=image"), ("--column", "--data LIST.csv")),
        (("evaluate", "a.onnx", "--data", "shots.csv", "--column", "side=x"), ("'side'", "path, label, split")),
        (("evaluate", "a.onnx", "--data", "shots.csv", *["--column", "path=x"] * 2), ("--column", "'path'", "once")),
    ],
)
def test_images_that_are_missing_or_have_no_use_are_asked_for(run, tmp_path, labelled, command, words):
    write_small_export(tmp_path / "a.onnx")
    labelled.rename(columns={"label": "y_pred"}).to_csv(tmp_path / "p.csv", index=False)
    found = run(*command)
    assert found.returncode == 2 and says(found.stderr, *words)


@pytest.mark.parametrize("source", ["test-000.tar", "test.csv"])
def test_images_of_a_test_split_alone_are_judged(tmp_path, source):
    """Nobody trains on them: what `fit` refuses, a class without a training image, is what a test set is."""
    file = write_small_export(tmp_path / "a.onnx")
    members = {}
    for seed in range(6):
        name = CLASSES[seed % 2]
        members |= {f"{seed}.jpg": encoded(seed), f"{seed}.cls": name.encode()}
        (tmp_path / f"{seed}.jpg").write_bytes(encoded(seed))
    write_tar(tmp_path / "test-000.tar", members)
    rows = [(f"{seed}.jpg", CLASSES[seed % 2], "test") for seed in range(6)]
    pd.DataFrame(rows, columns=["path", "label", "split"]).to_csv(tmp_path / "test.csv", index=False)
    found = predict_labelled_images(file, tmp_path / source, split="test")
    assert len(found) == 6
    assert sorted(found.classes[code] for code in found.y_true) == sorted(CLASSES[:2] * 3)
    expected = {seed: tlkit.load_model(file).predict(encoded(seed)).proba[0] for seed in range(6)}
    for path, proba in zip(found.path, found.proba, strict=True):
        np.testing.assert_array_equal(proba, expected[int(Path(path).stem)])


@pytest.mark.parametrize("option", ["--y-true", "--y-pred", "--path"])
@pytest.mark.parametrize("command", ["evaluate", "audit", "compare"])
def test_names_of_columns_are_refused_where_no_file_of_predictions_is_judged(run, tmp_path, labelled, command, option):
    write_small_export(tmp_path / "network.onnx")
    RunDirectory.create(tmp_path / "runs" / "x")
    second = ["network.onnx"] if command == "compare" else []
    found = run(command, "network.onnx", *second, "--data", "shots.csv", option, "truth")
    assert found.returncode == 2 and says(found.stderr, option, "network.onnx", "--column label=NAME")
    second = ["runs/x"] if command == "compare" else []
    found = run(command, "runs/x", *second, option, "truth")
    assert found.returncode == 2 and says(found.stderr, option, "runs/x", "Leave it out")


@pytest.mark.parametrize("command", ["evaluate", "audit", "compare", "slices", "calibration"])
def test_spellings_are_not_kept_where_no_text_is_read(run, tmp_path, labelled, command):
    write_small_export(tmp_path / "a.onnx")
    RunDirectory.create(tmp_path / "runs" / "x")
    labelled.rename(columns={"label": "y_true"}).assign(y_pred="ant").to_csv(tmp_path / "p.csv", index=False)
    read_predictions(tmp_path / "p.csv").to_parquet(tmp_path / "own.parquet")
    for path, why in (("runs/x", "is a run"), ("own.parquet", "tlkit")):
        found = run(command, *[path] * (2 if command == "compare" else 1), "--verbatim")
        assert found.returncode == 2 and says(found.stderr, "--verbatim", path, why, "Leave it out")
    if command == "compare":  # one of the files is another tool's
        for models in (("own.parquet", "p.csv"), ("p.csv", "own.parquet")):
            done = run(command, *models, "--verbatim")
            assert done.returncode == 0, done.stderr
    if command in ("evaluate", "audit"):
        by = ("--by", "side") if command == "audit" else ()
        assert run(command, "p.csv", *by, "--verbatim").returncode == 0
        assert run(command, "a.onnx", "--data", "shots.csv", *by, "--verbatim").returncode == 0


@pytest.mark.parametrize("command", ["slices", "errors", "calibration", "abstain", "conformal"])
def test_every_command_that_judges_refuses_names_of_columns_for_a_run(run, tmp_path, command):
    RunDirectory.create(tmp_path / "runs" / "x")
    found = run(command, "runs/x", "--y-true", "truth")
    assert found.returncode == 2 and says(found.stderr, "--y-true", "runs/x", "Leave it out")
