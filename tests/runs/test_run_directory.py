"""A run directory never loses what it holds."""

from __future__ import annotations

from pathlib import Path

import pytest
from messages import saying

from tlkit.errors import ModelError, RunError
from tlkit.inference.bench_run import bench_run
from tlkit.inference.export.verify_run import verify_run
from tlkit.inference.load_model import load_model
from tlkit.runs import RunDirectory
from tlkit.runs.find_run import find_model


def test_create_marks_the_directory_and_open_finds_it(tmp_path):
    run = RunDirectory.create(tmp_path / "runs" / "a")
    assert run.status == "running"
    run.set_status("finished")
    assert RunDirectory.open(tmp_path / "runs" / "a").status == "finished"


def test_a_process_that_dies_while_it_creates_a_run_leaves_nothing_that_is_nobodys(tmp_path, monkeypatch):
    (tmp_path / ".a.begun").mkdir()
    (tmp_path / ".a.begun" / ".run.json.1.partial").write_text("{")  # of one that was killed before
    with monkeypatch.context() as patch:
        patch.setattr(RunDirectory, "set_status", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            RunDirectory.create(tmp_path / "a")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / ".a.begun").mkdir()
    run = RunDirectory.create(tmp_path / "a")
    assert [path.name for path in run.path.iterdir()] == ["run.json"]
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_an_unfinished_run_names_both_ways_on(tmp_path):
    RunDirectory.create(tmp_path / "a").set_status("interrupted")
    message = saying(tmp_path / "a", "interrupted", "--resume", "--overwrite", "name=OTHER")
    with pytest.raises(RunError, match=message.pattern):
        RunDirectory.create(tmp_path / "a")


def test_overwrite_empties_a_run_first(tmp_path):
    run = RunDirectory.create(tmp_path / "a")
    (run.path / "old.txt").write_text("old")
    assert not (RunDirectory.create(tmp_path / "a", overwrite=True).path / "old.txt").exists()


def test_a_file_in_the_way_is_never_deleted(tmp_path):
    (tmp_path / "a").write_text("mine")
    with pytest.raises(RunError, match=saying("not a run").pattern):
        RunDirectory.create(tmp_path / "a", overwrite=True)
    assert (tmp_path / "a").read_text() == "mine"


def test_a_missing_run_suggests_its_neighbours(tmp_path, monkeypatch):
    RunDirectory.create(tmp_path / "pets-frozen")
    with pytest.raises(RunError, match=saying("'pets-frozen'", "frozn", "exist").pattern):
        RunDirectory.open(tmp_path / "pets-frozn")
    with pytest.raises(RunError, match=saying("zebra", "exist", ": pets-frozen").pattern):
        RunDirectory.open(tmp_path / "zebra")
    monkeypatch.chdir(tmp_path)
    RunDirectory.create(Path("runs/zebra"))
    with pytest.raises(RunError, match=saying("runs/zebra", "exist", "mean").pattern):
        RunDirectory.open(Path("zebra"))
    (tmp_path / "photos").mkdir()
    with pytest.raises(RunError, match=saying("photos", "run.json").pattern):
        RunDirectory.open(tmp_path / "photos")


def test_damaged_and_missing_files_are_told_apart(tmp_path):
    run = RunDirectory.create(tmp_path / "a")
    with pytest.raises(RunError, match=saying("no evaluation.json").pattern):
        run.read_json(run.evaluation)
    run.evaluation.write_text('{"cut": ')
    with pytest.raises(RunError, match=saying("evaluation.json", "damaged", "fit again").pattern):
        run.read_json(run.evaluation)


def test_a_write_that_fails_leaves_the_old_file_whole(tmp_path):
    run = RunDirectory.create(tmp_path / "a")
    run.write_json(run.audit, {"gap": 0.1})
    with pytest.raises(ValueError, match="Out of range float"):
        run.write_json(run.audit, {"gap": float("nan")})
    assert run.read_json(run.audit) == {"gap": 0.1}


def test_predictions_are_listed_with_the_test_split_first(tmp_path):
    run = RunDirectory.create(tmp_path / "a")
    assert run.predicted_splits == ()
    for split in ("train", "val", "test"):
        run.predictions(split).parent.mkdir(exist_ok=True)
        run.predictions(split).touch()
    assert run.predicted_splits == ("test", "val", "train")


def test_a_run_of_a_newer_tlkit_says_so(tmp_path):
    run = RunDirectory.create(tmp_path / "a")
    run.write_json(run.path / "run.json", {"format_version": 2, "status": "finished"})
    message = saying(run.path, "format 2", "up to 1", "pip install -U tlkit")
    with pytest.raises(RunError, match=message.pattern):
        RunDirectory.open(run.path)


@pytest.mark.parametrize("version", ["2", "1", None, True, 1.5, 0, -3, [2]])
def test_a_format_that_is_no_number_is_refused(tmp_path, version):
    run = RunDirectory.create(tmp_path / "a")
    run.write_json(run.path / "run.json", {"format_version": version, "status": "finished"})
    with pytest.raises(RunError, match=saying(run.path, "format", repr(str(version)), "restore").pattern):
        RunDirectory.open(run.path)


@pytest.mark.parametrize("verb", [load_model, bench_run, verify_run])
def test_what_needs_the_model_of_a_killed_run_says_how_to_continue_it(tmp_path, verb):
    run = RunDirectory.create(tmp_path / "my run")
    with pytest.raises(ModelError, match=saying("my run/recipe.yaml' --resume", "model.json").pattern):
        verb(run.path)
    with pytest.raises(ModelError, match=saying("--resume").pattern):
        load_model(find_model(run.path))


def test_a_run_without_predictions_is_continued_and_a_finished_one_fitted_again(tmp_path):
    run = RunDirectory.create(tmp_path / "a")
    with pytest.raises(RunError, match=saying("no predictions", "--resume").pattern):
        run.judged_split()
    run.set_status("finished")
    with pytest.raises(RunError, match=saying("no predictions", "--overwrite").pattern):
        run.judged_split()
