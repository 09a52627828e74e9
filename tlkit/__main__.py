"""`python -m tlkit` is `tlkit`."""

from tlkit.cli.app import main

if __name__ == "__main__":
    main()
