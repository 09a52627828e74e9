"""The command line as a process: how it treats Python's garbage collector."""

from __future__ import annotations

import subprocess
import sys

CODE = """\
import gc
import tlkit.__main__ as process
process.main = lambda: print(gc.get_threshold(), gc.isenabled(), gc.get_freeze_count())
process.run()
import atexit
atexit.register(lambda: print("registered later, called sooner", gc.get_freeze_count()))
"""


def test_old_objects_are_searched_seldom_and_young_ones_as_ever():
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.splitlines() == ["(700, 10, 1000) True 0", "registered later, called sooner 0"]


def test_nothing_is_searched_for_rubbish_at_the_end():
    code = "import atexit, gc\natexit.register(lambda: print(gc.get_freeze_count() > 1000))\n" + CODE
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.splitlines()[-1] == "True"  # what was registered first is called last
