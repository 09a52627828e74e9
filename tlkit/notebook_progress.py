"""Progress bars in Jupyter notebooks, drawn by tqdm. Elsewhere there are none, unless a caller draws its own."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")
OnStep = Callable[[str, int, int], None]


def in_notebook() -> bool:
    """Return whether this process is the kernel of a notebook."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return getattr(shell, "kernel", None) is not None


@contextmanager
def notebook_bars() -> Iterator[OnStep | None]:
    """Yield a callback (what is done, done, total) that draws a bar; None outside a notebook.

    A bar goes when its step is done. It is tqdm's notebook kind where ipywidgets is installed, else text.
    """
    if not in_notebook():
        yield None
        return
    bars = _Bars()
    try:
        yield bars.show
    finally:
        bars.close()


def with_notebook_bar(what: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Return a decorator: in a notebook the function's `progress`, where it is not given, draws a bar.

    Args:
        what: what is done, written before the bar.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(function)
        def shown(*args: P.args, **kwargs: P.kwargs) -> R:
            if kwargs.get("progress") is not None or not in_notebook():
                return function(*args, **kwargs)
            with notebook_bars() as bars:
                kwargs["progress"] = None if bars is None else functools.partial(bars, what)
                return function(*args, **kwargs)

        return shown

    return decorate


class _Bars:
    """One bar at a time."""

    def __init__(self) -> None:
        self._what = ""
        self._bar: Any = None

    def show(self, what: str, done: int, total: int) -> None:
        """Draw how far a step is."""
        if what != self._what or self._bar is None:
            self.close()
            self._what, self._bar = what, _kind()(total=total, desc=what, leave=False)
        self._bar.total = total
        self._bar.update(done - self._bar.n)
        if done >= total:
            self.close()

    def close(self) -> None:
        """Remove the bar that is there."""
        if self._bar is not None:
            self._bar.close()
        self._what, self._bar = "", None


def _kind() -> Any:
    """Return tqdm's class of bars that this notebook can show."""
    if find_spec("ipywidgets") is not None:
        from tqdm.notebook import tqdm as widget

        return widget
    from tqdm import tqdm

    return tqdm
