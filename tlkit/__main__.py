"""`python -m tlkit` runs the command line."""

from __future__ import annotations

from tlkit.cli.app import main

if __name__ == "__main__":
    main()
