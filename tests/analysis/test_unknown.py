"""Unknown images, drift, errors and label-next of a run, in Python and on the command line."""

from __future__ import annotations

import json
import shutil

import tlkit.torchvision_cure

import numpy as np
import pandas as pd
import pytest
from command import invoke
from image_folders import write_image_folder, write_images
from messages import saying, says
from run_fixtures import working_in
from scipy.spatial.distance import cdist
from sklearn.metrics import roc_auc_score

import tlkit
from tlkit.analysis.error_report import ErrorReport
from tlkit.errors import DataError, PredictionsError, RunError, TlkitError
from tlkit.evaluation.drift_report import DriftReport
from tlkit.evaluation.label_next_result import LabelNext
from tlkit.evaluation.unknown_report import UnknownReport
from tlkit.inference.embed_run import embed_run
from tlkit.inference.unknown_images import predict_unknown
from tlkit.predictions import read_predictions
from tlkit.render.plots import plot_contact_sheet, plot_drift, plot_unknown, to_svg
from tlkit.stats.intervals import wilson

RECIPE = """\
recipe_version: 1
name: colours
data: {{root: {root}, num_workers: 0, image_size: 32, metadata: meta.csv, groups: [light]}}
augment: none
model: {{name: test_resnet, weights: none}}
strategy: {{kind: frozen, head: logistic}}
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("unknown")
    with working_in(folder):
        root = write_image_folder(folder / "data", train=30, val=30, test=30)
        paths = sorted(path.relative_to(root).as_posix() for path in root.rglob("*.png"))
        light = ["day" if number % 3 else "night" for number in range(len(paths))]
        pd.DataFrame({"path": paths, "light": light}).to_csv(root / "meta.csv", index=False)
        write_images(folder / "green", (50, 180, 60), 25, seed=1)
        write_images(folder / "new", (40, 60, 200), 40, seed=2)
        write_images(folder / "new_red", (210, 50, 40), 40, seed=3)
        (folder / "r.yaml").write_text(RECIPE.format(root=root))
        yield tlkit.fit(folder / "r.yaml", runs_dir=folder / "runs")


@pytest.fixture
def at_home(run, monkeypatch):
    home = run.path.parents[1]
    monkeypatch.chdir(home)
    monkeypatch.setenv("TLKIT_CACHE", str(home / "cache"))
    return home


def shown(*words):
    return invoke([str(word) for word in words])


@pytest.mark.slow
def test_the_threshold_comes_from_val_alone_and_false_alarms_are_shown_by_group(run, at_home):
    report = tlkit.find_unknown(run, against={"green": at_home / "green"}, false_alarms=0.1)
    splits = {name: embed_run(run, splits=name).x for name in ("train", "val", "test")}
    units = {name: x / np.linalg.norm(x, axis=1, keepdims=True) for name, x in splits.items()}
    knn = {name: np.sort(cdist(x, units["train"]), axis=1)[:, 4] for name, x in units.items() if name != "train"}
    assert report.scores["val"] == pytest.approx(knn["val"], abs=1e-5)
    assert report.threshold.value == pytest.approx(np.sort(knn["val"])[54], abs=1e-5)  # ⌈61 · 0.9⌉ = 55
    beyond = knn["test"] > report.threshold.value
    assert report.groups[0].rate == wilson(int(beyond.sum()), 60)
    assert [(one.by, one.group, one.n) for one in report.groups[1:]] == [
        ("class", "blue", 30),
        ("class", "red", 30),
        ("light", "day", 40),
        ("light", "night", 20),
    ]
    found = next(one for one in report.foreign if one.score == "knn")
    labels = np.repeat([0, 1], [60, 25])
    both = np.concatenate([report.scores["test"], report.scores["green"]])
    assert found.detection.auroc.value == pytest.approx(roc_auc_score(labels, both))
    assert {one.score for one in report.thresholds} == {"msp", "energy", "knn", "mahalanobis"}
    stated = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert UnknownReport.from_dict(stated).to_dict() == report.to_dict()
    assert says(" ".join(note for table in report.tables() for note in table.notes), "validation", "OpenOOD", "predict")
    assert to_svg(lambda: plot_unknown(report)).startswith("<svg")


@pytest.mark.slow
def test_predict_says_unknown_only_on_request_and_changes_no_prediction(run, at_home):
    tlkit.find_unknown(run, score="knn")
    known, foreign = at_home / "new", at_home / "green"
    plain = shown("predict", run.path, known, foreign, "--out", "p.csv")
    asked = shown("predict", run.path, known, foreign, "--out", "u.csv", "--unknown")
    assert plain.exit_code == asked.exit_code == 0
    before, after = pd.read_csv("p.csv"), pd.read_csv("u.csv")
    pd.testing.assert_frame_equal(before, after[before.columns])
    model = tlkit.load_model(run)
    found = predict_unknown(model, [known, foreign], run=run)
    assert (after["unknown"] == np.where(found.unknown, "yes", "no")).all()
    assert np.array_equal(found.predictions.proba, model.predict([known, foreign]).proba)
    assert says(asked.stdout, "blue", "all images", f"{int(found.unknown.sum())}")
    assert read_predictions("u.csv").group_columns == ("unknown", "unknown_score")
    printed = shown("predict", run.path, foreign, "--unknown")
    assert printed.exit_code == 0 and ("unknown" in printed.stdout) and "instead of" in printed.stdout
    assert not model.network.head._forward_pre_hooks, "nothing is left on the model"
    with pytest.raises(PredictionsError, match="--tta"):
        raise shown("predict", run.path, known, "--unknown", "--tta", "flip").exception


@pytest.mark.slow
def test_what_cannot_be_decided_or_is_not_there_says_so(run, at_home, tmp_path):
    report = tlkit.find_unknown(run, false_alarms=0.001, store=False)
    assert report.threshold.value is None and not report.stored and report.groups == ()
    assert says(report.tables()[0].notes[0], "NOT ENOUGH DATA", "60", "999")
    with pytest.raises(DataError, match=saying("false_alarms is 2").pattern):
        tlkit.find_unknown(run, false_alarms=2)
    with pytest.raises(DataError, match=saying("'kn'", "Did you mean 'knn'").pattern):
        tlkit.find_unknown(run, score="kn")
    with pytest.raises(DataError, match="test"):
        tlkit.find_unknown(run, against={"test": at_home / "green"})
    copy = tlkit.open_run(shutil.copytree(run.path, tmp_path / "copy"))
    for file in copy.directory.model.glob("unknown*"):
        file.unlink()
    with pytest.raises(TlkitError, match="tlkit unknown RUN"):
        raise shown("predict", copy.path, at_home / "new", "--unknown").exception
    table = copy.samples.table.query("split != 'val'")
    copy.directory.split.write_text(table.to_csv(index=False, lineterminator="\n"))
    with pytest.raises(RunError, match=saying("no val images", "data.val").pattern):
        tlkit.find_unknown(copy)


@pytest.mark.slow
def test_drift_is_found_where_there_is_some_and_not_where_there_is_none(run, at_home):
    same = tlkit.drift(run, [at_home / "new", at_home / "new_red"], permutations=199)
    assert (same.verdict, same.images, same.reference, same.copies) == ("NO DRIFT FOUND", 80, "train", 0)
    other = tlkit.drift(run, [at_home / "green", at_home / "new"], permutations=199)
    assert other.verdict == "DRIFT" and max(test.p_holm for test in other.tests) <= 0.05
    assert {one.path.split("/")[-2] for one in other.foreign[:20]} == {"green"}
    distances = [one.distance for one in other.foreign]
    assert distances == sorted(distances, reverse=True) and 0 < other.foreign[0].tail <= 0.1
    files = [sorted((at_home / name).iterdir())[:4] for name in ("new", "new_red")]
    few = tlkit.drift(run, [*files[0], *files[1]], permutations=199)
    assert few.verdict == "NOT ENOUGH DATA" and says(few.tables()[0].notes[0], "8 units", "20")
    tiny = tlkit.drift(run, sorted((at_home / "new").iterdir())[:2])
    assert tiny.verdict == "NOT ENOUGH DATA" and tiny.tests == () and tiny.detectable is None
    for one in (same, other, few, tiny):
        assert DriftReport.from_dict(json.loads(json.dumps(one.to_dict(), allow_nan=False))).to_dict() == one.to_dict()
    assert to_svg(lambda: plot_drift(other)).startswith("<svg")


@pytest.mark.slow
def test_copies_and_clusters_of_new_images_count_once(run, at_home, tmp_path):
    folder = tmp_path / "copies"
    folder.mkdir()
    for number, file in enumerate(sorted((at_home / "new").iterdir())[:6]):
        for copy in range(5):
            shutil.copy(file, folder / f"{number}_{copy}.png")
    found = tlkit.drift(run, folder)
    assert (found.images, found.copies, found.clusters[0]) == (6, 24, 6)
    by_folder = tlkit.drift(run, [at_home / "new", at_home / "new_red"], cluster_by="folder")
    assert by_folder.clusters[0] == 2 and by_folder.verdict == "NOT ENOUGH DATA"
    names = [str(path) for path in sorted((at_home / "new").iterdir())]
    bursts = pd.DataFrame({"path": names, "burst": [f"b{number // 2}" for number in range(40)]})
    found = tlkit.drift(run, at_home / "new", cluster_by="burst", groups=bursts, permutations=199)
    assert found.clusters[0] == 20 and says(" ".join(found.tables()[0].notes), "whole units")
    root = run.samples.root
    with pytest.raises(DataError, match="nothing new"):
        tlkit.drift(run, root / "train")
    for wrong, said in (
        ({"alpha": 0.0}, "alpha is 0"),
        ({"permutations": 10}, "10 permutations"),
        ({"cluster_by": "burst"}, "cluster_by"),
        ({"cluster_by": "bursts", "groups": bursts}, "no column 'bursts'"),
        ({"reference": "tests"}, "'tests'"),
    ):
        with pytest.raises(TlkitError, match=said):
            tlkit.drift(run, at_home / "new", **wrong)


@pytest.mark.slow
@pytest.mark.figures
def test_label_next_leaves_copies_out_and_says_what_labels_would_bring(run, at_home, tmp_path):
    pool = tmp_path / "pool"
    shutil.copytree(at_home / "new", pool)
    shutil.copytree(at_home / "green", pool / "green")
    shutil.copytree(run.samples.root / "train" / "red", pool / "labelled")
    found = tlkit.label_next(run, pool, count=7, forecast=False)
    model = tlkit.load_model(run)
    proba = np.sort(model.predict([path for path in sorted(pool.rglob("*.png")) if "labelled" not in str(path)]).proba)
    assert [one.margin for one in found.images] == pytest.approx(np.sort(proba[:, -1] - proba[:, -2])[:7], abs=1e-4)
    assert (found.pool, found.copies, len(found.images)) == (65, 30, 7)
    cover = tlkit.label_next(run, pool, count=3, by="coverage", forecast=False)
    first = cover.images[0]
    assert "green" in first.path and first.distance == pytest.approx(first.value, abs=1e-4)
    assert len(tlkit.label_next(run, pool, count=500, by="typicality", forecast=False).images) == 65
    assert LabelNext.from_dict(json.loads(json.dumps(found.to_dict(), allow_nan=False))) == found
    (stored,) = json.loads(run.directory.label_next.read_text()).values()  # the latest choice of this pool
    assert stored["method"] == "typicality" and len(stored["images"]) == 65
    asked = shown("label-next", run.path, pool, "-n", 5, "--out", "l.csv", "--sheet", "l.svg", "--no-forecast")
    assert asked.exit_code == 0 and says(asked.stdout, "5 images to label next", "margin")
    listed = pd.read_csv("l.csv")
    assert len(listed) == 5 and listed["label"].isna().all() and (at_home / "l.svg").stat().st_size > 1000
    with pytest.raises(DataError, match=saying("'margins'", "Did you mean 'margin'").pattern):
        tlkit.label_next(run, pool, by="margins")
    with pytest.raises(DataError, match="nothing to label"):
        tlkit.label_next(run, run.samples.root / "train")
    with pytest.raises(DataError, match="count is 0"):
        tlkit.label_next(run, pool, count=0)


@pytest.mark.series
def test_the_forecast_is_the_learning_curves(run, at_home):
    found = tlkit.label_next(run, at_home / "new", count=9)
    assert found.gain == tlkit.learning_curve(run).gain(9)
    assert says(found.tables()[0].notes[1], "bring" if found.gain.value is None else "learning curve")


@pytest.mark.slow
def test_the_commands_print_and_draw(run, at_home, tmp_path):
    for words in (
        ("errors", run.path, "--sheet", tmp_path / "a.svg"),
        ("unknown", run.path, "--against", at_home / "green", "--plot", tmp_path / "b.svg", "--no-store"),
        ("drift", run.path, at_home / "green", "--plot", tmp_path / "c.svg", "--sheet", tmp_path / "d.svg"),
    ):
        done = shown(*words)
        assert done.exit_code == 0, done.output
    assert all((tmp_path / f"{name}.svg").read_text().startswith("<svg") for name in "abcd")
    as_json = shown("drift", run.path, at_home / "green", "--json")
    assert as_json.exit_code == 0 and json.loads(as_json.stdout)["verdict"] == "DRIFT"
    assert says(repr(run), "finished") and isinstance(tlkit.find_errors(run), ErrorReport)


@pytest.mark.figures
def test_a_contact_sheet_takes_images_of_any_shape_and_none():
    wide, tall = np.zeros((10, 40, 3), dtype=np.uint8), np.full((40, 10, 3), 200, dtype=np.uint8)
    svg = to_svg(lambda: plot_contact_sheet({"a $x^2$": [(wide, "w\n1"), (tall, "t")] * 6, "b": []}, columns=5))
    assert "<image" in svg and svg.count(">w</") == 6 and "a $x^2$" in svg
    assert "no images" in to_svg(lambda: plot_contact_sheet({}))
