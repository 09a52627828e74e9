"""Public names of a package that are imported at first use, so that importing the package loads no other one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def lazy_names(package: str, modules: Mapping[str, str]) -> Callable[[str], Any]:
    """Return what a package has as `__getattr__`.

    Args:
        package: its name.
        modules: public name -> the module that defines it.

    Raises:
        AttributeError: by the returned function, for any other name.

    Example:
        >>> lazy_names("tlkit", {"TlkitError": "tlkit.errors"})("TlkitError").__name__
        'TlkitError'
    """

    def get(name: str) -> Any:
        if name not in modules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(modules[name]), name)

    return get
