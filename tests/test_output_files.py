"""Output files that cannot be written are refused before the work, with the path and the remedy."""

from __future__ import annotations

import errno
import os
import sys
import tempfile
from pathlib import Path

import pandas as pd
import pytest
from command import tlkit
from messages import saying, says

from tlkit.errors import DataError
from tlkit.output_files import require_folder, require_folder_name, require_writable


def problem(path, **options):
    with pytest.raises(DataError) as caught:
        require_writable({"--out": path}, **options)
    (found,) = caught.value.problems
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
def test_a_folder_of_the_system_that_takes_no_files_is_named():
    assert says(problem(Path("/proc/x.csv")), "--out /proc/x.csv", "the folder /proc", "another place")
    assert says(problem(Path("/proc/new/x.csv")), "--out /proc/new/x.csv", "the folder /proc", "another place")
    with pytest.raises(DataError, match="The runs folder /proc/runs"):
        require_folder("/proc/runs", name="The runs folder")


def test_a_folder_a_file_in_the_path_a_circle_of_links_and_a_long_name_are_told_apart(tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "circle").symlink_to("circle")
    assert says(problem(tmp_path), f"--out {tmp_path}", "is a folder", "Name a file in it")
    assert says(problem(tmp_path / "file" / "x.csv"), "a file, where a folder is needed")
    assert says(problem(tmp_path / "circle" / "x.csv"), "circle", "another place")
    assert says(problem(tmp_path / ("x" * 300)), "shorter name")


@pytest.mark.parametrize(
    ("number", "remedy"), [(errno.EACCES, "permissions"), (errno.EROFS, "permissions"), (errno.ENOSPC, "Free some")]
)
def test_what_the_system_says_of_the_folder_is_passed_on(number, remedy, tmp_path, monkeypatch):
    def refuse(**_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    assert says(problem(tmp_path / "x.csv"), f"the folder {tmp_path}", os.strerror(number), remedy)
    (tmp_path / "summary.md").touch()  # a file that is written into, such as a CI job's page, needs no new file
    require_writable({"--summary": tmp_path / "summary.md"}, in_place=True)


def test_all_problems_come_at_once_and_nothing_is_changed(tmp_path):
    (tmp_path / "here").mkdir()
    (tmp_path / "kept.csv").write_text("kept")
    before = sorted(tmp_path.rglob("*")), (tmp_path / "here").stat().st_mtime_ns
    require_writable({"--out": tmp_path / "here/new/x.csv", "--html": None, "--junit": tmp_path / "kept.csv"})
    with pytest.raises(DataError) as caught:
        require_writable({"--out": tmp_path, "--html": tmp_path / "here"})
    assert caught.value.problems == (saying(f"--out {tmp_path}"), saying(f"--html {tmp_path / 'here'}"))
    assert (sorted(tmp_path.rglob("*")), (tmp_path / "here").stat().st_mtime_ns) == before
    assert (tmp_path / "kept.csv").read_text() == "kept"


def test_a_pipe_is_never_opened_or_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    require_writable({"--out": tmp_path / "pipe"})  # to open it would wait for a reader
    assert (tmp_path / "pipe").is_fifo()


@pytest.mark.parametrize("name", ["x.parquet", "x.JSONL", "x.csv.gz", "x.tsv", "run.yaml", "x.tar"])
def test_a_folder_is_not_given_the_name_of_a_file(name, tmp_path):
    with pytest.raises(DataError) as error:
        require_folder_name(tmp_path / name, name="--out", hint="A list ends in .csv.")
    assert says(error.value, f"--out {tmp_path / name}", "Name a folder", "A list ends in .csv.")
    assert not list(tmp_path.iterdir())
    (tmp_path / name).mkdir()
    require_folder_name(tmp_path / name, name="--out")  # it is there, so it is meant


@pytest.mark.parametrize("name", ["photos", "v1.2", "photos.v2", "2026.12.02", "data.parquet.d"])
def test_other_names_of_folders_are_taken(name, tmp_path):
    require_folder_name(tmp_path / name, name="--out")


def test_commands_make_no_folder_with_the_name_of_a_file(image_folder, tmp_path):
    root = image_folder(train=2, test=1)
    table = pd.DataFrame({"image": [{"bytes": next(root.rglob("*.png")).read_bytes(), "path": "a.png"}], "label": [0]})
    table.to_parquet(tmp_path / "d.parquet")
    commands = (
        ("data", "import", "parquet", "d.parquet", "--out", "x.parquet"),
        ("data", "sample", "digits", "x.parquet"),
        ("init", root, "--out", "x.parquet"),
        ("evidence", root, "--out", "x.parquet"),
        ("push", root, "--to", "x.parquet"),
    )
    for command in commands:
        done = tlkit(*command, cwd=tmp_path)
        assert done.returncode == 2 and "x.parquet" in done.stderr and "Traceback" not in done.stderr, command
        assert not (tmp_path / "x.parquet").exists(), command
