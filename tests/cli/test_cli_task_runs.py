"""Commands on a run of several labels: those that take it, and those that refuse it."""

from __future__ import annotations

import json

import pandas as pd
import pytest
from messages import saying
from run_fixtures import working_in
from task_images import task_recipe, write_task_images

from tlkit.errors import PredictionsError, RunError
from tlkit.predictions import read_multilabel, read_numbers
from tlkit.runs.run import open_run
from tlkit.training.fit import fit


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Return a folder with images and two runs of several labels and of numbers."""
    folder = tmp_path_factory.mktemp("made")
    root = write_task_images(folder / "images")
    with working_in(folder) as patch:
        patch.setenv("TLKIT_CACHE", str(folder / "cache"))
        for task in ("multilabel", "regression"):
            fit(task_recipe(folder, root, task, epochs="1"))
    return folder


def values_of(path, name):
    return json.loads((path / "evaluation.json").read_text())["test"][name]["value"]


def test_evaluate_audit_show_runs_report_and_card_take_the_run(made, run):
    path = made / "runs" / "multilabel"
    done = run("evaluate", path)
    assert (done.returncode, saying("macro F1", "test split", "--details")) == (0, done.stdout)
    values = json.loads(run("evaluate", path, "--split", "val", "--json").stdout)
    assert (values["task"], values["n"]) == ("multilabel", 40)
    done = run("audit", path, "--by", "light", "--details")
    assert (done.returncode, saying("light", "recall of red", "complement")) == (0, done.stdout)
    assert json.loads(run("audit", path, "--json").stdout)["task"] == "multilabel"
    shown = json.loads(run("show", path, "--json").stdout)
    assert (shown["task"], shown["accuracy"]) == ("multilabel", None)
    assert shown["figures"]["macro_f1"]["value"] == pytest.approx(values_of(path, "macro_f1"))
    listed = run("runs", made / "runs").stdout
    assert saying("multilabel", "mAP") == listed
    assert saying("regression", "mean absolute error") == listed
    assert run("report", path).returncode == run("card", path).returncode == 0


def test_runs_are_compared_and_runs_of_two_tasks_are_not(made, run):
    path, other = made / "runs" / "multilabel", made / "runs" / "regression"
    done = run("compare", path, path, "--details")
    assert done.returncode == 0
    assert saying("mAP", "samples F1", "F1 of red", "light", "not distinguishable") == done.stdout
    values = json.loads(run("compare", other, other, "--metric", "r_squared", "--json").stdout)
    assert {row["figure"] for row in values["rows"]} == {"r_squared"}
    three = run("compare", path, path, path, "--metric", "f1:red")
    assert (three.returncode, saying("F1 of red", "40 images")) == (0, three.stdout)
    done = run("compare", path, other)
    assert (done.returncode, saying("task multilabel", "regression", "one task")) == (2, done.stderr)
    with pytest.raises(PredictionsError, match="task_compare"):
        open_run(path).compare(open_run(path))
    assert open_run(path).task_compare(open_run(path)).images == 40


def test_gates_of_a_run_end_with_their_exit_code_and_files(made, run, tmp_path):
    text = "gates_version: 1\nmin_group_size: 5\nlimits:\n  - {by: light, metric: mean_absolute_error, at_most: 1000}\n"
    (tmp_path / "gates.yaml").write_text(text)
    path = made / "runs" / "regression"
    done = run("audit", path, "--gate", "gates.yaml", "--junit", "g.xml", "--sarif", "g.sarif")
    assert (done.returncode, saying("mean absolute error at most 1000", "PASS")) == (0, done.stdout)
    assert "mean absolute error" in (tmp_path / "g.xml").read_text()
    assert json.loads((tmp_path / "g.sarif").read_text())["runs"][0]["results"] == []
    (tmp_path / "gates.yaml").write_text(text.replace("1000", "0.001"))
    assert run("audit", path, "--gate", "gates.yaml", "--json").returncode == 1
    done = run("audit", made / "runs" / "multilabel", "--gate", "gates.yaml")
    assert (done.returncode, saying("gates.yaml:4", "mean_absolute_error", "recall")) == (2, done.stderr)


def test_a_flipped_label_is_the_most_doubtful_one(made, run, tmp_path, monkeypatch):
    monkeypatch.setenv("TLKIT_CACHE", str(made / "cache"))
    path = made / "runs" / "multilabel"
    split = path / "split.csv"
    before = split.read_text()
    table = pd.read_csv(split, keep_default_na=False)
    flipped = table.index[table["label"] == "blue;red"][0]
    try:
        split.write_text(table.assign(label=table["label"].where(table.index != flipped, "blue")).to_csv(index=False))
        done = run("data", "labels", path, "--out", "labels.csv")
        assert (done.returncode, saying("Doubtful labels by name", "red")) == (0, done.stdout), done.stderr
    finally:
        split.write_text(before)
    found = pd.read_csv(tmp_path / "labels.csv")
    own = found[(found["path"] == table["path"][flipped]) & (found["label"] == "red")]
    assert own[["has", "suggested"]].to_numpy().tolist() == [["no", "yes"]]
    assert own["rank"].iloc[0] <= 10
    done = run("data", "labels", path, "--html", "sheet.html")
    assert (done.returncode, saying("--html", "several labels", "--out")) == (2, done.stderr)


def test_slices_of_a_run_are_searched_and_stored(made, run):
    path = made / "runs" / "multilabel"
    done = run("slices", path, "--clusters", "2", "--min-images", "5")
    assert (done.returncode, saying("share of wrong labels", "conditions")) == (0, done.stdout), done.stderr
    assert json.loads((path / "slices.json").read_text())["test"]["figure"] == "share of wrong labels"


def test_a_sweep_chooses_by_the_tasks_own_figure(made, run, tmp_path, monkeypatch):
    monkeypatch.setenv("TLKIT_CACHE", str(made / "cache"))
    sweep = ["sweep_version: 1", "name: s", f"recipe: {made / 'multilabel.yaml'}", "trials: 1"]
    text = "\n".join([*sweep, "space: {train.learning_rate: [0.01, 0.1]}"])
    (tmp_path / "sweep.yaml").write_text(f"{text}\nmetric: accuracy")
    done = run("sweep", "sweep.yaml")
    assert (done.returncode, saying("accuracy", "multilabel", "mean_average_precision")) == (2, done.stderr)
    assert not (tmp_path / "runs").exists()
    (tmp_path / "sweep.yaml").write_text(text)
    done = run("sweep", "sweep.yaml", "--json")
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout)
    assert (found["metric"], found["comparison"], found["judged"]["metric"]) == (
        "mean_average_precision",
        None,
        "mean_average_precision",
    )
    default = open_run(tmp_path / "runs" / "s" / "default").task_evaluation("val")
    assert found["default"]["value"] == pytest.approx(default.mean_average_precision.value)


def test_predict_writes_what_evaluate_reads(made, run, tmp_path):
    image, broken = made / "images" / "test" / "000.png", tmp_path / "broken.png"
    broken.write_bytes(b"no image")
    path = made / "runs" / "multilabel"
    assert saying("000.png", "broken.png") == run("predict", path, image, broken).stdout
    for suffix in ("csv", "parquet"):
        assert run("predict", path, image, broken, "--out", f"p.{suffix}").returncode == 0
        found = read_multilabel(tmp_path / f"p.{suffix}")
        assert (found.labels, len(found)) == (("blue", "red"), 1)
    assert pd.read_csv("p.csv")["error"].notna().tolist() == [False, True]
    numbers = made / "runs" / "regression"
    assert saying("000.png", "predicted", "lower") == run("predict", numbers, image).stdout
    assert run("predict", numbers, image, "--out", "n.jsonl").returncode == 0
    row = json.loads((tmp_path / "n.jsonl").read_text())
    assert row["lower"] < row["y_pred"] < row["upper"]
    assert run("predict", numbers, image, "--out", "n.parquet").returncode == 0
    assert read_numbers(tmp_path / "n.parquet").lower is not None


@pytest.mark.parametrize(
    "command",
    [
        *("report RUN OTHER", "repair RUN", "errors RUN", "evidence RUN"),
        *("calibration RUN", "abstain RUN", "conformal RUN", "unknown RUN", "drift RUN IMAGES", "robustness RUN"),
        *("explain RUN", "explain RUN IMAGES", "label-next RUN IMAGES", "learning-curve RUN", "data labels OTHER"),
        *("bench RUN", "serve RUN", "push RUN --to out", "advise RUN"),
        *("predict RUN IMAGES --unknown", "predict RUN IMAGES --sets 0.9", "predict RUN IMAGES --shard 0/2 --out o"),
        *("evaluate RUN --cluster-by light", "evaluate RUN --task regression", "compare RUN RUN --data IMAGES"),
    ],
)
def test_other_commands_refuse_the_run_and_say_what_takes_it(made, run, command, monkeypatch):
    monkeypatch.setenv("TLKIT_CACHE", str(made / "cache"))
    words = {"RUN": made / "runs" / "multilabel", "OTHER": made / "runs" / "regression", "IMAGES": made / "images"}
    done = run(*(words.get(word, word) for word in command.split()))
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert saying("task regression" if command == "data labels OTHER" else "task multilabel") == done.stderr
    assert "For such a run there are tlkit evaluate" in done.stderr or "Leave it out" in done.stderr


@pytest.mark.parametrize("task", ["multilabel", "regression"])
def test_the_methods_of_a_run_of_classes_name_those_of_its_task(made, task):
    run = open_run(made / "runs" / task)
    for method in (run.evaluate, run.audit, run.predictions):
        with pytest.raises(RunError, match=r"task_evaluation.*task_audit"):
            method()
    assert run.task_evaluation() is not None
