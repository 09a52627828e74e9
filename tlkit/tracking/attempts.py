"""Calls to a tracker's library whose errors never end a run: they are logged; after several, calls are skipped."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import TypeVar

from tlkit.errors import RecipeError, reason_of
from tlkit.tracking.wandb_environment import environment_set

logger = logging.getLogger(__name__)

MOST_FAILURES = 3
T = TypeVar("T")


class Attempts:
    """Calls a tracker's library with its environment variables set; after 3 failures in a row it calls no more."""

    def __init__(self, tool: str, environment: Mapping[str, str]) -> None:
        self._tool = tool
        self._environment = environment
        self._failures = 0

    def __call__(self, subject: str, action: Callable[[], object]) -> None:
        """Call an action; an error is logged with what it was about."""
        if self._failures >= MOST_FAILURES:
            return
        try:
            with environment_set(self._environment):
                action()
            self._failures = 0
        except Exception as error:
            self._failures += 1
            reason = f"{type(error).__name__}: {error}".removesuffix(": ")
            logger.warning("%s failed at %s (%s). The run continues.", self._tool, subject, reason)
            if self._failures == MOST_FAILURES:
                remedy = "Send the run later with: tlkit track push RUN"
                logger.warning(
                    "%s has failed %d times in a row and gets no more. %s", self._tool, MOST_FAILURES, remedy
                )


def missing_extra(kind: str, error: ImportError) -> RecipeError:
    """Return the error about a tracker that is not installed."""
    return RecipeError(
        f"tracking.kind is {kind}, but it cannot be imported ({reason_of(error)}). Install it with:"
        ' pip install "tlkit[trackers]"'
    )


def exit_code_of(kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> int:
    """Return the exit code of a context that ends: 0 = without an error."""
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else int(error.code is not None)
    return int(kind is not None)
