"""`RunLog`: the file in a run directory that holds every line that its fit logged."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tlkit.tables import to_lines

if TYPE_CHECKING:
    from tlkit.audit.audit_result import Audit
    from tlkit.audit.task_audit_result import TaskAudit
    from tlkit.evaluation import Evaluation
    from tlkit.evaluation.task_figures import TaskEvaluation

FORMAT = "%(asctime)s %(levelname)-7s %(message)s"


class RunLog(logging.Handler):
    """Collects log records, and writes them to a file once the run directory exists.

    A file that cannot be written costs the log, not the run.
    """

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.setFormatter(logging.Formatter(FORMAT))
        self._waiting: list[str] = []
        self._path: Path | None = None

    def open(self, path: Path) -> None:
        """Append the lines so far, and all that follow, to a file."""
        self._path = path
        waiting, self._waiting = self._waiting, []
        if waiting:
            self._write("\n".join(waiting))

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record, or keep it until there is a file."""
        self._write(self.format(record))

    def add_results(self, evaluation: Evaluation | TaskEvaluation, audit: Audit | TaskAudit | None) -> None:
        """Write every table of an evaluation and of an audit."""
        tables = (*evaluation.tables(), *(audit.tables() if audit is not None else ()))
        self._write("\n" + "\n".join(to_lines(tables)) + "\n")

    def _write(self, text: str) -> None:
        if self._path is None:
            self._waiting.append(text)
            return
        try:
            with self._path.open("a", encoding="utf-8", errors="backslashreplace") as file:
                file.write(text + "\n")
        except OSError:  # a full disk or a deleted folder is reported by what writes the run
            return


@dataclass(frozen=True)
class FitDisplay:
    """Where a fit tells what it does.

    Attributes:
        log: the run's log.
        progress: whether progress bars of the training are drawn on stderr.
        on_features: called with (images done, images in all) while features are computed.
        on_epoch: called after each epoch with its row of metrics; True stops the training.
        on_batch: called after each batch of the training with (batches done, batches in all).
    """

    log: RunLog
    progress: bool = False
    on_features: Callable[[int, int], None] | None = None
    on_epoch: Callable[[Mapping[str, float]], bool] | None = None
    on_batch: Callable[[int, int], None] | None = None


@contextmanager
def collected_log() -> Iterator[RunLog]:
    """Yield a log that receives every record of tlkit, also those too detailed for the handlers of the process.

    What those handlers show does not change: records below the level that tlkit's logger had reach the log alone. The
    logger is restored after the block.
    """
    logger, log = logging.getLogger("tlkit"), RunLog()
    level, shown, propagate = logger.level, logger.getEffectiveLevel(), logger.propagate
    passed_on = _PassedOn(shown, [*logger.handlers], to_root=propagate)
    handlers = [*logger.handlers]
    for handler in handlers:
        logger.removeHandler(handler)
    for handler in (log, passed_on):
        logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    try:
        yield log
    finally:
        logger.setLevel(level)
        logger.propagate = propagate
        for handler in (log, passed_on):
            logger.removeHandler(handler)
        for handler in handlers:
            logger.addHandler(handler)


class _PassedOn(logging.Handler):
    """Hands the records that were shown before to the handlers that showed them."""

    def __init__(self, level: int, handlers: list[logging.Handler], *, to_root: bool) -> None:
        super().__init__(level)
        self._handlers, self._to_root = handlers, to_root

    def emit(self, record: logging.LogRecord) -> None:
        """Hand one record on."""
        for handler in self._handlers:
            if record.levelno >= handler.level:
                handler.handle(record)
        if self._to_root:
            logging.getLogger().handle(record)
