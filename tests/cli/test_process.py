"""The command line as a process: how it treats Python's garbage collector, and how it ends."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

BEGIN = """\
import atexit, gc, os, signal, sys, threading, time, types
import tlkit.__main__ as process
"""
AT_EXIT = "atexit.register(lambda: print('registered'))"


def process_that(work, *, first=AT_EXIT, last="print('on')", stdout=subprocess.PIPE):
    """Run `work` as the command line's main function; `last` follows it where the process has not ended by then."""
    lines = [BEGIN, first, "def main():", f"    {work}", "process.main = main"]
    lines += ["try:", "    process.run()", "finally:", f"    {last}"]
    return subprocess.run(
        [sys.executable, "-c", "\n".join(lines)],
        stdout=stdout, stderr=subprocess.PIPE, text=True, check=False, timeout=60,
        env={**os.environ, "PYTHONUNBUFFERED": ""},
    )  # fmt: skip


def test_old_objects_are_searched_seldom_and_young_ones_as_ever():
    done = process_that("print(gc.get_threshold(), gc.isenabled())")
    assert done.stdout.splitlines()[0] == "(700, 10, 1000) True"


@pytest.mark.parametrize(("work", "code"), [("return", 0), ("sys.exit()", 0), ("sys.exit(3)", 3)])
def test_it_ends_with_the_code_that_was_asked_for_and_leaves_nothing_undone_but_tidying_up(work, code):
    done = process_that(work)
    assert (done.returncode, done.stdout.splitlines(), done.stderr) == (code, ["registered"], "")


def test_an_interrupt_while_threads_are_awaited_ends_it_without_a_traceback():
    interrupt = "threading.Timer(0.5, lambda: (os.kill(os.getpid(), signal.SIGINT), time.sleep(0.5))).start()"
    done = process_that(interrupt)
    assert (done.returncode, done.stdout.splitlines(), done.stderr) == (130, ["registered"], "interrupted\n")


def test_threads_are_awaited():
    done = process_that("threading.Thread(target=lambda: (time.sleep(0.2), print('thread'))).start()")
    assert (done.stdout.splitlines(), done.returncode) == (["thread", "registered"], 0)


@pytest.mark.parametrize(
    ("work", "first", "code"),
    [
        ("sys.exit(3)", "sys.setprofile(lambda *_: None)", 3),
        ("sys.exit(3)", "sys.monitoring = types.SimpleNamespace(get_tool=[0, 0, 'cProfile', 0, 0, 0].__getitem__)", 3),
        ("sys.exit('words')", "", 1),
        ("1 / 0", "", 1),
    ],
)
def test_a_process_that_is_watched_or_ends_in_words_ends_as_python_ends(work, first, code):
    done = process_that(work, first=first)
    assert (done.returncode, done.stdout.splitlines()) == (code, ["on"])


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no full device")
def test_what_cannot_be_written_in_the_end_shows_in_the_exit_code():
    with Path("/dev/full").open("w") as full:
        done = process_that("print('words')", first="", last="pass", stdout=full)
    assert done.returncode == 120, done.stderr
    assert "No space left" in done.stderr


def shell(line: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a line of a shell that fails where any part of a pipe does; `tlkit` is the command."""
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", line.replace("tlkit", f"'{sys.executable}' -m tlkit")],
        capture_output=True, text=True, cwd=cwd, timeout=120, check=False,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )  # fmt: skip


@pytest.mark.parametrize("line", ["tlkit models | head -1", "tlkit --help | true", "tlkit recipe schema | head -1"])
def test_a_reader_that_ends_first_is_no_failed_gate_and_no_traceback(line, tmp_path):
    done = shell(line, tmp_path)
    assert done.returncode in (0, 141)  # 0 where all was written before the reader ended
    assert done.stderr == ""


def test_a_reader_that_ends_before_the_output_gives_the_code_of_a_broken_pipe(tmp_path):
    done = shell("tlkit models | true", tmp_path)  # `true` is over long before Python has started
    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
def test_a_process_without_streams_does_its_work_all_the_same(closed, tmp_path):
    lines = "path,y_true,y_pred,light\n" + "".join(f"{i}.png,a,{'ab'[i % 5 == 0]},day\n" for i in range(40))
    (tmp_path / "p.csv").write_text(lines)
    done = shell(f"tlkit evaluate p.csv {closed}", tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
