"""Environment variables that other libraries read and fail on, with what to do."""

from __future__ import annotations

import os
import re

from tlkit.errors import TlkitError

_RANKS = ("RANK", "LOCAL_RANK", "SLURM_PROCID", "JSM_NAMESPACE_RANK")
"""Those that Lightning reads as the number of this process while it is imported."""
_BACKENDS = frozenset(
    {
        "agg",
        "cairo",
        "gtk3agg",
        "gtk3cairo",
        "gtk4agg",
        "gtk4cairo",
        "inline",
        "ipympl",
        "macosx",
        "nbagg",
        "notebook",
        "pdf",
        "pgf",
        "ps",
        "qt5agg",
        "qt5cairo",
        "qtagg",
        "qtcairo",
        "svg",
        "template",
        "tkagg",
        "tkcairo",
        "webagg",
        "widget",
        "wx",
        "wxagg",
        "wxcairo",
    }
)


def require_usable_variables() -> None:
    """Check the variables that stop Lightning or matplotlib while they are imported; imports neither, as a rule.

    Raises:
        TlkitError: a variable's value is unusable; the error names all of them.
    """
    problems = [
        f"The environment variable {name} is {os.environ[name]!r}. Lightning reads the number of this process there. "
        f"Unset it, or set a number from 0."
        for name in _RANKS
        if name in os.environ and not re.fullmatch(r"\s*\+?\d+\s*", os.environ[name])
    ]
    backend = os.environ.get("MPLBACKEND", "")
    if backend and backend.lower() not in _BACKENDS and not backend.startswith("module://"):
        try:
            import matplotlib  # noqa: F401  another package may have registered the backend
        except ValueError:
            problems.append(
                f"The environment variable MPLBACKEND is {backend!r}, which matplotlib does not know. Unset it, or set "
                "agg."
            )
    if problems:
        raise TlkitError(*problems)
