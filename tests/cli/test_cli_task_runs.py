"""Commands on a run of several labels: those that take it, and those that refuse it."""

from __future__ import annotations

import json

import pandas as pd
import pytest
from messages import saying
from run_fixtures import working_in
from task_images import task_recipe, write_task_images

from tlkit.predictions import read_multilabel, read_numbers
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


def test_a_sweep_of_such_a_recipe_is_refused_before_it_begins(made, run, tmp_path):
    sweep = ["sweep_version: 1", "name: s", f"recipe: {made / 'multilabel.yaml'}", "metric: accuracy", "trials: 2"]
    (tmp_path / "sweep.yaml").write_text("\n".join([*sweep, "space: {train.epochs: [1, 2]}"]))
    done = run("sweep", "sweep.yaml")
    assert done.returncode == 2
    assert saying("sweep.yaml", "task multilabel", "tlkit evaluate") == done.stderr
    assert not (tmp_path / "runs").exists()


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
        *("compare RUN OTHER", "report RUN OTHER", "repair RUN", "slices RUN", "errors RUN", "evidence RUN"),
        *("calibration RUN", "abstain RUN", "conformal RUN", "unknown RUN", "drift RUN IMAGES", "robustness RUN"),
        *("explain RUN", "explain RUN IMAGES", "label-next RUN IMAGES", "learning-curve RUN", "data labels RUN"),
        *("data leaks RUN", "export RUN", "verify RUN", "bench RUN", "serve RUN", "push RUN --to out", "advise RUN"),
        *("predict RUN IMAGES --unknown", "predict RUN IMAGES --sets 0.9", "predict RUN IMAGES --shard 0/2 --out o"),
        *("audit RUN --gate gates.yaml", "evaluate RUN --cluster-by light", "evaluate RUN --task regression"),
    ],
)
def test_other_commands_refuse_the_run_and_say_what_takes_it(made, run, command, monkeypatch):
    monkeypatch.setenv("TLKIT_CACHE", str(made / "cache"))
    words = {"RUN": made / "runs" / "multilabel", "OTHER": made / "runs" / "regression", "IMAGES": made / "images"}
    done = run(*(words.get(word, word) for word in command.split()))
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert saying("task multilabel") == done.stderr
    assert "For such a run there are tlkit evaluate" in done.stderr or "Leave it out" in done.stderr
