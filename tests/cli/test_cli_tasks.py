from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from command import invoke
from messages import says

from tlkit.audit.gates.gate_report import GateReport
from tlkit.errors import PredictionsError, RecipeError
from tlkit.predictions import read_detection, read_multilabel
from tlkit.runs.gate_run import gate


def run(*words: object) -> str:
    found = invoke([str(word) for word in words], catch_exceptions=False)
    assert found.exit_code == 0, found.output
    return found.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    where, rng = tmp_path_factory.mktemp("tasks"), np.random.default_rng(0)
    for name in ("val", "test"):
        truth = rng.random((300, 2)) < [0.4, 0.2]
        proba = 1 / (1 + np.exp(-(2 * truth - 1.4 + rng.normal(size=(300, 2)))))
        number = rng.normal(0, 5, 300)
        table = pd.DataFrame(
            {
                "path": [f"{name}/{one}" for one in range(300)],
                "y_true": [";".join(np.array(["cat", "dog"])[row]) for row in truth],
                "proba_cat": proba[:, 0],
                "proba_dog": proba[:, 1],
                "light": rng.choice(["day", "night"], 300),
            }
        )
        table.to_csv(where / f"labels_{name}.csv", index=False)
        numbers = table[["path", "light"]].assign(y_true=number, y_pred=number + rng.normal(size=300))
        numbers.to_csv(where / f"numbers_{name}.csv", index=False)
    grade = np.array(["low", "mid", "high"])
    place = rng.integers(0, 3, 300)
    graded = table[["path", "light"]].assign(y_true=grade[place], y_pred=grade[np.clip(place + 1, 0, 2)])
    graded.to_csv(where / "grades.csv", index=False)
    read_multilabel(where / "labels_test.csv").to_parquet(where / "labels_test.parquet")
    return where


def test_a_file_of_labels_is_evaluated_with_thresholds_of_val(folder):
    plain = json.loads(run("evaluate", folder / "labels_test.csv", "--task", "multilabel", "--json"))
    chosen = json.loads(
        run(
            "evaluate", folder / "labels_test.csv", "--task", "multilabel", "--val", folder / "labels_val.csv", "--json"
        )
    )
    assert plain["task"] == "multilabel" and [one["threshold"] for one in plain["per_label"]] == [0.5, 0.5]
    assert chosen["mean_average_precision"] == plain["mean_average_precision"]
    thresholds = {one["label"]: one["threshold"]["value"] for one in chosen["thresholds"]["thresholds"]}
    assert {one["name"]: one["threshold"] for one in chosen["per_label"]} == thresholds
    text = run(
        "evaluate", folder / "labels_test.csv", "--task", "multilabel", "--val", folder / "labels_val.csv", "--details"
    )
    assert "mAP" in text and "F1 on val" in text and "Labels that go together" in text


def test_a_file_says_its_own_task(folder):
    text = run("evaluate", folder / "labels_test.parquet")
    assert "subset accuracy" in text
    assert "recall of dog" in run("audit", folder / "labels_test.parquet", "--by", "light")


def test_groups_are_joined_to_the_judged_file_and_need_not_name_val(folder):
    table = pd.DataFrame({"path": [f"test/{one}" for one in range(300)], "site": ["x", "y"] * 150})
    table.to_csv(folder / "sites.csv", index=False)
    for name, task in (("labels", "multilabel"), ("numbers", "regression")):
        words = (folder / f"{name}_test.csv", "--task", task, "--val", folder / f"{name}_val.csv")
        found = json.loads(run("audit", *words, "--groups", folder / "sites.csv", "--by", "site", "--json"))
        assert found["settings"]["columns"][0]["column"] == "site"


@pytest.mark.parametrize(("name", "task"), [("labels", "multilabel"), ("numbers", "regression")])
def test_truth_that_comes_in_another_file_gives_the_figures_of_one_file(folder, tmp_path, name, task):
    whole = pd.read_csv(folder / f"{name}_test.csv", keep_default_na=False)
    whole.drop(columns=["y_true", "light"]).to_csv(tmp_path / "predicted.csv", index=False)
    whole[["path", "y_true", "light"]].to_csv(tmp_path / "truth.csv", index=False)
    apart = (tmp_path / "predicted.csv", "--task", task, "--groups", tmp_path / "truth.csv", "--json")
    for command, more in (("evaluate", []), ("audit", ["--by", "light"])):
        found = json.loads(run(command, *apart, *more))
        assert found == json.loads(run(command, folder / f"{name}_test.csv", "--task", task, *more, "--json"))


@pytest.mark.parametrize(("name", "task"), [("labels", "multilabel"), ("numbers", "regression")])
def test_truth_in_another_file_may_have_another_name_and_separator_for_val_too(folder, tmp_path, name, task):
    parts = {split: pd.read_csv(folder / f"{name}_{split}.csv", keep_default_na=False) for split in ("val", "test")}
    for split, whole in parts.items():
        whole.drop(columns="y_true").to_csv(tmp_path / f"{split}.csv", index=False)
    truth = pd.concat(parts.values())[["path", "y_true"]].rename(columns={"y_true": "truth"})
    mark = [] if task == "regression" else ["--separator", "|"]
    if mark:
        truth["truth"] = truth["truth"].str.replace(";", "|")
    truth.to_csv(tmp_path / "truth.csv", index=False)
    words = ("--task", task, "--val", tmp_path / "val.csv", "--groups", tmp_path / "truth.csv", "--y-true", "truth")
    found = json.loads(run("evaluate", tmp_path / "test.csv", *words, *mark, "--json"))
    own = (folder / f"{name}_test.csv", "--task", task, "--val", folder / f"{name}_val.csv")
    assert found == json.loads(run("evaluate", *own, "--json"))


@pytest.mark.parametrize(("name", "task"), [("labels", "multilabel"), ("numbers", "regression")])
def test_val_may_have_its_own_truth_beside_a_table_of_the_judged_images(folder, tmp_path, name, task):
    parts = {split: pd.read_csv(folder / f"{name}_{split}.csv", keep_default_na=False) for split in ("val", "test")}
    parts["val"].rename(columns={"y_true": "truth"}).to_csv(tmp_path / "val.csv", index=False)
    parts["test"].drop(columns="y_true").to_csv(tmp_path / "test.csv", index=False)
    truth = parts["test"][["path", "y_true"]].rename(columns={"y_true": "truth"})
    truth.to_csv(tmp_path / "truth.csv", index=False)
    words = ("--task", task, "--val", tmp_path / "val.csv", "--groups", tmp_path / "truth.csv", "--y-true", "truth")
    found = json.loads(run("evaluate", tmp_path / "test.csv", *words, "--json"))
    own = (folder / f"{name}_test.csv", "--task", task, "--val", folder / f"{name}_val.csv")
    assert found == json.loads(run("evaluate", *own, "--json"))


def test_a_file_of_numbers_is_evaluated_and_audited_with_intervals_of_val(folder):
    words = (folder / "numbers_test.csv", "--task", "regression", "--val", folder / "numbers_val.csv")
    found = json.loads(run("evaluate", *words, "--coverage", "0.9", "--json"))
    assert found["intervals_of_val"]["coverage"] == 0.9
    assert 0.83 < found["intervals"]["coverage"]["value"] < 0.97
    audit = json.loads(run("audit", *words, "--by", "light", "--tolerance", "3.5", "--json"))
    assert {table["metric"] for table in audit["group_tables"]} == {"mean_absolute_error", "mean_error", "coverage"}
    assert audit["overall"][0]["tolerance"] == 3.5 and audit["settings"]["tolerance"] == 0.05


def test_a_file_of_grades_needs_their_order(folder):
    with pytest.raises(PredictionsError):
        run("evaluate", folder / "grades.csv", "--task", "ordinal")
    text = run("evaluate", folder / "grades.csv", "--task", "ordinal", "--grades", "low,mid,high")
    assert "quadratic" in text and "low, mid, high" in text


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("--val", "x.csv"), "--val"),
        (("--grades", "a,b"), "--grades"),
        (("--task", "multilabel", "--split", "test"), "--split"),
        (("--task", "multilabel", "--grades", "a,b"), "--grades"),
        (("--task", "regression", "--separator", "|"), "--separator"),
        (("--task", "multilabel", "--coverage", "0.9"), "--coverage"),
    ],
)
def test_options_of_another_task_are_refused(folder, words, named):
    with pytest.raises(PredictionsError) as error:
        run("evaluate", folder / "labels_test.csv", *words)
    assert named in str(error.value)


def test_boxes_are_evaluated_and_audited_by_size(tmp_path):
    truth = {
        "images": [{"id": one, "file_name": f"{one}.jpg"} for one in range(60)],
        "categories": [{"id": 1, "name": "cat"}],
        "annotations": [
            {"id": one, "image_id": one, "category_id": 1, "bbox": [0, 0, 10 + one, 10 + one]} for one in range(60)
        ],
    }
    found = [
        {"image_id": one, "category_id": 1, "bbox": [0, 0, 10 + one, 10 + one], "score": one / 60} for one in range(60)
    ]
    for name, value in (("truth", truth), ("found", found)):
        (tmp_path / f"{name}.json").write_text(json.dumps(value))
    words = (tmp_path / "found.json", "--task", "detection", "--truth", tmp_path / "truth.json")
    result = json.loads(run("evaluate", *words, "--min-score", "0.25", "--json"))
    assert (result["average_precision"]["value"], result["recall"]["value"]) == (pytest.approx(1), 0.75)
    assert "recall of cat" in run("audit", *words, "--min-score", "0.25")
    with pytest.raises(PredictionsError) as error:
        run("evaluate", *words[:3])
    assert "--truth" in str(error.value)


@pytest.fixture
def boxes(tmp_path):
    """Write true boxes of 240 images, half of them by night, and those of a detector that misses most by night."""
    names = [f"{one}.jpg" for one in range(240)]
    truth = {
        "images": [{"id": one, "file_name": name} for one, name in enumerate(names)],
        "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
        "annotations": [
            {"id": one, "image_id": one, "category_id": 1 + one % 3 // 2, "bbox": [5, 5, 40 + one % 7, 40]}
            for one in range(240)
        ],
    }
    all_found = [{**box, "score": 0.9} for box in truth["annotations"]]
    missed = {one for one in range(240) if one % 2 and one % 5} | {40, 90}
    for name, value in (
        ("truth", truth),
        ("new", [box for box in all_found if box["id"] not in {3, 8, 11}]),
        ("old", [box for box in all_found if box["id"] not in missed]),
    ):
        (tmp_path / f"{name}.json").write_text(json.dumps(value))
    lights = pd.DataFrame({"path": names, "light": ["night" if one % 2 else "day" for one in range(240)]})
    lights.to_csv(tmp_path / "groups.csv", index=False)
    return tmp_path


def test_detectors_are_compared_gated_and_searched_for_slices(boxes, monkeypatch):
    monkeypatch.chdir(boxes)
    words = ("--task", "detection", "--truth", "truth.json", "--groups", "groups.csv")
    said = run("compare", "old.json", "new.json", *words, "--by", "light")
    assert "new is better than old: AP" in said
    rows = json.loads(run("compare", "old.json", "new.json", *words, "--by", "light", "--json"))["rows"]
    changes = {row["name"]: row["change"] for row in rows if row["by"] == "light"}
    assert changes == {"day": "not distinguishable", "night": "better"}
    found = json.loads(run("slices", "old.json", *words, "--json"))
    assert (found["task"], found["figure"]) == ("detection", "share of missed objects")
    assert [one["standing"] for one in found["slices"]] == ["confirmed"]
    (boxes / "gates.yaml").write_text("gates_version: 1\nlimits: [{by: light, metric: recall, at_least: 0.5}]\n")
    audited = ("audit", "old.json", *words, "--by", "light", "--gate", "gates.yaml")
    ended = invoke(list(audited))
    assert (ended.exit_code, "night" in ended.output) == (1, True)
    for command, named in (
        ((*audited, "--min-score", "0.3"), "--min-score"),
        (("compare", "old.json", "new.json", *words[:2]), "--truth"),
        (("compare", "old.json", "new.json", *words, "--by", "object_size"), "object_size"),
        (("slices", "old.json", *words, "--split", "test"), "--split"),
        (("slices", "old.json", *words, "--clusters", "4"), "--clusters"),
        (("slices", "old.json", "--truth", "truth.json"), "--task detection"),
        (("compare", "old.json", "new.json", "--truth", "truth.json"), "--task detection"),
    ):
        with pytest.raises(PredictionsError) as error:
            run(*command)
        assert named in str(error.value), command


def test_gates_of_boxes_take_a_baseline_in_cocos_format_and_count_objects(boxes, monkeypatch):
    monkeypatch.chdir(boxes)
    read_detection("old.json", "truth.json").to_parquet(boxes / "old.parquet")
    words = ("--task", "detection", "--truth", "truth.json", "--groups", "groups.csv", "--json")
    found = []
    for baseline in ("old.parquet", "old.json", "old.json, truth: truth.json"):
        (boxes / "gates.yaml").write_text(
            "gates_version: 1\nlimits: [{by: light, metric: recall, at_least: 0.5}]\n"
            f"no_worse_than: {{baseline: {baseline}, by: [light], metric: 'recall:dog', margin: 0.2}}\n"
        )
        done = invoke(["audit", "new.json", *words, "--gate", "gates.yaml"])
        assert done.exit_code == 0, done.output
        found.append(json.loads(done.stdout)["gate"])
    assert found[0] == found[1] == found[2]
    rows = {(row["rate"], row["kind"], row["group"]): (row["n"], row["counted"]) for row in found[0]["rows"]}
    assert (found[0]["images"], found[0]["objects"]) == (240, 240)
    assert rows["recall of cat", "at least", "night"] == (80, "object")
    assert rows["recall of dog", "no worse", "all images"] == (80, "object")
    assert rows["recall of dog", "no worse", "night"] == (40, "object")


def test_objects_are_absent_from_gates_of_other_tasks(folder, tmp_path):
    (tmp_path / "gates.yaml").write_text("gates_version: 1\nlimits: [{by: light, metric: recall, at_least: 0.1}]\n")
    words = (folder / "labels_test.csv", "--task", "multilabel", "--gate", tmp_path / "gates.yaml", "--json")
    done = invoke(["audit", *map(str, words)])
    found = json.loads(done.stdout)["gate"]
    report = GateReport.from_dict(found)
    assert "objects" not in found and not any("counted" in row for row in found["rows"])
    assert (report.objects, {row.counted for row in report.rows}, report.to_dict()) == (None, {"image"}, found)
    with pytest.raises(PredictionsError) as error:
        gate(read_multilabel(folder / "labels_test.csv"), tmp_path / "gates.yaml", truth="truth.json")
    assert says(error.value.problems, "truth", "boxes", "multilabel", "Leave it out")


def test_a_baseline_of_boxes_without_a_truth_is_refused_with_the_remedy(boxes, monkeypatch):
    monkeypatch.chdir(boxes)
    read_detection("new.json", "truth.json").to_parquet(boxes / "new.parquet")
    (boxes / "gates.yaml").write_text("gates_version: 1\nno_worse_than: {baseline: old.json, margin: 0.1}\n")
    with pytest.raises(PredictionsError) as error:
        run("audit", "new.parquet", "--gate", "gates.yaml")
    assert says(error.value.problems, "gates.yaml:2", "old.json", "truth: TRUE.json")
    (boxes / "gates.yaml").write_text("gates_version: 1\nno_worse_than: {baseline: new.parquet, truth: truth.json}\n")
    with pytest.raises(RecipeError) as refused:
        run("audit", "new.parquet", "--gate", "gates.yaml")
    assert says(refused.value.problems, "gates.yaml:2", "truth", "new.parquet", "Leave it out")


def test_slices_of_files_of_labels_are_searched(folder):
    found = json.loads(run("slices", folder / "labels_test.csv", "--task", "multilabel", "--json"))
    assert (found["task"], found["columns"]) == ("multilabel", ["light"])


def test_judging_other_tasks_loads_no_torch(folder):
    words = ["audit", str(folder / "labels_test.csv"), "--task", "multilabel", "--by", "light"]
    code = (
        f"import sys; from tlkit.cli.app import app; app({words!r}, standalone_mode=False); "
        "sys.exit(any(name in sys.modules for name in ('torch', 'timm', 'albumentations', 'wandb')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, capture_output=True).returncode == 0
