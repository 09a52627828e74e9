"""W&B offline: records, exit codes, modes, limits; read back with W&B's own reader."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from messages import saying
from opened_trackers import open_tracker

from tlkit.errors import RecipeError

PREDICTIONS = pd.DataFrame(
    {
        "path": ["a/1.jpg", "b/2.jpg", "b/3.jpg"],
        "true": ["a", "b", "b"],
        "predicted": ["a", "b", "a"],
        "confidence": [0.9, 0.8, 0.6],
        "correct": [True, True, False],
        "skin_tone": ["dark", "light", "dark"],
    }
)


def read_back(folder: Path) -> list[dict]:
    """Return the records of an offline run through W&B's own reader."""
    command = [sys.executable, "-m", "wandb", "leet", "inspect", "--json", str(folder)]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return [json.loads(line) for line in output.splitlines()]


def records(folder: Path, kind: str) -> list[dict]:
    return [record[kind] for record in read_back(folder) if record["type"] == kind]


def children() -> set[int]:
    """Return the ids of running W&B service processes of this process."""
    found = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = stat.read_text()
        except OSError:
            continue
        name, fields = text[text.index("(") + 1 : text.rindex(")")], text[text.rindex(")") + 2 :].split()
        if name.startswith("wandb-core") and int(fields[1]) == os.getpid() and fields[0] != "Z":
            found.add(int(stat.parent.name))
    return found


def record_everything(options) -> Path:
    model = options["run_dir"] / "model"
    model.mkdir()
    (model / "classes.json").write_text('["a", "b"]')
    (model / "model.safetensors").write_bytes(b"12345678")
    with open_tracker(**options) as tracker:
        assert children() or not Path("/proc").exists(), "W&B's service runs, but children() does not find it"
        for epoch, loss in enumerate([0.5, 0.25]):
            tracker.log_metrics({"train_loss": loss, "val_accuracy": 0.9 + epoch / 100}, epoch=epoch)
        tracker.log_predictions(PREDICTIONS, name="test/predictions")
        tracker.log_confusion(np.array([[1, 0], [1, 1]]), ["a", "b"], name="test/confusion")
        tracker.log_model(model, metadata={"backbone": "test_resnet"})
        tracker.log_summary({"test/accuracy": 2 / 3})
    return Path(tracker.location)


@pytest.mark.slow
def test_an_offline_run_reads_back_completely_and_writes_in_the_run_directory_only(options, home, capfd, logged):
    environment = dict(os.environ)
    folder = record_everything(options)

    assert dict(os.environ) == environment
    assert children() == set()
    assert capfd.readouterr().out == ""
    assert logged() == [saying(folder, "offline")]
    assert folder.is_relative_to(options["run_dir"])
    assert list(home.rglob("*")) == []

    read = read_back(folder)
    of = {kind: [record[kind] for record in read if record["type"] == kind] for kind in {r["type"] for r in read}}
    run = of["run"][0]
    assert run["project"] == "tlkit"
    assert run["display_name"] == "pets"
    assert run["tags"] == ["quick"]
    assert {key: run["config"]["update"][key] for key in ("seed", "train")} == options["config"]

    history = [record["item"] for record in of["history"]]
    assert [(row["epoch"], row["train_loss"], row["val_accuracy"]) for row in history if "train_loss" in row][:2] == [
        (0, 0.5, 0.9),
        (1, 0.25, 0.91),
    ]
    assert {"name": "epoch", "options": {"defined": True}} in of["metric"]
    assert any(metric.get("glob_name") == "*" and metric["step_metric"] == "epoch" for metric in of["metric"])

    logged = {key: value for row in history for key, value in row.items()}
    table = json.loads((folder / "files" / logged["test/predictions.path"]).read_text())
    assert table["columns"] == ["path", "true", "predicted", "confidence", "correct"]
    assert table["data"] == PREDICTIONS[table["columns"]].to_numpy().tolist()
    matrix = json.loads((folder / "files" / logged["test/confusion_table.path"]).read_text())
    assert matrix["data"] == [["a", "a", 1], ["a", "b", 0], ["b", "a", 1], ["b", "b", 1]]

    model = next(artifact for artifact in of["artifact"] if artifact["type"] == "model")
    assert model["name"] == "pets"
    assert json.loads(model["metadata"]) == {"backbone": "test_resnet"}
    files = {entry["path"]: Path(entry["local_path"]) for entry in model["manifest"]["contents"]}
    assert set(files) == {"classes.json", "model.safetensors"}
    assert files["model.safetensors"].read_bytes() == b"12345678"
    every_file = [Path(e["local_path"]) for artifact in of["artifact"] for e in artifact["manifest"]["contents"]]
    assert all(path.is_relative_to(options["run_dir"]) for path in every_file)

    summary = {key: value for record in of["summary"] for key, value in record["update"].items()}
    assert summary["test/accuracy"] == pytest.approx(2 / 3)
    assert of["exit"][0].get("exit_code", 0) == 0


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ZeroDivisionError(), 1),
        pytest.param(KeyboardInterrupt(), 1, marks=pytest.mark.series),
        pytest.param(SystemExit(3), 3, marks=pytest.mark.series),
    ],
)
def test_an_error_closes_the_run_with_its_exit_code_and_is_raised(options, error, code):
    with pytest.raises(type(error)), open_tracker(**options) as tracker:
        raise error
    assert records(Path(tracker.location), "exit")[0]["exit_code"] == code
    assert children() == set()
    tracker.finish(0)  # a second call does nothing


def test_two_open_runs_are_recorded_separately(options, tmp_path, home):
    environment = dict(os.environ)
    other = options | {"name": "fold-1", "run_dir": tmp_path / "runs" / "fold-1"}
    with open_tracker(**options) as first, open_tracker(**other) as second:
        first.log_metrics({"val_loss": 1.0}, epoch=0)
        second.log_metrics({"val_loss": 2.0}, epoch=0)
    for tracker, loss in ((first, 1.0), (second, 2.0)):
        folder = Path(tracker.location)
        assert [record["item"]["val_loss"] for record in records(folder, "history")] == [loss]
    assert Path(second.location).is_relative_to(tmp_path / "runs" / "fold-1")
    assert dict(os.environ) == environment
    assert children() == set()


def test_a_run_that_the_user_has_open_is_not_changed(options, tmp_path, home):
    import wandb

    settings = wandb.Settings(silent=True, console="off")
    with wandb.init(project="mine", mode="offline", dir=str(tmp_path), settings=settings) as mine:
        with open_tracker(**options) as tracker:
            tracker.log_metrics({"val_loss": 1.0}, epoch=0)
        assert wandb.run is mine
        mine.log({"own": 1})
        folder = Path(mine.dir).parent
    wandb.teardown()
    assert [record["item"]["own"] for record in records(folder, "history")] == [1]
    assert [record["item"]["val_loss"] for record in records(Path(tracker.location), "history")] == [1.0]


def test_auto_without_a_key_records_offline_and_logs_the_upload_command(options, logged):
    with open_tracker(**options | {"mode": "auto"}) as tracker:
        pass
    assert logged() == [saying("API", "wandb login"), saying(tracker.location, "offline")]


@pytest.mark.parametrize(
    "login",
    [
        "environment",
        pytest.param("netrc", marks=pytest.mark.series),
        pytest.param("settings", marks=pytest.mark.series),
    ],
)
def test_auto_with_a_key_but_no_network_records_offline(options, home, monkeypatch, logged, login):
    server = "http://127.0.0.1:9"  # the discard port: refused at once
    monkeypatch.setenv("WANDB_INIT_TIMEOUT", "1")
    if login == "environment":
        monkeypatch.setenv("WANDB_BASE_URL", server)
        monkeypatch.setenv("WANDB_API_KEY", "a" * 40)
    else:  # as stored by `wandb login --host`
        folder = home / ".config" / "wandb"
        folder.mkdir(parents=True)
        key = f"api_key = {'a' * 40}\n" if login == "settings" else ""
        (folder / "settings").write_text(f"[default]\nbase_url = {server}\n{key}")
        if login == "netrc":
            (home / ".netrc").write_text(f"machine 127.0.0.1:9\n  login user\n  password {'a' * 40}\n")
            (home / ".netrc").chmod(0o600)
    environment = dict(os.environ)
    with open_tracker(**options | {"mode": "auto"}) as tracker:
        tracker.log_metrics({"val_loss": 1.0}, epoch=0)
    assert len(logged()) == 2
    assert logged()[0] == saying("online", "offline")
    assert records(Path(tracker.location), "history")[0]["item"]["val_loss"] == 1.0
    assert list((options["run_dir"] / "wandb").glob("run-*")) == []
    assert dict(os.environ) == environment
    assert children() == set()


def test_online_without_a_key_is_an_error_without_a_prompt(options):
    with pytest.raises(RecipeError) as error:
        open_tracker(**options | {"mode": "online"})
    assert str(error.value) == (
        saying("tracking.mode", "API", "wandb login", "WANDB_API_KEY", "'mode: offline'", "wandb sync")
    )
    assert children() == set()


@pytest.mark.parametrize("wandb_mode", ["online", pytest.param("disabled", marks=pytest.mark.series)])
def test_offline_in_the_recipe_overrides_wandb_mode_without_changing_it(options, monkeypatch, wandb_mode):
    monkeypatch.setenv("WANDB_MODE", wandb_mode)
    with open_tracker(**options) as tracker:
        assert os.environ["WANDB_MODE"] == wandb_mode
        tracker.log_metrics({"val_loss": 1.0}, epoch=0)
    assert records(Path(tracker.location), "history")
    assert os.environ["WANDB_MODE"] == wandb_mode


def test_all_names_that_wandb_would_refuse_are_in_one_error(options):
    wrong = {"project": "a/b", "tags": ["ok", "", "x" * 65], "name": "my pets"}
    with pytest.raises(RecipeError) as error:
        open_tracker(**options | wrong)
    assert error.value.problems == (
        saying("tracking.project", "'a/b'", "1", "128"),
        saying("tracking.tags", "1", "64"),
        saying("tracking.tags", f"'{'x' * 65}'", "1", "64"),
        saying("name", "'my pets'", "1", "128", "_"),
    )


def test_a_failure_of_wandb_is_logged_and_the_run_continues(options, logged):
    with open_tracker(**options) as tracker:
        tracker.log_model(Path("not-there"), metadata={})
        tracker.log_metrics({"val_loss": 1.0}, epoch=0)
    assert logged()[-1] == saying("'not-there'", "ValueError", "directory")
    assert records(Path(tracker.location), "history")[0]["item"]["val_loss"] == 1.0


def test_log_model_false_records_no_artifact(options):
    folder = record_everything(options | {"log_model": False})
    assert {artifact["type"] for artifact in records(folder, "artifact")} == {"run_table"}


@pytest.mark.parametrize("log_report", [True, False])
def test_a_report_is_a_page_and_an_artifact_unless_switched_off(options, tmp_path, log_report):
    page = tmp_path / "report.html"
    page.write_text("<p>a report</p>")
    with open_tracker(**options | {"log_report": log_report}) as tracker:
        tracker.log_report(page)
    folder = Path(tracker.location)
    reports = [artifact for artifact in records(folder, "artifact") if artifact["type"] == "report"]
    assert [artifact["name"] for artifact in reports] == ["pets-report"] * log_report
    shown = [one.read_text() for one in (folder / "files").rglob("*.html")]
    assert shown == ["<p>a report</p>"] * log_report


def test_more_than_100_classes_become_a_table_of_the_non_zero_cells(options, logged):
    matrix = np.eye(101, dtype=np.int64)
    matrix[0, 1] = 5
    classes = [f"class {index}" for index in range(101)]
    with open_tracker(**options) as tracker:
        tracker.log_confusion(matrix, classes)
    assert logged()[1] == saying("100", "confusion_matrix", "102", "101")
    folder = Path(tracker.location)
    path = records(folder, "history")[0]["item"]["confusion_matrix.path"]
    table = json.loads((folder / "files" / path).read_text())
    assert table["columns"] == ["true", "predicted", "images"]
    assert table["data"][:2] == [["class 0", "class 0", 1], ["class 0", "class 1", 5]]
    assert len(table["data"]) == 102


def test_long_tables_of_predictions_are_sampled_evenly(options, logged):
    long = pd.DataFrame({column: range(10) for column in ("path", "true", "predicted", "confidence", "correct")})
    with open_tracker(**options) as tracker:
        tracker.log_predictions(long, limit=4)
        with pytest.raises(ValueError, match=saying("predictions", "confidence", "correct").pattern):
            tracker.log_predictions(long.drop(columns=["confidence", "correct"]))
    assert logged()[1] == saying("4", "10", "predictions", "evenly")
    folder = Path(tracker.location)
    path = records(folder, "history")[0]["item"]["predictions.path"]
    assert [row[0] for row in json.loads((folder / "files" / path).read_text())["data"]] == [0, 2, 5, 7]
