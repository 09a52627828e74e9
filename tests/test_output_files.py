"""Output files that cannot be written are refused before the work, with the path and the remedy."""

from __future__ import annotations

import errno
import os
import sys
import tempfile
from pathlib import Path

import pytest
from messages import saying, says

from tlkit.errors import DataError
from tlkit.output_files import require_folder, require_writable


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
