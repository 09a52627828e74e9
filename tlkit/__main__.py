"""`python -m tlkit` is `tlkit`: the command line as a process of its own."""

from __future__ import annotations

import atexit
import gc

from tlkit.cli.app import main

YOUNG, MIDDLE, OLD = 700, 10, 1000
"""Thresholds of Python's garbage collector; the last is 10 by default, see `gc.set_threshold`."""


def run() -> None:
    """Run the command line in a process that spends no time on rubbish that is none.

    Loading torch and its guests makes more than a million objects that stay. By default Python searches them all for
    cycles again and again while they are loaded, and once more at the end, together a third of what a short fit takes.
    Here the old ones are searched seldom, the young ones as often as ever, and at the end none: the memory goes back
    with the process.
    """
    gc.set_threshold(YOUNG, MIDDLE, OLD)
    atexit.register(gc.freeze)
    main()


if __name__ == "__main__":
    run()
