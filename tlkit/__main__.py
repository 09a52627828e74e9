"""Runs the command line as a process: `python -m tlkit` is `tlkit`."""

from __future__ import annotations

from tlkit.cli.app import main

if __name__ == "__main__":
    main()
