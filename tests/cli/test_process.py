"""The command line as a process: it ends as any Python process does, with the exit code that stands for its result."""

from __future__ import annotations

import fcntl
import os
import pstats
import signal
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest

LIBRARY = Path(__file__).parents[2]
PAGE = 4096  # bytes
GOOD = "path,y_true,y_pred\n" + "".join(f"{i}.png,a,{'ab'[i % 5 == 0]}\n" for i in range(40))


def python(*arguments: object, cwd: Path, stdout: object = subprocess.PIPE) -> subprocess.CompletedProcess[str]:
    """Run Python with the library of this checkout."""
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        cwd=cwd,
        timeout=120,
        check=False,
        env={**os.environ, "PYTHONPATH": str(LIBRARY)},
    )


@pytest.fixture
def predictions(tmp_path):
    (tmp_path / "p.csv").write_text(GOOD)
    return tmp_path / "p.csv"


@pytest.mark.parametrize(
    ("arguments", "code"), [(["evaluate", "p.csv"], 0), (["evaluate", "nowhere.csv"], 2), (["--version"], 0)]
)
def test_the_exit_code_is_that_of_the_result(arguments, code, predictions, tmp_path):
    assert python("-m", "tlkit", *arguments, cwd=tmp_path).returncode == code


def test_exit_functions_threads_and_what_follows_the_command_run_as_in_any_process(predictions, tmp_path):
    code = (
        "import atexit, gc, sys, threading\n"
        "from tlkit.cli.app import main\n"
        "before = gc.get_threshold(), gc.isenabled()\n"
        "atexit.register(lambda: print('exit function'))\n"
        "threading.Thread(target=lambda: (threading.main_thread().join(), print('thread'))).start()\n"
        "sys.argv = ['tlkit', '--version']\n"
        "try:\n    main()\nfinally:\n    print('after', (gc.get_threshold(), gc.isenabled()) == before)"
    )
    done = python("-c", code, cwd=tmp_path)
    assert (done.returncode, done.stdout.splitlines()[1:], done.stderr) == (
        0,
        ["after True", "thread", "exit function"],
        "",
    )


@pytest.mark.series
def test_a_profiler_covers_the_whole_command(predictions, tmp_path):
    done = python("-m", "cProfile", "-o", "profile", "-m", "tlkit", "evaluate", "p.csv", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    functions = {name for _, _, name in pstats.Stats(str(tmp_path / "profile")).stats}
    assert {"main", "evaluate"} <= functions


def test_an_interrupt_ends_it_with_130_and_no_traceback(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-m", "tlkit", "recipe", "schema"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(LIBRARY)},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509  ignored in the background
    )
    fcntl.fcntl(process.stdout, fcntl.F_SETPIPE_SZ, PAGE)  # the command waits in a write once the pipe is full
    waiting, until = bytearray(4), time.monotonic() + 60
    while int.from_bytes(waiting, sys.byteorder) < PAGE and time.monotonic() < until:
        time.sleep(0.02)
        fcntl.ioctl(process.stdout, termios.FIONREAD, waiting)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert (process.returncode, "Traceback" in errors) == (130, False)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no full device")
def test_output_that_cannot_be_written_shows_in_the_exit_code(predictions, tmp_path):
    with Path("/dev/full").open("w") as full:
        done = python("-m", "tlkit", "evaluate", "p.csv", cwd=tmp_path, stdout=full)
    assert done.returncode not in (0, 1, 3)
    assert "No space left" in done.stderr


def shell(line: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a line of a shell that fails where any part of a pipe does; `tlkit` is the command."""
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", line.replace("tlkit", f"'{sys.executable}' -m tlkit")],
        capture_output=True,
        text=True,
        cwd=cwd,
        timeout=120,
        check=False,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )


@pytest.mark.parametrize("line", ["tlkit models | head -1", "tlkit --help | true", "tlkit recipe schema | head -1"])
def test_a_reader_that_ends_first_is_no_failed_gate_and_no_traceback(line, tmp_path):
    done = shell(line, tmp_path)
    assert done.returncode in (0, 141)  # 0 where all was written before the reader ended
    assert done.stderr == ""


def test_a_reader_that_ends_before_the_output_gives_the_code_of_a_broken_pipe(tmp_path):
    done = shell("tlkit models | true", tmp_path)  # `true` is over long before Python has started
    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.parametrize("closed", [">&-", pytest.param(">&- 2>&-", marks=pytest.mark.series)])
def test_a_process_without_streams_finishes_its_work(closed, predictions, tmp_path):
    done = shell(f"tlkit evaluate p.csv {closed}", tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
