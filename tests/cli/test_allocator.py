"""Freed memory stays with processes of the command line that run networks, and with no other process."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.command import tlkit

LARGE_BLOCK = """
import gc
import numpy as np
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096
before = resident()
blocks = [np.ones(8 << 20, np.uint8) for _ in range(32)]  # 256 MB
held = resident() - before
blocks.clear()
print(held > 200e6, resident() - before > 200e6)
"""

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's allocator alone has the setting")


def resident_memory(before: str, **environment: str) -> tuple[list[str], str]:
    """Return whether 256 MB were resident while they were held, and whether they still are; and what was logged."""
    code = f"import logging\nlogging.basicConfig(level=logging.DEBUG, format='%(message)s')\n{before}\n{LARGE_BLOCK}"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        env={**os.environ, **environment},
    )
    return done.stdout.split(), done.stderr


def test_freed_memory_is_kept_and_the_switch_is_logged():
    kept, said = resident_memory("from tlkit.cli.allocator import keep_freed_memory; keep_freed_memory()")
    assert kept == ["True", "True"]
    assert said.count("TLKIT_KEEP_FREED_MEMORY=0") == len(said.splitlines()) == 1


@pytest.mark.parametrize(
    ("before", "switch"),
    [
        ("from tlkit.cli.allocator import keep_freed_memory; keep_freed_memory()", "0"),
        ("from tlkit.inference.devices import choose_device; choose_device('cpu')", "1"),
    ],
)
def test_freed_memory_is_returned_with_the_switch_off_and_in_python(before, switch):
    kept, said = resident_memory(before, TLKIT_KEEP_FREED_MEMORY=switch)
    assert (kept, said) == (["True", "False"], "")


def test_another_c_library_is_not_changed(monkeypatch, caplog):
    from tlkit.cli import allocator

    def missing(name):
        raise OSError(name)

    monkeypatch.setattr(allocator.ctypes, "CDLL", missing)
    assert not allocator.keep_freed_memory()
    assert caplog.messages == []


def test_a_command_that_runs_no_network_leaves_the_allocator_alone(tmp_path):
    (tmp_path / "p.csv").write_text("path,y_true,y_pred\na.png,a,a\nb.png,b,a\n")
    done = tlkit("evaluate", "p.csv", cwd=tmp_path)
    assert (done.returncode, "TLKIT_KEEP_FREED_MEMORY" in done.stderr) == (0, False)
