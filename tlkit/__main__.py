"""`python -m tlkit` is `tlkit`: the command line as a process of its own."""

from __future__ import annotations

import atexit
import gc
import os
import sys
import threading

from tlkit.cli.app import main

YOUNG, MIDDLE, OLD = 700, 10, 1000
"""Thresholds of Python's garbage collector; the last is 10 by default, see `gc.set_threshold`."""


def run() -> None:
    """Run the command line in a process that spends no time on rubbish that is none, and ends when its work is done.

    Loading torch and its guests makes more than a million objects that stay. By default Python searches them all for
    cycles again and again while they are loaded, once more at the end, and then takes them apart one by one, together a
    third of what a short fit takes. Here the old ones are searched seldom, the young ones as often as ever, and at the
    end the memory goes back with the process.
    """
    gc.set_threshold(YOUNG, MIDDLE, OLD)
    code: int | str | None = None
    try:
        main()
    except SystemExit as end:
        code = end.code
    if not _is_watched() and (code is None or isinstance(code, int)):
        _leave(code or 0)
    sys.exit(code)


def _is_watched() -> bool:
    """Tell whether a profiler, a debugger or somebody at a prompt has something to do when the command line ends."""
    monitoring = getattr(sys, "monitoring", None)  # from Python 3.12 on, cProfile shows here and nowhere else
    tools = [] if monitoring is None else [monitoring.get_tool(number) for number in range(6)]
    return bool(sys.getprofile() or sys.gettrace() or any(tools) or sys.flags.inspect)


def _leave(code: int) -> None:
    """End as `multiprocessing` ends its processes: threads are awaited, exit functions called, streams flushed."""
    try:
        threading._shutdown()  # type: ignore[attr-defined]
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        code = 130
    atexit._run_exitfuncs()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except (OSError, ValueError, AttributeError):  # closed, broken or none at all; Python says so in its own way
        return
    os._exit(code)


if __name__ == "__main__":
    run()
