"""When images that cannot be loaded end a pass, alike for loaders, their worker processes and threads."""

from __future__ import annotations

from collections.abc import Iterable

from tlkit.data.loading.batch import Failure
from tlkit.errors import DataError, first_few

MOST_GONE = 32
"""So many files in a row that cannot be opened end a pass: the drive is no longer there."""


class PassCheck:
    """Counts the files in a row that cannot be opened, over one pass in the order of its images.

    A pass ends where `MOST_GONE` of them follow each other, whatever the size of a batch, and where all of its images
    are gone. Damaged files end none.
    """

    def __init__(self) -> None:
        self._seen = 0
        self._gone: list[Failure] = []

    def error_after(self, failures: Iterable[Failure | None]) -> DataError | None:
        """Return the error that ends the pass after the next images, or None.

        Args:
            failures: of each image in order; None for one that was loaded.
        """
        for failure in failures:
            self._seen += 1
            if failure is not None and failure.kind == "unfit":
                return DataError(f"{failure.path}: {failure.reason}")
            self._gone = [*self._gone, failure] if failure is not None and failure.kind == "gone" else []
            if len(self._gone) == MOST_GONE:
                return self._error(f"{MOST_GONE} images in a row cannot be opened")
        return None

    def error_at_end(self) -> DataError | None:
        """Return the error of a pass whose images could none of them be opened, or None."""
        if not self._seen or len(self._gone) < self._seen:
            return None
        return self._error(
            f"None of the {self._seen} images can be opened" if self._seen > 1 else "No image can be opened"
        )

    def _error(self, what: str) -> DataError:
        named = first_few([f"{failure.path} ({failure.reason})" for failure in self._gone], most=3)
        return DataError(f"{what}: {named}. Is the drive still mounted?")
