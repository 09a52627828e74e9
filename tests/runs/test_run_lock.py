"""Locks: one writer at a time, whoever comes and goes in between."""

from __future__ import annotations

import errno
import multiprocessing
import os
import signal
import subprocess
import sys
import threading

import pytest
from messages import saying, says

from tlkit.errors import RunError
from tlkit.runs import judgement_lock, write_lock
from tlkit.runs import lock as lock_module


def test_a_second_writer_is_refused_and_nothing_is_left_behind(tmp_path):
    run = tmp_path / "runs" / "a"
    with write_lock(run):
        with pytest.raises(RunError, match=saying("name=OTHER", "written", "another").pattern):
            write_lock(run).__enter__()
        assert run.parent.is_dir()
    assert not run.parent.exists()
    with write_lock(run):
        pass


def test_an_error_within_the_lock_comes_through_as_it_is(tmp_path):
    with pytest.raises(BlockingIOError, match="mine"), write_lock(tmp_path / "a"):
        raise BlockingIOError("mine")


def test_a_lock_whose_file_was_removed_meanwhile_is_no_lock(tmp_path, monkeypatch):
    """A holder removes the file as it leaves: who waited on the removed one must wait for its successor."""
    file = tmp_path / ".a.lock"
    original, removed = lock_module.fcntl.flock, []

    def flock(handle, flags):
        if not removed:
            removed.append(file.unlink())
        return original(handle, flags)

    monkeypatch.setattr(lock_module.fcntl, "flock", flock)
    with write_lock(tmp_path / "a"):
        assert file.exists()
        with pytest.raises(RunError):
            write_lock(tmp_path / "a").__enter__()


def test_a_child_that_outlives_its_killed_parent_does_not_hold_the_run(tmp_path):
    """As a loader's worker does for some seconds, and a resume may not wait for."""
    script = (
        "import os, sys, time\n"
        "from pathlib import Path\n"
        "from tlkit.runs import write_lock\n"
        "with write_lock(Path(sys.argv[1])):\n"
        "    child = os.fork()\n"
        "    if child == 0:\n"
        "        os.close(1)\n"
        "        time.sleep(60)\n"
        "        os._exit(0)\n"
        "    print(child, flush=True)\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, tmp_path / "a"], stdout=subprocess.PIPE, text=True, check=False
    )
    try:
        assert done.returncode == -signal.SIGKILL
        with write_lock(tmp_path / "a"):
            pass
    finally:
        os.kill(int(done.stdout), signal.SIGKILL)


def _add(path, count):
    for _ in range(count):
        with judgement_lock(path):
            file = path / "number"
            number = int(file.read_text())
            file.write_text("")
            file.write_text(str(number + 1))


def test_processes_that_wait_for_each_other_lose_nothing(tmp_path):
    (tmp_path / "number").write_text("0")
    context = multiprocessing.get_context("forkserver")
    processes = [context.Process(target=_add, args=(tmp_path, 50)) for _ in range(2)]
    for process in processes:
        process.start()
    threads = [threading.Thread(target=_add, args=(tmp_path, 50)) for _ in range(2)]
    for worker in threads:
        worker.start()
    for worker in (*threads, *processes):
        worker.join()
    assert (tmp_path / "number").read_text() == "200"
    assert [path.name for path in tmp_path.iterdir()] == ["number"]


def test_a_file_system_without_locks_is_warned_of(tmp_path, monkeypatch, caplog):
    def flock(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(lock_module.fcntl, "flock", flock)
    with write_lock(tmp_path / "a"):
        pass
    assert says(caplog.text, "locked", "available", "process")
