"""A process forked for a piece of work: it is heard, it fails in words, and nothing is left of it."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tlkit import forked
from tlkit.forked import Forked, ForkedError, can_fork, tell

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forks on Linux only")


def is_running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_until(holds):
    until = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.02)


def sleep(_):
    time.sleep(60)


def test_it_knows_what_this_process_knows_and_both_can_talk():
    known = object()

    def work(home):
        tell(home, repr(known))
        tell(home, home.recv() + 1)

    with Forked(work) as other:
        other.say(41)
        assert (other.hear(), other.hear()) == (repr(known), 42)


def test_what_goes_wrong_there_is_told_in_words():
    def work(_):
        raise MemoryError("too many images")

    with Forked(work) as other, pytest.raises(ForkedError, match=r"^MemoryError: too many images$"):
        other.hear()


@pytest.mark.parametrize(("work", "words"), [(lambda _: None, "it has ended"), (lambda _: os._exit(3), "it has ended")])
def test_a_process_that_ends_too_soon_is_not_waited_for(work, words):
    with Forked(work) as other, pytest.raises(ForkedError, match=words):
        other.hear()
    other.say("too late")  # is no error


def test_what_was_told_before_the_end_is_heard():
    with Forked(lambda home: tell(home, "all")) as other:
        wait_until(lambda: not is_running(other.pid))
        assert other.hear() == "all"
        with pytest.raises(ForkedError, match="it has ended"):
            other.hear()


def test_a_process_that_is_killed_is_missed():
    with Forked(sleep) as other:
        os.kill(other.pid, signal.SIGKILL)
        with pytest.raises(ForkedError):
            other.hear()


def test_silence_is_borne_for_so_long_and_no_longer():
    with Forked(sleep) as other, pytest.raises(ForkedError, match="said nothing for 0 s"):
        other.hear(0.1)


def test_at_the_end_nothing_is_left_of_it_nor_of_what_it_has_started():
    def work(home):
        tell(home, subprocess.Popen(["sleep", "60"]).pid)
        time.sleep(60)

    with Forked(work) as other:
        grandchild = other.hear()
        assert is_running(grandchild)
    wait_until(lambda: not is_running(grandchild))
    assert not is_running(other.pid)
    other.end()  # once more is no error


def test_it_ends_by_itself_when_this_process_is_gone(tmp_path):
    program = (
        "import os, sys, time\n"
        "from tlkit.forked import Forked, tell\n"
        "def work(home):\n"
        "    while True:\n"
        "        tell(home, None)\n"
        "        time.sleep(0.05)\n"
        "print(Forked(work).pid, flush=True)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    gone = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)
    assert gone.returncode == -signal.SIGKILL and gone.stderr == ""
    wait_until(lambda: not is_running(int(gone.stdout)))


def test_ctrl_c_reaches_this_process_alone():
    with Forked(sleep) as other:
        wait_until(lambda: os.getpgid(other.pid) == other.pid)
        assert os.getpgid(0) != other.pid


def test_it_ends_at_once_when_this_process_is_gone_whatever_it_waits_for():
    program = (
        "import os, time\n"
        "from tlkit.forked import Forked, tell\n"
        "def work(home):\n"
        "    tell(home, 'there')\n"
        "    time.sleep(60)\n"
        "other = Forked(work)\n"
        "other.hear()\n"
        "print(other.pid, flush=True)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    gone = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)
    wait_until(lambda: not is_running(int(gone.stdout)))


def test_a_system_that_allows_no_process_is_told_in_words(monkeypatch):
    def refuse():
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(os, "fork", refuse)
    with pytest.raises(ForkedError, match=r"^it cannot be started: Resource temporarily unavailable$"):
        Forked(sleep)


def test_ignored_ends_of_processes_are_no_error():
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        with Forked(sleep) as other:
            pass
    finally:
        signal.signal(signal.SIGCHLD, before)
    wait_until(lambda: not is_running(other.pid))
    assert not is_running(other.pid)


def test_the_workers_of_a_pool_may_not_fork(monkeypatch):
    monkeypatch.setattr(threading, "active_count", lambda: 1)
    monkeypatch.setitem(multiprocessing.current_process()._config, "daemon", True)
    assert not can_fork()


def test_threads_and_other_systems_forbid_it(monkeypatch):
    monkeypatch.setattr(threading, "active_count", lambda: 1)
    assert can_fork()
    monkeypatch.setattr(threading, "active_count", lambda: 2)
    assert not can_fork()
    monkeypatch.setattr(threading, "active_count", lambda: 1)
    monkeypatch.setattr(forked.sys, "platform", "darwin")
    assert not can_fork()
