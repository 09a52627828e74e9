"""MLflow and TensorBoard: the same record through the same interface, read back with the tools' own readers."""

from __future__ import annotations

import io
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
from PIL import Image

from tlkit.errors import RecipeError
from tlkit.tracking.wandb_environment import environment_set

PREDICTIONS = pd.DataFrame(
    {
        "path": ["a/1.jpg", "b/2.jpg", "b/3.jpg"],
        "true": ["a", "b", "b"],
        "predicted": ["a", "b", "a"],
        "confidence": [0.9, 0.8, 0.6],
        "correct": [True, True, False],
        "skin_tone": ["dark-secret", "light", "dark-secret"],
    }
)
CURVE = pd.DataFrame({"series": ["a", "a", "b"], "recall": [1.0, 0.5, 1.0], "precision": [0.5, 1.0, 0.75]})


def jpeg(shade):
    buffer = io.BytesIO()
    Image.new("RGB", (20, 10), (shade, 0, 0)).save(buffer, "JPEG")
    return buffer.getvalue()


def record_everything(options):
    model = options["run_dir"] / "model"
    model.mkdir()
    (model / "classes.json").write_text('["a", "b"]')
    page = options["run_dir"] / "report.html"
    page.write_text("<p>a report</p>")
    with open_tracker(**options) as tracker:
        for epoch, loss in enumerate([0.5, 0.25], start=1):
            tracker.log_metrics({"train/loss": loss, "learning_rate/head": 0.01 / epoch}, epoch=epoch)
        tracker.log_summary({"test/accuracy": 2 / 3, "test/audit": "FAIL"})
        tracker.log_predictions(PREDICTIONS, name="test/predictions")
        tracker.log_images(PREDICTIONS, {"a/1.jpg": jpeg(0), "b/3.jpg": jpeg(200)}, name="test/images")
        tracker.log_curve(CURVE, name="test/pr_curve", x="recall", y="precision")
        tracker.log_confusion(np.array([[1, 0], [1, 1]]), ["a", "b"], name="test/confusion")
        tracker.log_dataset(PREDICTIONS[["path", "true"]], metadata={"fingerprint": "f00"})
        tracker.alert("The audit fails", "1 worse")
        tracker.log_report(page)
        tracker.log_model(model, metadata={"backbone": "test_resnet"}, aliases=("best",))
    return tracker


@pytest.fixture
def mlflow_options(options, monkeypatch):
    pytest.importorskip("mlflow")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return options | {"kind": "mlflow", "mode": "auto", "log_report": True, "group": "pets-seeds", "job_type": None}


def read_mlflow(folder, run_id):
    """Return MLflow's run, the history of its metrics and its artifacts by path, through MLflow's own client."""
    from mlflow import MlflowClient

    with environment_set({"MLFLOW_ALLOW_FILE_STORE": "true", "MLFLOW_DISABLE_TELEMETRY": "true"}):
        client = MlflowClient(tracking_uri=folder.as_uri())
        run = client.get_run(run_id)
        history = {
            name: [(one.step, one.value) for one in client.get_metric_history(run_id, name)]
            for name in run.data.metrics
        }
        folders, found = [None], {}
        while folders:
            for entry in client.list_artifacts(run_id, folders.pop()):
                if entry.is_dir:
                    folders.append(entry.path)
                else:
                    found[entry.path] = Path(client.download_artifacts(run_id, entry.path))
    return run, history, found


def test_mlflow_reads_back_every_item(mlflow_options, home):
    environment = dict(os.environ)
    tracker = record_everything(mlflow_options)
    run, history, files = read_mlflow(mlflow_options["run_dir"] / "mlruns", tracker.run_id)
    assert dict(os.environ) == environment
    assert list(home.rglob("*")) == []

    assert run.info.status == "FINISHED"
    assert run.info.run_name == "pets"
    assert run.data.params == {"seed": "3", "train.epochs": "2"}
    assert json.loads(files["config.json"].read_text()) == mlflow_options["config"]
    assert history == {
        "train/loss": [(1, 0.5), (2, 0.25)],
        "learning_rate/head": [(1, 0.01), (2, 0.005)],
        "test/accuracy": [(2, 2 / 3)],
    }
    tags = run.data.tags
    assert (tags["tag.quick"], tags["group"], tags["test/audit"]) == ("true", "pets-seeds", "FAIL")
    assert (tags["data.fingerprint"], tags["model.aliases"]) == ("f00", "latest,best")
    assert tags["mlflow.note.content"] == "The audit fails: 1 worse"

    read = pd.read_csv(files["test/predictions.csv"])
    assert read.equals(PREDICTIONS.drop(columns="skin_tone"))
    shown = pd.read_csv(files["test/images.csv"])
    assert list(shown["path"]) == ["a/1.jpg", "b/3.jpg"]
    pixels = [np.asarray(Image.open(files[f"test/images/{name}"])) for name in shown["image"]]
    assert [one.shape for one in pixels] == [(10, 20, 3)] * 2
    assert pixels[1][..., 0].mean() == pytest.approx(200, abs=3)
    assert pd.read_csv(files["test/pr_curve.csv"]).equals(CURVE)
    cells = pd.read_csv(files["test/confusion.csv"])
    assert cells.to_numpy().tolist() == [["a", "a", 1], ["b", "a", 1], ["b", "b", 1]]
    assert pd.read_csv(files["dataset.csv"]).equals(PREDICTIONS[["path", "true"]])
    assert files["report.html"].read_text() == "<p>a report</p>"
    assert files["model/classes.json"].read_text() == '["a", "b"]'
    assert json.loads(files["model_metadata.json"].read_text()) == {"backbone": "test_resnet"}
    texts = [path.read_bytes() for path in (mlflow_options["run_dir"] / "mlruns").rglob("*") if path.is_file()]
    assert not [text for text in texts if b"dark-secret" in text]


@pytest.mark.parametrize(("error", "status"), [(ZeroDivisionError(), "FAILED"), (SystemExit(130), "KILLED")])
def test_an_error_ends_the_mlflow_run_with_its_status(mlflow_options, error, status):
    with pytest.raises(type(error)), open_tracker(**mlflow_options) as tracker:
        raise error
    run, _, _ = read_mlflow(mlflow_options["run_dir"] / "mlruns", tracker.run_id)
    assert run.info.status == status


def test_an_mlflow_server_that_does_not_answer_costs_no_run(mlflow_options, monkeypatch, logged):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")  # the discard port: refused at once
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with open_tracker(**mlflow_options) as tracker:
        tracker.log_metrics({"train/loss": 1.0}, epoch=1)
    assert logged()[0] == saying("http://127.0.0.1:9", "mlruns")
    _, history, _ = read_mlflow(mlflow_options["run_dir"] / "mlruns", tracker.run_id)
    assert history == {"train/loss": [(1, 1.0)]}


def test_mlflow_online_without_an_address_is_an_error(mlflow_options):
    with pytest.raises(RecipeError) as error:
        open_tracker(**mlflow_options | {"mode": "online"})
    assert str(error.value) == saying("tracking.mode", "MLFLOW_TRACKING_URI", "'mode: offline'")


def test_a_store_that_is_lost_is_left_after_three_failures(mlflow_options, logged):
    with open_tracker(**mlflow_options) as tracker:
        folder = mlflow_options["run_dir"] / "mlruns"
        folder.rename(folder.with_name("gone"))
        for epoch in range(6):
            tracker.log_metrics({"train/loss": 1.0}, epoch=epoch)
    failures = [text for text in logged() if "failed at" in text]
    assert len(failures) == 3
    assert logged()[-1] == saying("tlkit track push")


def test_tensorboard_reads_back_every_item(options, home, tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    record_everything(options | {"kind": "tensorboard"})
    assert list(home.rglob("*")) == []
    folder = options["run_dir"] / "tensorboard"
    read = EventAccumulator(str(folder), size_guidance={"images": 0, "tensors": 0})
    read.Reload()
    scalars = {name: [(one.step, one.value) for one in read.Scalars(name)] for name in read.Tags()["scalars"]}
    assert scalars["train/loss"] == [(1, 0.5), (2, 0.25)]
    assert scalars["learning_rate/head"] == [(1, pytest.approx(0.01)), (2, pytest.approx(0.005))]
    assert scalars["test/pr_curve/a"] == [(1000, 0.5), (500, 1.0)]
    assert [value for _, value in scalars["test/accuracy"]] == [pytest.approx(2 / 3)]
    images = {name: read.Images(name)[0] for name in read.Tags()["images"]}
    assert sorted(images) == ["test/images/0000 a predicted a 90%", "test/images/0001 b predicted a 60%"]
    pixels = np.asarray(Image.open(io.BytesIO(images[max(images)].encoded_image_string)))
    assert pixels.shape == (10, 20, 3)
    assert pixels[..., 0].mean() == pytest.approx(200, abs=3)
    tensors = {name: read.Tensors(name)[0].tensor_proto.string_val for name in read.Tags()["tensors"]}
    texts = {name.removesuffix("/text_summary"): values[0].decode() for name, values in tensors.items() if values}
    assert "| b/3.jpg | b | a | 0.6 | False |" in texts["test/predictions"]
    assert "| test/audit | FAIL |" in texts["summary/test"]
    assert '"epochs": 2' in texts["config"]
    assert "f00" in texts["dataset"]
    assert "The audit fails" in texts["alert"]
    assert not [path for path in folder.iterdir() if b"dark-secret" in path.read_bytes()]


def test_a_second_process_of_a_run_replaces_what_tensorboard_shows(options):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    for losses in ([0.5], [0.5, 0.25]):  # a resumed run sends its whole history
        with open_tracker(**options | {"kind": "tensorboard"}) as tracker:
            for epoch, loss in enumerate(losses, start=1):
                tracker.log_metrics({"train/loss": loss}, epoch=epoch)
    read = EventAccumulator(str(options["run_dir"] / "tensorboard"))
    read.Reload()
    assert [(one.step, one.value) for one in read.Scalars("train/loss")] == [(1, 0.5), (2, 0.25)]


@pytest.mark.parametrize("kind", ["mlflow", pytest.param("tensorboard", marks=pytest.mark.series)])
def test_a_tracker_that_is_not_installed_is_an_error_with_the_extra(kind, options, tmp_path):
    """In another process, from a folder whose module of that name cannot be imported."""
    (tmp_path / f"{kind}.py").write_text("raise ImportError('no such package here')\n")
    code = (
        "from pathlib import Path; from tlkit.recipe import TrackingSection\n"
        "from tlkit.tracking import create_tracker\n"
        f"create_tracker(TrackingSection(kind={kind!r}), name='a', run_dir=Path('run'), config={{}})"
    )
    path = os.pathsep.join([str(tmp_path), *sys.path])
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        check=False,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert done.returncode != 0
    assert done.stderr.splitlines()[-1] == saying("RecipeError", kind, 'pip install "tlkit[trackers]"')
    assert not (tmp_path / "run").exists()
